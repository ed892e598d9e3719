"""Staff find a customer, act in his stead in sight of both, and are lent one password."""

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser import Desk, sign_in
from tests.journeys.test_accessibility import fine

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def begin(sam: Desk) -> None:
    """Find alice and begin to act for her."""
    sam.page.goto("/staff")
    sam.page.get_by_role("searchbox").fill("acme alice")
    sam.page.get_by_role("button", name=sam.say("Search"), exact=True).click()
    sam.page.get_by_role("link", name=sam.say("Act for %(name)s") % {"name": "Alice"}).click()
    reason = sam.page.get_by_label(sam.say("Reason"), exact=True)
    submit = sam.page.get_by_role("button", name=sam.say("Impersonate"), exact=True)
    reason.fill("abc")
    submit.click()
    expect(sam.page.locator("#id_reason_error")).to_be_visible()
    reason.fill("Ticket 4711")
    submit.click()
    expect(banner(sam)).to_contain_text(sam.say("You act for %(name)s") % {"name": "Alice"})


def banner(desk: Desk) -> Locator:
    return desk.page.get_by_role("region", name=desk.say("Acting for a customer"))


def notice(desk: Desk) -> Locator:
    return desk.page.get_by_role("region", name=desk.say("Staff access"))


def press(desk: Desk, name: str, label: str) -> None:
    desk.button(name, label).click()


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_the_whole_way(visit: Visit, borrow: Borrow, demo: SimpleNamespace, language: str) -> None:
    name = borrow("web-1")
    alice, sam = visit("alice", language), visit("", language)
    expect(alice.arrow(name)).to_be_visible()
    sign_in(sam.page, demo.url, "sam")
    begin(sam)

    # both see it at once, also in a page that was open before
    expect(notice(alice)).to_contain_text("Ticket 4711")
    sam.start(name)
    sam.sees(name, "In rescue mode")
    expect(banner(sam)).to_be_visible()
    password = alice.password(name)

    # asked, allowed, read
    expect(sam.button(name, "Show password")).to_have_count(0)
    assert password not in sam.page.content()
    press(sam, name, "Ask for the password")
    press(alice, name, "Allow for 15 minutes")
    press(sam, name, "Show password")
    assert sam.password(name) == password
    expect(banner(sam)).to_be_visible()

    # taken back, gone
    stop = sam.page.locator("#stop-acting").element_handle()
    press(alice, name, "Withdraw")
    expect(sam.secret(name)).to_have_count(0)
    expect(sam.button(name, "Show password")).to_have_count(0)

    assert stop.evaluate("button => button.isConnected"), "fragments left it under the pointer"
    sam.page.get_by_role("button", name=sam.say("Stop"), exact=True).click()
    expect(sam.page).to_have_url(re.compile("/staff$"))
    expect(banner(sam)).to_have_count(0)
    expect(notice(alice)).to_have_count(0)
    alice.page.goto("/account/staff-access")
    row = alice.page.get_by_role("listitem").filter(has_text="Ticket 4711").first
    row.get_by_text(alice.say("What was done"), exact=True).click()
    for act in (
        "Asked for rescue mode",
        "Staff asked to read the temporary password",
        "Read the temporary password",
    ):
        expect(row.get_by_text(alice.say(act)).first).to_be_visible()


def test_the_customer_ends_it(visit: Visit, demo: SimpleNamespace) -> None:
    alice, sam = visit("alice"), visit("")
    sign_in(sam.page, demo.url, "sam")
    begin(sam)
    notice(alice).get_by_role("button", name="End this access").click()
    expect(alice.page.get_by_text("The access was ended.")).to_be_visible()
    expect(banner(sam)).to_contain_text("You no longer act for Alice")
    banner(sam).get_by_role("link", name="Back to the staff page").click()
    expect(sam.page.get_by_role("heading", name="People and teams")).to_be_visible()


def test_a_page_opened_before_is_told_with_its_next_fragment(
    visit: Visit, demo: SimpleNamespace
) -> None:
    sam = visit("")
    sign_in(sam.page, demo.url, "sam")
    before = Desk(sam.page.context.new_page())
    before.page.goto("/")
    begin(sam)
    expect(banner(before)).to_have_count(0)
    before.page.get_by_role("searchbox").fill("web")
    expect(banner(before)).to_contain_text("You act for Alice")
    expect(before.arrow("web-1")).to_be_visible()
    banner(before).get_by_role("button", name="Stop").click()


def test_what_a_row_that_is_gone_asked_for_is_dropped(visit: Visit, demo: SimpleNamespace) -> None:
    sam = visit("")
    sign_in(sam.page, demo.url, "sam")
    begin(sam)
    sam.search("web-1")
    late: list[Route] = []
    sam.page.route("**/instances/*/row*", lambda route: late.append(route))
    with sam.page.expect_event("requestfailed"):  # nobody waits for it any more
        sam.page.evaluate("htmx.trigger(document.querySelector('tr.row'), 'refresh')")
        sam.page.get_by_role("searchbox").fill("vpn")
        expect(sam.arrow("web-1")).to_have_count(0)
    assert late
    expect(sam.arrow("vpn")).to_be_visible()
    expect(banner(sam)).to_contain_text("You act for Alice")
    banner(sam).get_by_role("button", name="Stop").click()


@pytest.mark.pages
def test_accessible_without_javascript_and_in_the_admin(
    visit: Visit, demo: SimpleNamespace
) -> None:
    sam = visit("")
    sign_in(sam.page, demo.url, "sam")
    begin(sam)
    fine(sam.page, "acting")
    alice = visit("alice")
    fine(alice.page, "told of staff")
    alice.page.goto("/account/staff-access")
    fine(alice.page, "staff access")
    banner(sam).get_by_role("button", name="Stop").click()
    fine(sam.page, "staff")
    sam.page.get_by_role("link", name="Act for Alice").click()
    fine(sam.page, "impersonate")
    # the admin works under our policy: the watch over the pages hears every violation
    for path in ("/admin/", "/admin/teams/user/", "/admin/instances/rescue/"):
        assert sam.page.goto(path)
        expect(sam.page.get_by_role("heading").first).to_be_visible()
    sam.page.get_by_role("link").filter(has_text=re.compile("[0-9]{4}")).first.click()
    expect(sam.page.get_by_role("heading").first).to_be_visible()
