"""The rescue flow through the panel, in a browser, on the real Nova."""

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import article, chromium, sign_in
from tests.lab.conftest import openstack
from tests.panel import Panel

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def _status(environment: dict[str, str], server: str) -> str:
    shown = openstack(environment, "server", "show", "-f", "json", "-c", "status", server)
    return str(json.loads(shown)["status"])


def _search(page: Page, name: str) -> None:
    page.get_by_role("searchbox").fill(name)
    arrow = page.get_by_role("button", name=f"Actions for {name}", exact=True)
    row = page.get_by_role("row").filter(has=arrow)
    # A server that is just made, or mended, may still be shown as it was.
    expect(row).to_contain_text("Running", timeout=40_000)


def _start(page: Page, name: str) -> float:
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name="Start in rescue mode", exact=True).click()
    dialog = page.get_by_role("dialog")
    picked = dialog.get_by_role("radiogroup", name="Rescue image").get_by_role(
        "radio", checked=True
    )
    expect(picked).to_have_accessible_name(re.compile("Debian Rescue"))
    clicked = time.monotonic()
    dialog.get_by_role("button", name="Start in rescue mode", exact=True).click()
    return clicked


def test_a_person_rescues_a_real_server_and_exits(
    lab_panel: Panel, lab_server: str, lab_environment: dict[str, str], knobs: Path
) -> None:
    knobs.write_text(json.dumps({"rescue_seconds": 5, "unrescue_seconds": 2}))
    with chromium() as browser:
        page = browser.new_page()
        sign_in(page, lab_panel.url)
        _search(page, lab_server)
        clicked = _start(page, lab_server)
        told = article(page, lab_server)
        expect(told).to_contain_text("In rescue mode", timeout=60_000)
        expect(told.get_by_role("button", name="Hide password")).to_be_visible(timeout=30_000)
        print(f"\nclick to password on screen: {time.monotonic() - clicked:.2f} s")
        assert _status(lab_environment, lab_server) == "RESCUE"
        page.reload()
        expect(
            article(page, lab_server).get_by_role("button", name="Show password")
        ).to_be_visible()
        page.get_by_role("button", name=f"Actions for {lab_server}", exact=True).click()
        page.get_by_role("menuitem", name="Exit rescue mode", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Exit rescue mode").click()
        expect(article(page, lab_server)).to_contain_text("Out of rescue mode", timeout=60_000)
        assert _status(lab_environment, lab_server) == "ACTIVE"


def test_a_rescue_begun_with_the_client_shows_and_can_be_exited(
    lab_panel: Panel, lab_server: str, lab_environment: dict[str, str], knobs: Path
) -> None:
    knobs.write_text(json.dumps({"rescue_seconds": 0, "unrescue_seconds": 0}))
    with chromium() as browser:
        page = browser.new_page()
        sign_in(page, lab_panel.url)
        openstack(lab_environment, "server", "rescue", "--image", "Debian 12", lab_server)
        told = article(page, lab_server)
        expect(told).to_contain_text("outside this panel", timeout=60_000)
        expect(told.get_by_role("button", name="Show password")).to_have_count(0)
        told.get_by_role("link", name="Exit rescue mode").click()
        page.get_by_role("dialog").get_by_role("button", name="Exit rescue mode").click()
        expect(article(page, lab_server)).to_contain_text("Out of rescue mode", timeout=60_000)
        assert _status(lab_environment, lab_server) == "ACTIVE"


def test_a_rescue_that_fails_on_the_host_says_so_and_the_way_back_works(
    lab_panel: Panel, lab_server: str, lab_environment: dict[str, str], knobs: Path
) -> None:
    knobs.write_text(json.dumps({"rescue_seconds": 1, "fail_rescue": True}))
    with chromium() as browser:
        page = browser.new_page()
        sign_in(page, lab_panel.url)
        _search(page, lab_server)
        _start(page, lab_server)
        told = article(page, lab_server)
        expect(told).to_contain_text("left the instance in error", timeout=60_000)
        assert _status(lab_environment, lab_server) == "ERROR"
        knobs.write_text("{}")
        told.get_by_role("link", name="Hard reboot").click()
        page.get_by_role("dialog").get_by_role("button", name="Hard reboot").click()
        expect(article(page, lab_server)).to_contain_text("Running again", timeout=60_000)
        assert _status(lab_environment, lab_server) == "ACTIVE"
