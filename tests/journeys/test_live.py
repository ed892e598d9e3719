"""What a page does with what comes by itself while somebody is about to click, or has."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import Desk
from tests.democloud.machines import can_listen

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
#: longer than a refresh takes from the event to the swap
A_MOMENT = 1500


def change(page: Page, topics: str) -> None:
    """Tell the page of a change, as the stream does."""
    page.evaluate(
        "(topics) => document.dispatchEvent(new CustomEvent('panel:changed', {detail: {topics}}))",
        topics,
    )


def machine_page(desk: Desk, name: str) -> str:
    """Rescue an instance and open its machine's page; return the topic of its changes."""
    desk.search(name)
    desk.start(name)
    desk.sees(name, "Proven: the temporary password lets one in")
    desk.told(name).get_by_role("link", name=f"Repair {name}").click()
    expect(desk.page).to_have_url(re.compile("/machine$"))
    expect(desk.page.locator("#live")).to_have_text("Live")
    desk.page.wait_for_timeout(A_MOMENT)  # the stream begins with a refresh of everything
    return f"machine:{desk.page.url.split('/')[-2]}"


@pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8")
def test_what_comes_between_press_and_release_does_not_take_the_click(
    visit: Visit, borrow: Borrow
) -> None:
    name = borrow("web-2")
    desk = visit("alice")
    page, topic = desk.page, machine_page(desk, name)
    place = page.locator("main .machine")
    button = page.get_by_role("button", name=re.compile("^Look (at the disks|again)$"))

    def mark() -> None:
        """Mark what is there, to tell whether it was replaced."""
        place.evaluate("(place) => { place.dataset.old = '1'; }")

    def is_new() -> None:
        expect(place).not_to_have_attribute("data-old", "1")

    mark()
    change(page, topic)
    is_new()  # nothing is pressed: it is shown at once

    box = button.bounding_box()
    assert box
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    mark()
    page.mouse.down()
    change(page, topic)
    page.wait_for_timeout(A_MOMENT)
    expect(place).to_have_attribute("data-old", "1")
    with page.expect_response(re.compile("/machine/look$")):
        page.mouse.up()
    is_new()
    expect(button).to_be_enabled()

    # An answer that is on its way when the button is pressed waits as well.
    held: list[Route] = []
    page.route(re.compile("/machine$"), lambda route: held.append(route))
    mark()
    change(page, topic)
    page.wait_for_timeout(A_MOMENT)
    assert len(held) == 1
    box = button.bounding_box()
    assert box
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    held[0].continue_()
    page.unroute(re.compile("/machine$"))
    page.wait_for_timeout(A_MOMENT)
    expect(place).to_have_attribute("data-old", "1")
    with page.expect_response(re.compile("/machine/look$")):
        page.mouse.up()
    is_new()
    expect(button).to_be_enabled()

    # By keyboard: Space acts when it is let go.
    button.focus()
    mark()
    page.keyboard.down(" ")
    change(page, topic)
    page.wait_for_timeout(A_MOMENT)
    expect(place).to_have_attribute("data-old", "1")
    with page.expect_response(re.compile("/machine/look$")):
        page.keyboard.up(" ")
    is_new()
    expect(button).to_be_enabled()

    # Pressed, dragged away and let go elsewhere: no click, and the page goes on by itself.
    button.hover()
    mark()
    page.mouse.down()
    change(page, topic)
    page.mouse.move(5, 5)
    page.mouse.up()
    is_new()


@pytest.mark.parametrize("leaving", [True, False])
def test_a_page_that_is_being_left_is_not_loaded_again(
    visit: Visit, borrow: Borrow, leaving: bool
) -> None:
    """A refresh may answer *load the page anew*: not while a click leads elsewhere."""
    desk = visit("alice")
    page, asked = desk.page, re.compile("/notifications$")
    expect(page.locator("#live")).to_have_text("Live")
    page.wait_for_timeout(A_MOMENT)
    refreshes: list[Route] = []
    pages: list[Route] = []
    page.route(asked, lambda route: refreshes.append(route))
    change(page, "rescue:1")
    page.wait_for_timeout(A_MOMENT)
    assert len(refreshes) == 1
    page.evaluate("window.before = true")
    if leaving:
        page.route(re.compile("/account$"), lambda route: pages.append(route))
        page.evaluate("location.assign('/account')")
        page.wait_for_timeout(300)
        assert len(pages) == 1  # the click's page is on its way
    refreshes[0].fulfill(status=200, headers={"HX-Refresh": "true"}, body="")
    page.unroute(asked)
    if not leaving:
        page.wait_for_function("() => !window.before")
        expect(page).to_have_url(re.compile("/$"))
        return
    page.wait_for_timeout(500)
    pages[0].continue_()
    expect(page).to_have_url(re.compile("/account$"))


def test_an_answer_is_taken_while_its_own_button_is_still_held(
    visit: Visit, borrow: Borrow
) -> None:
    """A quick answer comes before the press is over, which is 50 ms after the release."""
    name = borrow("web-2")
    desk = visit("alice")
    desk.page.evaluate(
        """() => {
          const real = window.setTimeout;
          window.setTimeout = (what, wait, ...more) =>
            real(what, wait === 50 ? 9000 : wait, ...more);
        }"""
    )
    dialog = desk.choose(name, "Start in rescue mode")
    dialog.get_by_role("button", name="Start in rescue mode", exact=True).click()
    expect(dialog).to_have_count(0, timeout=5000)


@pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8")
def test_what_changes_while_an_answer_settles_is_shown_too(visit: Visit, borrow: Borrow) -> None:
    """What a click brought does not listen until htmx let it settle: a change just then waits."""
    desk = visit("alice")
    page = desk.page
    machine_page(desk, borrow("web-2"))
    page.evaluate("htmx.config.defaultSettleDelay = 2000")  # longer than looking takes
    page.get_by_role("button", name=re.compile("^Look (at the disks|again)$")).click()
    expect(page.get_by_role("button", name="Mount on /mnt", exact=True)).to_be_enabled()


def test_where_many_look_on_a_page_asks_rarely_for_what_others_do(
    visit: Visit, borrow: Borrow
) -> None:
    name = borrow("web-2")
    desk = visit("alice")
    page = desk.page
    desk.start(name)
    mine = desk.told(name).get_attribute("id")
    assert mine
    page.route(
        re.compile("/events$"),
        lambda route: route.fulfill(
            content_type="text/event-stream", body="retry: 60000\nevent: pace\ndata: 6\n\n"
        ),
    )
    page.reload()
    expect(page.locator("#live")).to_have_attribute("data-state", "lost")  # the pace was told
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))

    others = "rescue:00000000-0000-0000-0000-000000000000"
    change(page, others)
    page.wait_for_timeout(3200)
    assert asked.count("notifications") == 1  # the first time soon, not all pages at once
    for _time in range(3):
        change(page, others)
    change(page, mine.replace("rescue-", "rescue:"))
    page.wait_for_timeout(500)
    assert asked.count("notifications") == 2  # what is mine, at once
    page.wait_for_timeout(6000)
    assert asked.count("notifications") == 3  # and the others' in the end, once
