"""The whole flow without a mouse: each key does what it should, and the focus is never lost."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser import Desk
from tests.panel import PASSWORD

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def focused(locator: Locator) -> bool:
    """Tell whether the focus is on it."""
    return locator.count() == 1 and bool(
        locator.evaluate("element => element === document.activeElement")
    )


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press Tab until the focus is there."""
    for _ in range(80):
        if focused(wanted):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} never reaches {wanted}")


def sign_in_by_keys(page: Page, name: str) -> None:
    page.goto("/")
    tab_to(page, page.get_by_label("E-mail"))
    page.keyboard.type(f"{name}@example.org")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("table")).to_be_visible()


def search_by_keys(desk: Desk, name: str) -> None:
    tab_to(desk.page, desk.page.get_by_role("searchbox"))
    desk.page.keyboard.type(name)
    expect(desk.page.locator("tbody tr")).to_have_count(1)
    tab_to(desk.page, desk.arrow(name))


def choose_by_keys(desk: Desk, key: str) -> None:
    """Open the menu of the focused arrow with a key and choose what it proposes."""
    desk.page.keyboard.press(key)
    expect(desk.item("Start in rescue mode")).to_be_focused()
    desk.page.keyboard.press("Enter")


def test_the_first_tab_offers_to_skip_the_header(visit: Visit) -> None:
    desk = visit("alice")
    desk.page.keyboard.press("Tab")
    skip = desk.page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("main")).to_be_focused()


def test_the_menu_obeys_the_keys_of_a_menu(visit: Visit) -> None:
    desk = visit("alice")
    press = desk.page.keyboard.press
    desk.search("vpn")
    arrow, start, leave, diagnosis, history = (
        desk.arrow("vpn"),
        *map(desk.item, ("Start in rescue mode", "Exit rescue mode", "Diagnosis", "History")),
    )
    tab_to(desk.page, arrow)
    press("ArrowDown")
    expect(leave).to_be_focused()  # what can be used comes first
    press("ArrowDown")
    expect(diagnosis).to_be_focused()
    press("ArrowDown")
    expect(history).to_be_focused()
    press("ArrowDown")
    expect(start).to_be_focused()  # what cannot can be read, with its reason
    expect(start).to_have_accessible_description("The instance is already in rescue mode.")
    expect(start).to_be_disabled()
    press("Enter")
    expect(desk.page.get_by_role("dialog")).to_have_count(0)
    press("End")
    expect(history).to_be_focused()
    press("Home")
    expect(start).to_be_focused()
    press("e")
    expect(leave).to_be_focused()
    press("Escape")
    expect(leave).to_be_hidden()
    expect(arrow).to_be_focused()
    press("Enter")
    expect(leave).to_be_focused()
    press("Tab")
    expect(leave).to_be_hidden()


def test_a_person_rescues_an_instance_with_the_keyboard(visit: Visit, borrow: Borrow) -> None:
    name = borrow("web-3")
    desk = visit("")
    page, press = desk.page, desk.page.keyboard.press
    sign_in_by_keys(page, "alice")
    search_by_keys(desk, name)
    arrow = desk.arrow(name)

    choose_by_keys(desk, "ArrowDown")
    dialog = desk.dialog("Start in rescue mode")
    images = dialog.get_by_role("radio")
    expect(images.first).to_be_focused()
    press("ArrowDown")
    expect(images.nth(1)).to_be_checked()
    press("Escape")
    expect(dialog).to_have_count(0)
    expect(arrow).to_be_focused()

    choose_by_keys(desk, "Enter")
    expect(images.first).to_be_focused()
    tab_to(page, dialog.get_by_role("button", name="Start in rescue mode"))
    press("Enter")
    expect(dialog).to_have_count(0)
    expect(arrow).to_be_focused()

    password = desk.password(name)
    expect(desk.row(name)).to_contain_text("In rescue")
    expect(arrow).to_be_focused()  # though the row was drawn anew and the password came by itself
    tab_to(page, desk.button(name, "Hide password"))
    press("Enter")
    expect(desk.button(name, "Show password")).to_be_focused()
    press("Enter")
    expect(desk.secret(name)).to_have_text(password)
    expect(desk.button(name, "Copy password")).to_be_focused()

    leave = desk.told(name).get_by_role("link", name="Exit rescue mode")
    tab_to(page, leave)
    press("Enter")
    dialog = desk.dialog("Exit rescue mode")
    expect(dialog.get_by_role("button", name="Exit rescue mode")).to_be_focused()
    press("Escape")
    expect(leave).to_be_focused()
    press("Enter")
    expect(dialog.get_by_role("button", name="Exit rescue mode")).to_be_focused()
    press("Enter")
    desk.sees(name, "Out of rescue mode")
    expect(page.locator("body")).not_to_be_focused()
    tab_to(page, desk.button(name, "Dismiss"))
    press("Enter")
    expect(desk.told(name)).to_have_count(0)
    expect(page.locator("body")).not_to_be_focused()
