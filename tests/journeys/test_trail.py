"""The audit trail and an instance's history, as an owner reads them in both languages."""

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser import Desk
from tests.journeys.test_accessibility import fine

SHOTS = os.environ.get("TRAIL_SHOTS", "")
Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def checked(page: Page, state: str) -> None:
    """Let axe look at a page in each look; keep pictures of it where TRAIL_SHOTS says."""
    if SHOTS:
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{SHOTS}/{state}-{scheme}-{width}.png", full_page=True)
    fine(page, state)


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_an_owner_reads_narrows_and_exports(visit: Visit, borrow: Borrow, language: str) -> None:
    name = borrow("web-1")
    desk = visit("alice", language=language)
    page, say = desk.page, desk.say
    desk.start(name)
    expect(desk.told(name)).to_contain_text(say("Temporary password"))

    page.goto("/teams")
    page.locator('a[href$="/members"]').first.click()
    page.get_by_role("link", name=say("Audit trail"), exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(say("Audit trail"))
    entries = page.locator("ol.trail > li")
    expect(entries.filter(has_text=say("Asked for rescue mode")).first).to_be_visible()
    checked(page, f"trail-{language}")

    page.get_by_label(say("Act"), exact=True).select_option("rescue.start")
    page.get_by_label(say("Instance, or what it was done to")).fill(name)
    page.get_by_role("button", name=say("Narrow"), exact=True).click()
    expect(entries.first).to_contain_text(say("Asked for rescue mode"))
    expect(entries.filter(has_text=say("In rescue mode"))).to_have_count(0)

    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    written = download.value.path().read_text(encoding="utf-8-sig")
    assert written.startswith('"number","at","act"') and "rescue.start" in written
    page.get_by_role("link", name=say("Show everything")).click()
    expect(entries.first).to_contain_text(say("Exported the audit trail"))

    page.get_by_label(say("From (UTC)")).fill("2026-02-02")
    page.get_by_label(say("Until (UTC)")).fill("2026-02-01")
    page.get_by_role("button", name=say("Narrow"), exact=True).click()
    expect(page.get_by_text(say("This day is before the first one."))).to_be_visible()
    checked(page, f"trail-error-{language}")


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_the_history_of_an_instance(visit: Visit, borrow: Borrow, language: str) -> None:
    name = borrow("web-2")
    desk = visit("alice", language=language)
    page, say = desk.page, desk.say
    desk.start(name)
    expect(desk.told(name)).to_contain_text(say("Temporary password"))
    desk.arrow(name).click()
    desk.item("History").click()
    lines = page.locator("ol.trail > li")
    put = lines.filter(has_text=say("Put into rescue mode"))
    expect(put.first).to_be_visible()  # the page was there first, then the cloud's answer came
    expect(put.first).to_contain_text("Alice")
    expect(lines.filter(has_text=say("Asked for rescue mode")).first).to_be_visible()
    checked(page, f"history-{language}")
