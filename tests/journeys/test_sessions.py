"""Rescue sessions and what is told of them, in a browser and both languages."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud
from tests.journeys.test_accessibility import fine
from tests.journeys.visitor import Visitor
from tests.receivers import Receiver, receiving, verifies
from tests.services import wait_until

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
START, EXIT = "Start in rescue mode", "Exit rescue mode"
DECIDED = {
    "password_readers": "members", "auto_show_password": "on", "remind_hours": "4",
    "name": "Acme Web", "other_images": "",
}  # fmt: skip
HIDDEN = """
  Object.defineProperty(document, "hidden", { get: () => window.nobodyLooks === true });
  window.heard = [];
  const Real = window.Notification;
  window.Notification = class extends Real {
    constructor(title, options) { super(title, options); window.heard.push([title, options.body]); }
  };
"""


@pytest.fixture
def team(visitors: dict[str, Visitor]) -> Iterator[str]:
    """Give Acme Web's address, with a reason required and two hours at most; put it back."""
    alice = visitors["alice"]
    listed = alice.get("/teams").text
    found = re.search(r'href="(/teams/\d+)/members"[^>]*>(?:(?!</a>).)*Acme Web', listed, re.DOTALL)
    path = found[1] if found else re.findall(r'href="(/teams/\d+)', listed)[0]
    decided = alice.post(f"{path}/settings", **DECIDED, reason_required="on", rescue_hours="2")
    assert decided.status_code == 302, decided.text
    yield path
    assert alice.post(f"{path}/settings", **DECIDED).status_code == 302


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as serving:
        yield serving


def start_with_reason(desk: Desk, name: str, reason: str) -> None:
    """Start a rescue; the first try forgets the reason."""
    dialog = desk.choose(name, START)
    dialog.get_by_role("button", name=desk.say(START), exact=True).click()
    field = desk.dialog(START).get_by_label(desk.say("Reason or ticket"))
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(
        desk.say("Say why: the team wants a reason or a ticket.")
    )
    field.fill(reason)
    desk.confirm(desk.dialog(START), START)


@pytest.mark.parametrize(
    ("language", "name"), [pytest.param("en", "web-1", marks=pytest.mark.pages), ("fr", "lb-1")]
)
def test_a_rescue_from_its_reason_to_its_closing_report(
    visit: Visit, borrow: Borrow, team: str, cloud: Cloud, language: str, name: str
) -> None:
    desk, bob = visit("alice", language), visit("bob", language)
    page, say, told = desk.page, desk.say, desk.told(borrow(name))
    desk.search(name)
    reason = f"ticket 4711 {'x' * 120}"  # longer than a phone is wide, with no place to break it
    start_with_reason(desk, name, reason)
    password = desk.password(name)
    expect(told).to_contain_text("ticket 4711")
    left = told.locator("time[data-left]")
    expect(left).to_have_text(re.compile(say("{time} left").replace("{time}", r"1.h.5\d")))
    expect(desk.row(name).locator("time[data-left]")).to_be_visible()

    told.get_by_role("link", name=say("Details of the rescue of %(name)s") % {"name": name}).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    assert password not in page.locator("#main").inner_text()
    if language == "en":
        fine(page, "rescue session")
        page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_label(say("To"), exact=True).select_option("Bob")
    page.get_by_role("button", name=say("Hand over"), exact=True).click()
    main = page.locator("#main")
    expect(main).to_contain_text(say("Handed over to {to}").replace("{to}", "Bob"))
    expect(bob.told(name)).to_contain_text(say("In the care of %(name)s") % {"name": "Bob"})

    desk.page.goto("/")
    desk.leave(name)
    desk.sees(name, "Out of rescue mode")
    bob.page.goto(page.get_by_role("article", name=name, exact=True)
                  .get_by_role("link").first.get_attribute("href") or "")  # fmt: skip
    bob.page.get_by_label(say("Closing note")).fill("The key is back.")
    bob.page.get_by_role("button", name=say("Save the note")).click()
    expect(bob.page.locator(".closing")).to_have_text("The key is back.")
    with bob.page.expect_download() as loading:
        bob.page.get_by_role("link", name=say("Download the report")).click()
    text = loading.value.path().read_text()
    for words in ("ticket 4711", "The key is back.", say("Exit asked for"), "Bob"):
        assert words in text
    assert password not in text
    desk.page.goto(f"{team}/rescues")
    expect(desk.page.locator(".lines li").first).to_contain_text("ticket 4711")
    if language == "en":
        fine(desk.page, "past rescues")


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_a_webhook_is_added_tried_out_and_told_of_in_the_log(
    visit: Visit, receiver: Receiver, team: str, language: str
) -> None:
    desk = visit("alice", language)
    page, say = desk.page, desk.say
    page.goto(f"{team}/webhooks")
    page.get_by_role("link", name=say("Add a webhook")).click()
    page.get_by_label(say("Address"), exact=True).fill("https://10.0.0.1/")
    page.get_by_role("button", name=say("Add"), exact=True).click()
    refused = say("This address leads into a private network, where the panel does not go.")
    expect(page.get_by_label(say("Address"), exact=True)).to_have_accessible_description(
        re.compile(re.escape(refused))
    )
    page.get_by_label(say("Address"), exact=True).fill(receiver.url)
    page.get_by_role("button", name=say("Add"), exact=True).click()
    secret = page.locator("#signing-secret").inner_text()
    page.get_by_role("link", name=say("Go on to the webhook")).click()
    assert secret not in page.content()
    page.get_by_role("button", name=say("Send a test")).click()
    log = page.locator("#deliveries")
    expect(log).to_contain_text(f"{say('Delivered')} 200")
    assert verifies(receiver.posts[0], secret)
    assert json.loads(receiver.posts[0].body)["type"] == "test"
    if language == "en":
        fine(page, "webhook")
    page.get_by_role("link", name=say("Delete this webhook")).click()
    page.get_by_role("button", name=say("Delete"), exact=True).click()
    expect(page.locator("#main")).to_contain_text(say("No webhook yet."))


def test_a_rescue_is_told_to_a_webhook_and_by_the_browser(
    visit: Visit, borrow: Borrow, receiver: Receiver, team: str, visitors: dict[str, Visitor],
    cloud: Cloud,
) -> None:  # fmt: skip
    alice, name = visitors["alice"], borrow("web-1")
    shown = alice.post(f"{team}/webhooks/new", url=receiver.url).text
    secret = re.findall(r"whsec_[\w+/=]+", shown)[0]
    hook = re.findall(rf'"({team}/webhooks/\d+)"', shown)[0]
    desk = visit("alice", permissions=["notifications"])
    desk.page.add_init_script(HIDDEN)
    desk.page.goto("/")
    cloud.set(rescue_seconds=4)
    start_with_reason(desk, name, "ticket 1")
    desk.sees(name, "Rescue mode")
    ask = desk.page.get_by_role("button", name=desk.say("Notify me in this browser"))
    ask.click()
    expect(desk.page.locator("#notify-here")).to_have_attribute("aria-pressed", "true")
    desk.page.evaluate("window.nobodyLooks = true")
    heard = _heard(desk.page, desk.say("In rescue mode"))
    assert heard == [name, desk.say("In rescue mode")]
    wait_until(lambda: bool(receiver.posts), "the webhook being told", 20)
    assert verifies(receiver.posts[0], secret)
    message = json.loads(receiver.posts[0].body)
    assert (message["type"], message["data"]["instance"]["name"]) == ("rescue.ready", name)
    page_of_it = urlsplit(message["data"]["url"]).path
    assert "ticket 1" in alice.get(page_of_it).text
    alice.post(f"{hook}/delete")


def _heard(page: Page, words: str) -> Any:
    """Wait until the browser was told something."""
    page.wait_for_function("words => window.heard.some(([, body]) => body === words)", arg=words)
    return page.evaluate("window.heard.at(-1)")
