"""axe-core finds nothing on any page, in any state: light, dark, and on a phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud
from tests.journeys.visitor import Visitor

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# Colours turn on the scheme, places on the size: two looks show all four.
LOOKS: list[tuple[Any, Any]] = [("light", PHONE), ("dark", WIDE)]
CALM = "*, *::before, *::after { animation: none !important; transition: none !important }"
checked: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _count() -> Iterator[None]:
    """Say in the end how much was looked at."""
    yield
    print(f"\naxe-core: {len(checked)} states without a violation")


def fine(page: Page, state: str, looks: list[tuple[Any, Any]] = LOOKS) -> None:
    """Run axe on the page as it is now, in each look; say what it found."""
    page.wait_for_load_state()
    sheet = "sheet => { const s = new CSSStyleSheet(); s.replaceSync(sheet);"
    page.evaluate(sheet + " document.adoptedStyleSheets = [s] }", CALM)  # the CSP allows no tag
    for scheme, size in looks:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        found = Axe().run(page).response["violations"]
        where = f"{state}, {scheme}, {size['width']} px: {page.url}"
        assert [describe(one) for one in found] == [], where
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, f"{where} scrolls sideways"
        checked.append(where)


def describe(violation: dict[str, Any]) -> str:
    nodes = violation["nodes"]
    return (
        f"{violation['id']} ({len(nodes)}): {nodes[0]['html'][:160]} {nodes[0]['failureSummary']}"
    )


def test_signing_in(visit: Visit) -> None:
    page = visit("").page
    page.goto("/sign-in")
    fine(page, "sign-in")
    page.get_by_label("E-mail").fill("alice@example.org")
    page.get_by_label(re.compile("^Password$")).fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    fine(page, "sign-in refused")


def test_the_list(visit: Visit, cloud: Cloud) -> None:
    desk = visit("alice")
    fine(desk.page, "list")
    desk.page.get_by_role("link", name="Error").click()
    expect(desk.arrow("web-1")).to_have_count(0)
    fine(desk.page, "list filtered")
    desk.page.goto("/?q=nothing-of-this-name")
    expect(desk.page.get_by_role("heading", name="No instance matches")).to_be_visible()
    fine(desk.page, "search without result")
    desk.page.goto("/notifications")
    fine(desk.page, "notifications page")
    staff = visit("sam")
    fine(staff.page, "no account")


def test_menu_and_dialogs(visit: Visit) -> None:
    desk = visit("alice")
    for name in ("web-1", "vpn", "billing"):
        desk.search(name)
        desk.arrow(name).click()
        expect(desk.item("Exit rescue mode")).to_be_visible()
        fine(desk.page, f"menu of {name}")
        desk.page.keyboard.press("Escape")
    for name in ("web-1", "ci-runner-1", "db-archive"):
        desk.search(name)
        dialog = desk.choose(name, "Start in rescue mode")
        fine(desk.page, f"start dialog of {name}")
        for more in dialog.locator("summary").all():
            more.click()
        fine(desk.page, f"start dialog of {name}, unfolded")
        desk.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    desk.search("vpn")
    desk.choose("vpn", "Exit rescue mode")
    fine(desk.page, "exit dialog")


@pytest.mark.pages
def test_a_rescue_in_each_stage(visit: Visit, borrow: Borrow, cloud: Cloud) -> None:
    name = borrow("web-2")
    desk = visit("alice")
    cloud.set(nova_down="503")
    desk.search(name)
    desk.start(name)
    desk.sees(name, "nothing is lost")
    fine(desk.page, "asked, cloud away")
    cloud.heal()
    cloud.fault(name, host_silent=True)
    expect(desk.told(name).locator("[aria-current=step]")).to_contain_text("Accepted")
    fine(desk.page, "accepted")
    cloud.heal()
    desk.password(name)
    fine(desk.page, "ready, password shown")
    desk.told(name).get_by_text("Next steps", exact=True).click()
    fine(desk.page, "ready, next steps")
    desk.button(name, "Hide password").click()
    fine(desk.page, "ready, password hidden")
    cloud.set(unrescue_seconds=8)
    desk.leave(name)
    desk.sees(name, "Leaving rescue mode")
    fine(desk.page, "leaving")
    desk.sees(name, "Out of rescue mode")
    fine(desk.page, "out")


def test_a_rescue_that_failed(visit: Visit, borrow: Borrow) -> None:
    name = borrow("legacy-norescue")
    desk = visit("alice")
    desk.search(name)
    desk.start(name)
    desk.sees(name, "left the instance in error")
    desk.told(name).get_by_text("The cloud’s own words").click()
    fine(desk.page, "failed")
    desk.told(name).get_by_role("link", name="Hard reboot").click()
    expect(desk.dialog("Hard reboot")).to_be_visible()
    fine(desk.page, "hard reboot dialog")


@pytest.mark.pages
def test_pages_without_javascript_and_refusals(
    visit: Visit, borrow: Borrow, visitors: dict[str, Visitor]
) -> None:
    name = borrow("lb-2")
    desk = visit("alice")
    page = desk.page
    pk = visitors["alice"].instance(name)
    desk.search(name)
    desk.start(name)
    desk.password(name)
    page.locator(".secret form").first.evaluate("form => form.submit()")
    expect(page.get_by_role("link", name="Hide password")).to_be_visible()
    fine(page, "password page")
    for path, state in {
        f"/instances/{pk}/exit": "exit page",
        f"/instances/{visitors['alice'].instance('web-1')}/rescue": "start page",
        "/nowhere": "404",
        "/sign-out": "405",
    }.items():
        page.goto(path)
        fine(page, state)
    page.goto(f"/instances/{pk}/rescue")  # already in rescue: the page says why
    fine(page, "409 start page")
    carol = visit("carol").page
    carol.goto(f"/instances/{pk}/exit")
    fine(carol, "403")
    fine_without_token(page, pk)


def fine_without_token(page: Page, pk: int) -> None:
    """Send a form whose token is gone, as from a page that was open too long."""
    page.goto(f"/instances/{pk}/exit")
    page.locator("dialog form").evaluate(
        "form => { form.querySelector('[name=csrfmiddlewaretoken]').remove(); form.submit() }"
    )
    expect(page.get_by_role("heading", name="This form is no longer valid")).to_be_visible()
    fine(page, "no token")
