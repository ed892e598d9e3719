"""On a phone the notifications lie over the page: there they keep out of the way."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser import Desk
from tests.journeys.visitor import Visitor

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def sheet(desk: Desk) -> Locator:
    return desk.page.locator(".panel-fold")


def fold(desk: Desk) -> None:
    """Open or fold the notifications by hand."""
    desk.page.locator(".panel-head").click()


def test_it_begins_folded_on_other_pages_than_the_list(visit: Visit, borrow: Borrow) -> None:
    name = borrow("web-2")
    desk = visit("alice", **PHONE)
    desk.search(name)
    desk.start(name)
    desk.password(name)
    expect(sheet(desk)).to_have_attribute("open", "")
    desk.page.goto("/teams")
    expect(sheet(desk)).not_to_have_attribute("open", "")
    expect(desk.page.locator(".panel-head .count")).to_be_visible()
    desk.page.goto("/")
    expect(sheet(desk)).to_have_attribute("open", "")
    fold(desk)  # folded by hand it stays so, here too
    desk.page.reload()
    expect(sheet(desk)).not_to_have_attribute("open", "")


def test_what_is_new_opens_it(visit: Visit, borrow: Borrow, visitors: dict[str, Visitor]) -> None:
    there, new, later = borrow("web-2"), borrow("lb-1"), borrow("lb-2")
    desk = visit("alice", **PHONE)
    desk.search(there)
    expect(desk.start(there)).to_be_visible()
    desk.page.goto("/teams")
    expect(sheet(desk)).not_to_have_attribute("open", "")
    start(visitors["alice"], new)
    expect(desk.told(new)).to_be_visible()
    fold(desk)
    desk.page.goto("about:blank")
    start(visitors["alice"], later)  # came while no page was open
    desk.page.goto("/account")
    expect(desk.told(later)).to_be_visible()


def start(visitor: Visitor, name: str) -> None:
    """Start a rescue by the form of its page."""
    path = f"/instances/{visitor.instance(name)}/rescue"
    page = visitor.get(path).text
    fields = {
        field: page.partition(f'name="{field}"')[2].partition('value="')[2].partition('"')[0]
        for field in ("image", "idempotency_key")
    }
    assert visitor.post(path, **fields).status_code == 302


def test_it_makes_way_for_a_field(visit: Visit, borrow: Borrow) -> None:
    name = borrow("web-2")
    desk = visit("alice", **PHONE)
    desk.search(name)
    expect(desk.start(name)).to_be_visible()
    desk.page.goto("/account/keys")
    fold(desk)
    expect(sheet(desk)).to_have_attribute("open", "")
    field = desk.page.get_by_label("Public key")
    field.focus()
    expect(sheet(desk)).not_to_have_attribute("open", "")
    top = field.evaluate(
        "field => { const box = field.getBoundingClientRect();"
        " return document.elementFromPoint(box.x + box.width / 2, box.bottom - 8) === field }"
    )
    assert top, "nothing lies over what one types into"


def test_the_page_one_is_on_is_in_sight_among_the_pages(visit: Visit) -> None:
    desk = visit("alice", **PHONE)
    desk.page.goto("/account/keys")
    expect(desk.page.locator(".side [aria-current]")).to_be_in_viewport(ratio=1)
