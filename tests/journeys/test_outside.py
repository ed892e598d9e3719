"""Rescues that others begin or end, with a client and not with the panel."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def test_a_rescue_begun_with_the_client_shows_and_can_be_exited(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("dns-2")
    desk = visit("alice")
    cloud.outside(name, "rescue")
    desk.sees(name, "In rescue mode, started outside this panel")
    desk.sees(name, "it was shown to whoever started it")
    expect(desk.button(name, "Show password")).to_have_count(0)
    desk.leave(name)
    desk.sees(name, "Out of rescue mode")
    assert cloud.server(name)["vm_state"] == "active"


def test_a_rescue_ended_with_the_client_takes_its_password_along(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("web-eu-1")
    desk = visit("alice")
    desk.start(name)
    password = desk.password(name)
    cloud.outside(name, "unrescue")
    desk.sees(name, "Rescue mode was ended outside this panel")
    desk.sees(name, "The temporary password no longer works and was destroyed.")
    expect(desk.button(name, "Show password")).to_have_count(0)
    assert password not in desk.page.content()
    expect(desk.row(name)).to_contain_text("Running")


def test_a_rescue_the_cloud_ends_by_its_own_time_limit_is_told_so(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("web-eu-2")
    desk = visit("alice")
    cloud.fault(name, auto_exit=4)
    desk.start(name)
    desk.password(name)
    desk.sees(name, "The cloud ended rescue mode by its own time limit")
    expect(desk.secret(name)).to_have_count(0)


def test_what_cannot_be_done_says_why(visit: Visit) -> None:
    desk = visit("alice")
    for name, reason in {
        "billing": "The instance is locked: unlock it first.",
        "reports": "The instance is paused: resume it first.",
        "old-intranet": "The instance is shelved: unshelve it first.",
        "vpn": "The instance is already in rescue mode.",
    }.items():
        desk.arrow(name).click()
        start = desk.item("Start in rescue mode")
        expect(start).to_be_disabled()
        expect(start).to_have_accessible_description(reason)
        start.click(force=True)
        expect(desk.page.get_by_role("dialog")).to_have_count(0)
        desk.page.keyboard.press("Escape")
