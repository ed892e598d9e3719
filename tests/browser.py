"""Chromium for tests, and the panel's pages by the names that people and screen readers meet."""

import gettext
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.panel import PASSWORD
from tests.services import ROOT

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Say = Callable[..., str]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


def saying(language: str) -> Say:
    """Return what turns the interface's English, and its context, into one of its languages."""
    if language == "en":
        return english
    words = gettext.translation("django", ROOT / "locale", [language])
    return lambda text, *context: words.pgettext(*context, text) if context else words.gettext(text)


def english(text: str, *_context: str) -> str:
    """Return the words as they are."""
    return text


def sign_in(page: Page, url: str, name: str = "alice") -> None:
    """Sign in as one of the cast and wait for the list."""
    page.goto(url)
    page.get_by_label(re.compile("^(E-?mail|Adresse|Courriel)")).fill(f"{name}@example.org")
    page.get_by_label(re.compile("^(Password|Mot de passe)$")).fill(PASSWORD)
    page.get_by_role("button", name=re.compile("^(Sign in|Se connecter)$")).click()
    expect(page.get_by_role("searchbox")).to_be_visible()


def article(page: Page, instance: str) -> Locator:
    """Return the notification of an instance's rescue."""
    region = page.get_by_role("region", name="Notifications")
    return region.get_by_role("article", name=instance, exact=True)


class Desk:
    """One person at the panel; names are given in English and looked for in the page's language."""

    def __init__(self, page: Page, say: Say = english) -> None:
        self.page, self.say = page, say

    def search(self, name: str) -> None:
        """Search the list until the instance is the one that is left."""
        self.page.get_by_role("searchbox").fill(name)
        expect(self.page.locator("tbody tr")).to_have_count(1)
        expect(self.arrow(name)).to_be_visible()

    def arrow(self, name: str) -> Locator:
        """Return the button that opens an instance's menu."""
        words = self.say("Actions for %(name)s") % {"name": name}
        return self.page.get_by_role("button", name=words, exact=True)

    def row(self, name: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.arrow(name))

    def item(self, action: str) -> Locator:
        """Return an entry of the menu that is open."""
        return self.page.get_by_role("menuitem", name=self.say(action), exact=True)

    def choose(self, name: str, action: str) -> Locator:
        """Open the menu of an instance and choose; return the dialog that opens."""
        self.arrow(name).click()
        self.item(action).click()
        return self.dialog(action)

    def dialog(self, title: str) -> Locator:
        return self.page.get_by_role("dialog", name=self.say(title))

    def confirm(self, dialog: Locator, action: str) -> None:
        """Press the button of the dialog's name and see it close."""
        dialog.get_by_role("button", name=self.say(action), exact=True).click()
        expect(dialog).to_have_count(0)

    def start(self, name: str) -> Locator:
        """Start a rescue with the image that is proposed; return its notification."""
        self.confirm(self.choose(name, "Start in rescue mode"), "Start in rescue mode")
        return self.told(name)

    def leave(self, name: str) -> Locator:
        """Exit a rescue from the menu; return its notification."""
        self.confirm(self.choose(name, "Exit rescue mode"), "Exit rescue mode")
        return self.told(name)

    def told(self, name: str) -> Locator:
        return article(self.page, name)

    def button(self, name: str, label: str) -> Locator:
        """Return a button of an instance's notification."""
        return self.told(name).get_by_role("button", name=self.say(label), exact=True)

    def secret(self, name: str) -> Locator:
        """Return where an instance's temporary password is shown."""
        words = self.say("Temporary password")
        return self.told(name).get_by_role("status", name=words, exact=True)

    def password(self, name: str) -> str:
        """Wait until the password is shown; return it."""
        expect(self.secret(name)).to_be_visible()
        return self.secret(name).inner_text().strip()

    def sees(self, name: str, sentence: str) -> None:
        """Wait until the notification of an instance says something."""
        expect(self.told(name)).to_contain_text(self.say(sentence))
