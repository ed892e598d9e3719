"""The whole flow by links and forms, with JavaScript off."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def look_again_until(desk: Desk, name: str, sentence: str) -> None:
    """Reload, as a person would, until the notification says something."""
    for _ in range(40):
        if sentence in desk.told(name).inner_text():
            return
        desk.page.wait_for_timeout(250)
        desk.page.goto("/")
    expect(desk.told(name)).to_contain_text(sentence, timeout=0)


def search_by_form(page: Page, name: str) -> None:
    page.get_by_role("searchbox").fill(name)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_the_whole_flow_works_by_links_and_forms(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("web-4")
    desk = visit("alice", java_script_enabled=False)
    page = desk.page
    search_by_form(page, name)
    dialog = desk.choose(name, "Start in rescue mode")
    expect(page).to_have_title("Start in rescue mode · Rescue Panel")
    expect(dialog.get_by_role("radio").first).to_be_checked()
    dialog.get_by_text("Show all images").click()
    expect(dialog.get_by_text("Forensics workstation")).to_be_visible()
    dialog.get_by_role("button", name="Start in rescue mode").click()
    expect(page).to_have_title("Instances · Rescue Panel")
    look_again_until(desk, name, "Ready after")

    told = desk.told(name)
    expect(desk.secret(name)).to_have_count(0)
    with page.expect_response(lambda answer: answer.url.endswith("/password")) as shown:
        desk.button(name, "Show password").click()
    assert "no-store" in shown.value.headers["cache-control"]
    assert shown.value.request.method == "POST"
    password = page.get_by_role("main").get_by_role("status", name="Temporary password")
    assert cloud.lets_in(name, password.inner_text())
    page.get_by_role("link", name="Hide password").click()
    expect(page.get_by_role("table")).to_be_visible()

    told.get_by_role("link", name="Exit rescue mode").click()
    expect(page).to_have_title("Exit rescue mode · Rescue Panel")
    desk.dialog("Exit rescue mode").get_by_role("button", name="Exit rescue mode").click()
    look_again_until(desk, name, "Out of rescue mode")
    desk.button(name, "Dismiss").click()
    expect(told).to_have_count(0)
    assert len(cloud.actions(name)) == 2


def test_the_questions_can_be_left_unanswered(visit: Visit) -> None:
    desk = visit("alice", java_script_enabled=False)
    dialog = desk.choose("web-4", "Start in rescue mode")
    dialog.get_by_role("link", name="Cancel").click()
    expect(desk.page).to_have_title("Instances · Rescue Panel")
    dialog = desk.choose("vpn", "Exit rescue mode")
    expect(dialog.get_by_text("umount /mnt", exact=True)).to_be_visible()
    dialog.get_by_role("link", name="Cancel").click()
    expect(desk.page).to_have_title("Instances · Rescue Panel")
