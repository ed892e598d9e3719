"""A menu left open while the instance changes: it follows, and nothing is done blindly."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def opened(desk: Desk, name: str) -> None:
    desk.search(name)
    desk.arrow(name).click()
    expect(desk.item("Start in rescue mode")).not_to_have_attribute("aria-disabled", "true")
    expect(desk.item("Start in rescue mode")).to_be_focused()


def test_an_open_menu_changes_in_its_place(visit: Visit, borrow: Borrow, cloud: Cloud) -> None:
    name = borrow("web-2")
    desk = visit("alice")
    opened(desk, name)
    cloud.outside(name, "rescue")
    expect(desk.item("Start in rescue mode")).to_have_attribute("aria-disabled", "true")
    expect(desk.item("Start in rescue mode")).to_be_focused()
    desk.item("Exit rescue mode").click()
    expect(desk.dialog("Exit rescue mode")).to_be_visible()
    desk.page.keyboard.press("Escape")
    expect(desk.row(name)).to_contain_text("In rescue mode")


def test_a_choice_that_came_too_late_is_explained(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("web-2")
    desk = visit("alice")
    opened(desk, name)
    desk.page.route("**/instances/*/row*", lambda route: route.fulfill(status=204))
    cloud.outside(name, "rescue")
    expect(desk.told(name)).to_be_visible()
    desk.item("Start in rescue mode").click()
    dialog = desk.dialog("Start in rescue mode")
    expect(dialog.get_by_text("The instance is already in rescue mode.")).to_be_visible()
    expect(dialog.get_by_role("button", name="Start in rescue mode")).to_be_disabled()
