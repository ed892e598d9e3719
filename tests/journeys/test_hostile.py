"""What is hostile: names of instances, and what people type into the search."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "متجر-الويب 🛒"])
def test_a_hostile_name_is_text_wherever_it_is_shown(
    visit: Visit, borrow: Borrow, cloud: Cloud, name: str
) -> None:
    borrow(name)
    desk = visit("alice")
    desk.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    desk.search(name)
    expect(desk.row(name).get_by_role("rowheader")).to_contain_text(name)
    dialog = desk.choose(name, "Start in rescue mode")
    expect(dialog).to_contain_text(name)
    desk.confirm(dialog, "Start in rescue mode")
    assert cloud.lets_in(name, desk.password(name))
    expect(desk.page.locator("#announcer")).not_to_have_text("")
    desk.leave(name)
    desk.sees(name, "Out of rescue mode")


SCRIPTS = ["<script>alert(1)</script>x", '"><img src=x onerror=alert(1)>', "'; --", "%00"]
LETTERS = ["💥🛟", "\u202eabc"]


def test_a_hostile_search_finds_nothing_and_runs_nothing(visit: Visit) -> None:
    desk = visit("alice")
    desk.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    nothing = desk.page.get_by_role("heading", name="No instance matches")
    for typed in SCRIPTS + LETTERS:
        desk.page.get_by_role("searchbox").fill(typed)
        expect(desk.page.locator("#instances")).to_contain_text(f"“{typed}”")
        expect(nothing).to_be_visible()
        desk.page.reload()
        expect(nothing).to_be_visible()
        expect(desk.page.get_by_role("searchbox")).to_have_value(typed)
