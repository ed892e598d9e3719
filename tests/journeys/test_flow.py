"""The whole flow with the mouse, in both languages."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import Desk, saying, sign_in
from tests.journeys.cloud import Cloud
from tests.services import wait_until

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
PROMISED = {
    "Instances": "Instances",
    "Actions for %(name)s": "Actions pour %(name)s",
    "Start in rescue mode": "Démarrer en mode rescue",
    "Exit rescue mode": "Sortir du mode rescue",
    "Rescue image": "Image de rescue",
    "Notifications": "Notifications",
    "Temporary password": "Mot de passe temporaire",
    "Show password": "Afficher le mot de passe",
}


def copied(desk: Desk) -> str:
    """Return what lies on the clipboard."""
    return str(desk.page.evaluate("navigator.clipboard.readText()"))


def test_the_french_names_are_the_promised_ones() -> None:
    say = saying("fr")
    assert {name: say(name) for name in PROMISED} == PROMISED


@pytest.mark.parametrize(("language", "name"), [("en", "web-1"), ("fr", "lb-1")])
def test_a_person_rescues_an_instance_with_the_mouse(
    visit: Visit, borrow: Borrow, cloud: Cloud, language: str, name: str
) -> None:
    desk = visit("", language)
    sign_in(desk.page, "/", "alice")
    say, told = desk.say, desk.told(borrow(name))
    cloud.set(rescue_seconds=6)
    expect(desk.page.get_by_role("table", name=say("Instances"), exact=True)).to_be_visible()
    expect(desk.page.locator("html")).to_have_attribute("lang", language)

    desk.search(name)
    dialog = desk.choose(name, "Start in rescue mode")
    images = dialog.get_by_role("radiogroup", name=say("Rescue image"), exact=True)
    first = images.get_by_role("radio").first
    expect(first).to_be_checked()
    expect(first).to_have_accessible_description(re.compile(say("Temporary password")))
    desk.confirm(dialog, "Start in rescue mode")

    desk.sees(name, "Rescue mode is starting")
    expect(told.get_by_role("list").locator("[aria-current=step]")).to_be_visible()
    expect(desk.row(name)).to_contain_text(say("Starting rescue mode"))

    password = desk.password(name)
    assert re.fullmatch("[a-z]{28,}", password)
    assert cloud.lets_in(name, password)
    desk.sees(name, "In rescue mode")

    desk.button(name, "Copy password").click()
    expect(desk.page.locator("#announcer")).to_have_text(say("Copied"))
    assert copied(desk) == password
    desk.button(name, "Hide password").click()
    expect(desk.secret(name)).to_have_count(0)
    assert password not in desk.page.content()
    desk.button(name, "Show password").click()
    expect(desk.secret(name)).to_have_text(password)

    desk.button(name, "Copy the ssh command").click()
    line = re.compile(r"ssh -o UserKnownHostsFile=\S+ .* -p \d+ root@127\.77\.1\.\d+")
    wait_until(lambda: line.fullmatch(copied(desk)) is not None, "the ssh command being copied")
    told.get_by_text(say("Next steps"), exact=True).click()
    expect(told.get_by_text("lsblk -o")).to_be_visible()
    expect(told.get_by_text("mount /dev/vdb1 /mnt")).to_be_visible()

    desk.leave(name)
    desk.sees(name, "Out of rescue mode")
    expect(told).to_contain_text("Alice")
    expect(desk.row(name)).to_contain_text(say("Running", "instance status"))
    assert password not in desk.page.content()
    desk.button(name, "Dismiss").click()
    expect(told).to_have_count(0)
    assert len(cloud.actions(name)) == 2


def test_the_language_can_be_changed_in_the_page(visit: Visit) -> None:
    desk = visit("alice", "en")
    desk.page.get_by_role("button", name="Français").click()
    expect(desk.page.locator("html")).to_have_attribute("lang", "fr")
    expect(desk.page.get_by_role("button", name="Actions pour web-1", exact=True)).to_be_visible()
    desk.page.get_by_role("button", name="English").click()
    expect(desk.page.get_by_role("button", name="Actions for web-1", exact=True)).to_be_visible()
