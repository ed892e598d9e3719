"""Chromium for tests, and the panel's pages by the names that people and screen readers meet."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.panel import PASSWORD

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


def sign_in(page: Page, url: str, name: str = "alice") -> None:
    """Sign in as one of the cast and wait for the list."""
    page.goto(url)
    page.get_by_label(re.compile("^E-?mail")).fill(f"{name}@example.org")
    page.get_by_label(re.compile("^(Password|Mot de passe)$")).fill(PASSWORD)
    page.get_by_role("button", name=re.compile("^(Sign in|Se connecter)$")).click()
    expect(page.get_by_role("table")).to_be_visible()


def article(page: Page, instance: str) -> Locator:
    """Return the notification of an instance's rescue."""
    region = page.get_by_role("region", name="Notifications")
    return region.get_by_role("article", name=instance, exact=True)
