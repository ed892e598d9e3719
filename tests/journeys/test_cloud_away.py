"""A cloud that does not answer: said, with the last known state; all goes on when it is back."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud

Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def test_the_list_says_that_the_cloud_is_away_and_shows_what_it_last_told(
    visit: Visit, cloud: Cloud
) -> None:
    desk = visit("alice")
    banner = desk.page.get_by_role("status").filter(has_text="Demo-GRA")
    expect(banner).to_have_count(0)
    cloud.set(nova_down="503")
    expect(banner).to_contain_text("What you see is what it last told", timeout=30_000)
    expect(banner).to_contain_text("State as of")
    expect(desk.arrow("web-1")).to_be_visible()
    desk.page.reload()
    expect(banner).to_be_visible()
    expect(desk.row("web-1")).to_contain_text("Running")
    cloud.heal()
    expect(banner).to_have_count(0, timeout=45_000)


def test_a_rescue_asked_for_while_the_cloud_is_away_waits_and_then_happens(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("web-2")
    desk = visit("alice")
    cloud.set(nova_down="drop")
    desk.start(name)
    desk.sees(name, "We keep trying; nothing is lost.")
    expect(desk.button(name, "Cancel")).to_be_visible()
    cloud.heal()
    expect(desk.secret(name)).to_be_visible(timeout=45_000)
    assert len(cloud.actions(name)) == 1


def test_a_rescue_not_yet_asked_of_the_cloud_can_be_cancelled(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("web-4")
    desk = visit("alice")
    cloud.set(nova_down="503")
    desk.start(name)
    desk.sees(name, "nothing is lost")
    desk.button(name, "Cancel").click()
    desk.sees(name, "Cancelled")
    cloud.heal()
    assert cloud.actions(name) == []
    desk.button(name, "Dismiss").click()
    expect(desk.told(name)).to_have_count(0)
