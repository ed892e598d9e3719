"""Rescues that fail: said in plain words, with the way back beside them."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def reboot(desk: Desk, name: str) -> None:
    """Take the way back that the notification offers."""
    desk.told(name).get_by_role("link", name="Hard reboot").click()
    desk.confirm(desk.dialog("Hard reboot"), "Hard reboot")
    desk.sees(name, "Running again after a hard reboot")
    expect(desk.row(name)).to_contain_text("Running")


def test_a_rescue_that_breaks_the_instance_offers_the_way_back(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("legacy-norescue")
    desk = visit("alice")
    told = desk.start(name)
    desk.sees(name, "Rescue mode failed and left the instance in error")
    desk.sees(name, "Your disk is untouched.")
    expect(told.get_by_role("listitem").filter(has_text="failed")).to_have_count(1)
    told.get_by_text("The cloud’s own words").click()
    expect(told.get_by_text("the hypervisor was told to fail")).to_be_visible()
    expect(desk.button(name, "Show password")).to_have_count(0)
    expect(desk.row(name)).to_contain_text("Error")

    desk.arrow(name).click()
    expect(desk.item("Hard reboot")).to_be_enabled()
    desk.page.keyboard.press("Escape")
    reboot(desk, name)
    assert cloud.server(name)["vm_state"] == "active"


def test_a_rescue_that_silently_does_not_happen_is_told_and_can_be_tried_again(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("cache-1")
    cloud.fault(name, silent_revert=1)
    desk = visit("alice")
    told = desk.start(name)
    desk.sees(name, "Rescue mode did not start")
    desk.sees(name, "The instance is as it was before.")
    told.get_by_role("link", name="Try again").click()
    desk.confirm(desk.dialog("Start in rescue mode"), "Start in rescue mode")
    expect(told.first).to_contain_text("Ready after")
    desk.leave(name)
    expect(told.first).to_contain_text("Out of rescue mode")


def test_an_exit_that_breaks_the_instance_offers_the_way_back(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("backup-nounrescue")
    desk = visit("alice")
    desk.start(name)
    desk.password(name)
    desk.leave(name)
    desk.sees(name, "The exit failed and left the instance in error")
    reboot(desk, name)
    assert cloud.server(name)["vm_state"] == "active"


def test_an_answer_that_got_lost_is_found_again_without_asking_twice(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("dns-1")
    cloud.fault(name, lost_reply=1)
    desk = visit("alice")
    desk.start(name)
    password = desk.password(name)
    assert cloud.lets_in(name, password)
    assert len(cloud.actions(name)) == 1


def test_a_host_that_does_not_answer_is_said_and_waited_for(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("db-replica")
    cloud.fault(name, host_silent=True)
    desk = visit("alice")
    told = desk.start(name)
    desk.sees(name, "Rescue mode is starting")
    stage = told.locator("[aria-current=step]")
    expect(stage).to_contain_text("Accepted")
    cloud.heal()
    assert cloud.lets_in(name, desk.password(name))
