"""From a machine that does not start to the commands for it, with JavaScript and without."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import Desk

Visit = Callable[..., Desk]


@pytest.mark.parametrize(("language", "script"), [("fr", True), ("en", False)])
def test_the_fault_is_named_and_leads_to_its_commands(
    visit: Visit, language: str, script: bool
) -> None:
    desk = visit("alice", language, java_script_enabled=script)
    page, say = desk.page, desk.say
    page.goto(f"/instances/{_number(desk, 'db-replica')}/console")
    page.get_by_role("button", name=say("Read the console")).click()
    fault = page.get_by_text(say("The file system has to be checked"), exact=True)
    for _turn in range(20):
        if script or fault.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(fault).to_be_visible()
    expect(page.get_by_text("UNEXPECTED INCONSISTENCY")).to_be_visible()
    page.get_by_role("link", name=say("By hand")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(say("Check the file system"))
    first = page.get_by_role("button", name=say("Copy command")).first
    if script:
        first.click()
        expect(page.locator("#announcer")).to_have_text(say("Copied"))
    else:
        expect(first).to_be_hidden()
    expect(page.get_by_text("fsck -f /dev/vdb1", exact=True).first).to_be_visible()


def _number(desk: Desk, name: str) -> str:
    desk.page.goto(f"/?q={name}")
    return str(desk.page.locator("[data-instance]").first.get_attribute("data-instance"))
