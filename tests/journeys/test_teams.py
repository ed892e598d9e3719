"""Teams as people run them: a colleague invited by mail, roles, keys, settings, another team."""

import base64
import os
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import Say, saying, sign_in
from tests.journeys.conftest import Watch
from tests.journeys.test_accessibility import fine
from tests.services import running_demo, wait_until

SHOTS = os.environ.get("TEAM_SHOTS", "")
Arrive = Callable[..., Page]


def public_key(seed: int) -> str:
    parts = [b"ssh-ed25519", bytes([seed]) * 32]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} alice@laptop"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Give a demo of its own: its people end up in more teams than the cast's."""
    with running_demo(tmp_path_factory.mktemp("teams")) as demo:
        yield SimpleNamespace(url=demo.url, mail=demo.folder / "data/mail")


@pytest.fixture
def arrive(browser: Browser, house: SimpleNamespace, watch: Watch) -> Iterator[Arrive]:
    """Open the panel in a new browser, signed in as one of the cast or as nobody."""
    contexts = []

    def arrive(name: str = "", language: str = "en") -> Page:
        locale = {"en": "en-GB", "fr": "fr-FR"}[language]
        context = browser.new_context(base_url=house.url, locale=locale)
        contexts.append(context)
        context.on("page", watch.over)
        page = context.new_page()
        if name:
            sign_in(page, "/sign-in", name)
        return page

    yield arrive
    for context in contexts:
        context.close()


def checked(page: Page, state: str) -> None:
    """Let axe look at a page in one language; keep pictures of it where TEAM_SHOTS says."""
    if SHOTS:
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 844})
            page.screenshot(path=f"{SHOTS}/{state}-{scheme}-{width}.png", full_page=True)
    if not state.endswith("-fr"):  # the same page in other words
        fine(page, state)


def newest(folder: Path, to: str) -> str:
    """Wait for a mail to an address; return its text."""

    def arrived() -> list[str]:
        read = [
            message_from_bytes(part, policy=policy.default)
            for path in sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime_ns)
            for part in path.read_bytes().split(b"-" * 79 + b"\n")
            if part.strip()
        ]
        return [str(one.get_content()) for one in read if one["To"] == to]

    wait_until(lambda: bool(arrived()), f"a mail to {to}", 15)
    return arrived()[-1]


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_a_colleague_is_invited_joins_and_gets_another_role(
    arrive: Arrive, house: SimpleNamespace, language: str
) -> None:
    say: Say = saying(language)
    team = {"en": "Data Lab", "fr": "Labo données"}[language]
    page = arrive("alice", language)
    page.get_by_role("link", name=say("Teams"), exact=True).click()
    checked(page, f"teams-{language}")
    page.get_by_role("link", name=say("New team")).click()
    page.get_by_label(say("Name"), exact=True).fill("Acme Web")
    page.get_by_role("button", name=say("Create the team")).click()
    taken = say("A team of this name exists already. Choose another name.")
    expect(page.get_by_text(taken)).to_be_visible()
    checked(page, f"new-{language}")
    page.get_by_label(say("Name"), exact=True).fill(team)
    page.get_by_role("button", name=say("Create the team")).click()
    expect(page.get_by_text(say("No invitation is open."))).to_be_visible()
    page.get_by_role("textbox", name="E-mail").fill("mallory@example.org")
    page.get_by_role("button", name=say("Send the invitation")).click()
    expect(page.get_by_role("button", name=say("Withdraw"))).to_be_visible()
    checked(page, f"invitations-{language}")

    link = re.search(r"http://\S+/invitations/\S+", newest(house.mail, "mallory@example.org"))
    assert link
    stranger = arrive("", language)
    stranger.goto(link[0])
    expect(stranger.get_by_role("heading", level=1)).to_contain_text(team)
    checked(stranger, f"invitation-stranger-{language}")
    bob = arrive("bob", language)
    bob.goto(link[0])
    expect(bob.get_by_role("alert").first).to_contain_text("mallory@example.org")
    checked(bob, f"invitation-foreign-{language}")
    stranger.get_by_role("link", name=say("Sign in"), exact=True).click()
    stranger.get_by_label(re.compile("^(E-?mail|Adresse|Courriel)")).fill("mallory@example.org")
    stranger.get_by_label(re.compile("^(Password|Mot de passe)$")).fill("rescue-demo")
    stranger.get_by_role("button", name=say("Sign in"), exact=True).click()
    checked(stranger, f"invitation-{language}")
    stranger.get_by_role("button", name=say("Join the team")).click()
    switch = stranger.get_by_role("button", name=team)
    expect(switch).to_be_visible()
    stranger.goto(link[0])
    expect(stranger.get_by_role("alert").first).to_contain_text(
        say("This invitation was used already. Each works once.")
    )
    checked(stranger, f"invitation-used-{language}")

    page.get_by_role("link", name=say("Members"), exact=True).click()
    checked(page, f"members-{language}")
    line = page.get_by_role("listitem").filter(has_text="mallory@example.org")
    line.get_by_role("link", name=say("Change")).click()
    checked(page, f"member-{language}")
    page.get_by_role("radio", name=re.compile("^(owner|propriétaire)", re.I)).check()
    page.get_by_role("button", name=say("Save the role")).click()
    expect(line.locator(".tag")).to_have_text(re.compile("owner|propriétaire"))
    page.get_by_role("link", name=say("Leave the team")).click()
    checked(page, f"leave-{language}")
    page.get_by_role("button", name=say("Leave the team")).click()
    expect(page.get_by_text(say("You left {team}.").format(team=team))).to_be_visible()

    stranger.goto("/teams")
    stranger.get_by_role("link", name=re.compile(f"{say('Members')}.*{team}")).click()
    stranger.get_by_role("link", name=say("Leave the team")).click()
    stranger.get_by_role("button", name=say("Leave the team")).click()
    expect(stranger.get_by_role("alert").first).to_contain_text(
        say("A team needs an owner. Make somebody else an owner first.")
    )
    checked(stranger, f"last-owner-{language}")


def test_the_keyboard_switches_teams_and_search_keeps_the_choice(arrive: Arrive) -> None:
    page = arrive("bob")
    page.goto("/teams/new")
    page.get_by_label("Name", exact=True).fill("Night Shift")
    page.get_by_role("button", name="Create the team").click()
    page.goto("/")
    switch = page.get_by_role("button", name=re.compile("^Team: "))
    expect(switch).to_have_text(re.compile("All teams"))
    switch.focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu")
    expect(menu.get_by_role("menuitem")).to_have_count(3)
    checked(page, "switcher")
    expect(menu.get_by_role("menuitem", name="All teams")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(switch).to_have_text(re.compile("Acme Web"))
    expect(page).to_have_url(re.compile(r"/\?team=\d+$"))
    page.get_by_role("searchbox").fill("web-1")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"team=\d+"))
    switch.click()
    expect(menu.get_by_role("menuitem", name="All teams")).to_be_focused()
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No cloud account is connected yet")).to_be_visible()
    me = page.get_by_role("button", name=re.compile("Bob"))
    me.click()
    checked(page, "me-menu")
    page.keyboard.press("Escape")
    expect(me).to_be_focused()


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_keys_and_settings(arrive: Arrive, language: str) -> None:
    say = saying(language)
    seed = {"en": 1, "fr": 2}[language]
    page = arrive("alice", language)
    page.goto("/account/keys")
    page.get_by_label(say("Public key")).fill("-----BEGIN OPENSSH PRIVATE KEY-----\nabc")
    page.get_by_role("button", name=say("Add the key")).click()
    expect(page.get_by_label(say("Public key"))).to_have_value("")
    expect(page.get_by_label(say("Public key"))).to_have_attribute("aria-invalid", "true")
    checked(page, f"keys-refused-{language}")
    page.get_by_label(say("Public key")).fill(public_key(seed))
    page.get_by_role("button", name=say("Add the key")).click()
    expect(page.get_by_text("SHA256:").first).to_be_visible()
    checked(page, f"keys-{language}")
    page.get_by_role("link", name=say("Delete…")).first.click()
    checked(page, f"key-delete-{language}")
    page.get_by_role("button", name=say("Delete the key")).click()
    page.goto("/teams")
    page.get_by_role("link", name=re.compile(f"{say('Members')}.*Acme Web")).click()
    page.get_by_label(say("Pages")).get_by_role("link", name=say("SSH keys")).click()
    page.get_by_label(say("Public key")).fill(public_key(seed + 2))
    page.get_by_role("button", name=say("Add the key")).click()
    checked(page, f"team-keys-{language}")
    page.get_by_label(say("Pages")).get_by_role("link", name=say("Settings")).click()
    page.get_by_label(say("Exit by itself when the time is over")).check()
    page.get_by_role("button", name=say("Save the settings")).click()
    expect(page.get_by_text(say("Say after how many hours a rescue exits."))).to_be_visible()
    checked(page, f"settings-{language}")
    page.get_by_label(say("Exit by itself when the time is over")).uncheck()
    page.get_by_role("button", name=say("Save the settings")).click()
    expect(page.get_by_text(say("The settings are saved."))).to_be_visible()
