"""Many at once: chosen in the list, reviewed, followed on the board, retried, and out again."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
FIVE = ("web-1", "web-2", "web-3", "cache-1", "cache-2")
SHOTS = os.environ.get("SHOTS", "")


def shot(desk: Desk, name: str) -> None:
    """Keep a picture of the page in each look, where SHOTS names a folder."""
    if not SHOTS:
        return
    for scheme in ("light", "dark"):
        for width, height in ((1360, 900), (390, 844)):
            desk.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            desk.page.set_viewport_size({"width": width, "height": height})
            desk.page.wait_for_timeout(250)
            path = Path(SHOTS) / f"{name}-{scheme}-{width}.png"
            desk.page.screenshot(path=str(path), full_page=False)
    desk.page.emulate_media(color_scheme="light")
    desk.page.set_viewport_size({"width": 1280, "height": 720})


def tick(desk: Desk, name: str) -> None:
    desk.page.get_by_role("checkbox", name=desk.say("Select %(name)s") % {"name": name}).check()


def button(desk: Desk, words: str, count: int) -> str:
    return (desk.say(words) if count == 1 else plural(desk, words)) % {"n": count}


def plural(desk: Desk, words: str) -> str:
    both = {
        "Start %(n)s rescues": "Démarrer %(n)s rescues",
        "Exit %(n)s rescues": "Sortir %(n)s instances du mode rescue",
    }
    return words if desk.say("Stop") == "Stop" else both[words]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_five_at_once_with_one_that_fails_tried_again_and_all_out(
    language: str, visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    for name in FIVE:
        borrow(name)
    cloud.fault("cache-1", silent_revert=1)
    desk = visit("alice", language)
    page, main = desk.page, desk.page.locator("main")
    expect(page.locator("#pick")).to_be_hidden()
    shot(desk, f"list-{language}")
    for name in FIVE:
        tick(desk, name)
    expect(page.locator("#pick-count")).to_have_text(desk.say("{n} selected").replace("{n}", "5"))
    # The choice outlives a refresh of the whole list, and a search.
    page.evaluate("htmx.trigger('#instances', 'refresh')")
    page.get_by_role("searchbox").fill("vpn")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    expect(desk.arrow("web-1")).to_be_visible()
    expect(page.locator("tbody .col-pick input:checked")).to_have_count(5)
    shot(desk, f"selected-{language}")
    page.locator("#pick").get_by_role("button", name=desk.say("Start in rescue mode")).click()

    expect(page.get_by_role("radio").first).to_be_checked()
    page.get_by_label(desk.say("Reason or ticket")).fill("INC-5")
    page.get_by_label(desk.say("How many at once in a cloud account")).fill("2")
    page.get_by_label(desk.say("Hold after so many failures")).fill("1")
    shot(desk, f"review-{language}")
    main.get_by_role("button", name=plural(desk, "Start %(n)s rescues") % {"n": 5}).click()

    expect(page).to_have_url(re.compile("/batches/"))
    shot(desk, f"running-{language}")
    expect(main.get_by_text(desk.say("Held after failures"), exact=True)).to_be_visible()
    shot(desk, f"held-{language}")
    main.get_by_role("button", name=desk.say("Go on")).click()
    again = page.locator("#batch-retry")
    expect(main.locator(".batch .tag.ok")).to_be_visible()
    expect(again).to_be_visible()
    again.click()
    expect(again).to_have_count(0)
    expect(main.locator(".batch .tag.ok")).to_be_visible()
    shows = main.get_by_role("button", name=desk.say("Show password"))
    expect(shows).to_have_count(5)
    shows.first.click()
    expect(main.locator(".password")).to_have_count(1)
    assert cloud.lets_in("cache-1", main.locator(".password").inner_text().strip())
    shot(desk, f"done-{language}")
    told = page.get_by_role("region", name="Notifications").get_by_role("article")
    expect(told.filter(has_text="· 5").first).to_be_visible()
    assert told.filter(has_text="web-1").count() <= told.filter(has_text="· 5").count()  # folded

    page.locator("#batch-exit").click()
    main.get_by_role("button", name=plural(desk, "Exit %(n)s rescues") % {"n": 5}).click()
    expect(main.locator(".batch .tag.ok")).to_be_visible()
    assert {cloud.server(name)["vm_state"] for name in FIVE} == {"active"}
    for name in FIVE:
        acts = len(cloud.actions(name))
        assert acts == (3 if name == "cache-1" else 2), name


def test_a_range_by_shift_and_all_that_match(visit: Visit) -> None:
    desk = visit("alice")
    boxes = desk.page.locator("tbody .col-pick input")
    boxes.nth(1).focus()
    desk.page.keyboard.press("Space")
    boxes.nth(4).click(modifiers=["Shift"])
    count = desk.page.locator("#pick-count")
    expect(count).to_have_text("4 selected")
    desk.page.get_by_role("button", name="Clear", exact=False).click()
    expect(count).to_have_text("")
    expect(desk.page.locator("#pick")).to_be_hidden()
    desk.page.get_by_role("checkbox", name="Select all on this page").check()
    total = desk.page.locator("tbody tr").count()
    expect(count).to_have_text(f"{total} selected")


def test_without_javascript_the_boxes_are_a_form(visit: Visit) -> None:
    desk = visit("alice", java_script_enabled=False)
    tick(desk, "lb-1")
    tick(desk, "lb-2")
    desk.page.locator("#pick").get_by_role("button", name="Exit rescue mode").click()
    expect(
        desk.page.get_by_text("None", exact=False).or_(
            desk.page.get_by_text("2 cannot be done now and are skipped")
        )
    ).to_be_visible()
