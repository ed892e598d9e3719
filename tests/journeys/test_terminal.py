"""The terminal in the browser, by keyboard alone: in, at work, out of it, and its end."""

import os
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import Desk
from tests.democloud.machines import can_listen
from tests.services import ROOT

pytestmark = [
    pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8"),
    pytest.mark.skipif(
        not (ROOT / "node_modules/@xterm/xterm").is_dir(), reason="needs npm: see scripts/frontend"
    ),
]


@pytest.mark.parametrize(
    ("language", "name"), [pytest.param("en", "web-2", marks=pytest.mark.pages), ("fr", "web-eu-1")]
)
def test_a_shell_by_keyboard_alone(
    visit: Callable[..., Desk], borrow: Callable[[str], str], language: str, name: str
) -> None:
    desk = visit("alice", language)
    page, say, told = desk.page, desk.say, desk.told(borrow(name))
    desk.search(name)
    desk.start(name)
    desk.sees(name, "In rescue mode")
    expect(told).to_contain_text(say("Proven: the temporary password lets one in"))
    told.get_by_role("link", name=say("Repair %(name)s") % {"name": name}).press("Enter")
    expect(page).to_have_url(re.compile("/machine$"))
    page.get_by_role("link", name=say("Open a terminal"), exact=True).press("Enter")

    state = page.get_by_role("region", name=say("Terminal"), exact=True).get_by_role("status")
    screen = page.locator(".xterm-rows")
    expect(state).to_have_text(say("Connected", "terminal"))
    expect(page.get_by_label(say("Terminal input"))).to_be_focused()
    page.keyboard.type("lsblk")
    page.keyboard.press("Enter")
    expect(screen).to_contain_text("vdb1")

    page.keyboard.press("Tab")  # a shell's own key: it does not lead out
    expect(page.get_by_label(say("Terminal input"))).to_be_focused()
    page.keyboard.press("Control+Shift+Enter")
    expect(page.get_by_role("button", name=say("Copy the selection"))).to_be_focused()

    page.get_by_label(say("Terminal input")).focus()
    page.keyboard.press("Control+c")
    page.keyboard.type("exit")
    page.keyboard.press("Enter")
    expect(state).to_contain_text(say("The shell has ended."))
    again = page.get_by_role("button", name=say("Connect again"))
    expect(again).to_be_focused()
    again.press("Enter")
    expect(state).to_have_text(
        say("Connected again. This is a new login: what ran before may have ended.")
    )


def test_keys_that_a_phone_lacks(visit: Callable[..., Desk], borrow: Callable[[str], str]) -> None:
    """Ctrl is held for one key: D ends the shell; the arrow brings back what was typed."""
    phone = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 844}}
    desk = visit("alice", "fr", **phone)
    page, say, told = desk.page, desk.say, desk.told(borrow("web-2"))
    desk.search("web-2")
    desk.start("web-2")
    expect(told).to_contain_text(say("Proven: the temporary password lets one in"))
    told.get_by_role("link", name=say("Repair %(name)s") % {"name": "web-2"}).tap()
    page.get_by_role("link", name=say("Open a terminal"), exact=True).tap()
    state = page.get_by_role("region", name=say("Terminal"), exact=True).get_by_role("status")
    expect(state).to_have_text(say("Connected", "terminal"))

    keys = page.get_by_role("group", name=say("Keys"))
    control = keys.get_by_role("button", name="Ctrl")
    page.keyboard.type("half a line")
    control.tap()
    expect(control).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label(say("Terminal input"))).to_be_focused()
    page.keyboard.type("c")
    expect(control).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".xterm-rows")).to_contain_text("^C")
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/terminal-keys.fr.light.390.png")
    control.tap()
    page.keyboard.type("d")
    expect(state).to_contain_text(say("The shell has ended."))
