"""Every page of the urlconf is sound in both languages, light and dark, on a phone and a desk.

``make pages``; with ``SHOTS=screenshots`` it keeps a picture of each in all looks. ``make test``
asks only whether each page of the urlconf is among them.
"""

import gettext
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.journeys import places
from tests.journeys.cloud import Cloud
from tests.journeys.conftest import Watch
from tests.journeys.places import Visit
from tests.journeys.test_accessibility import PHONE, WIDE, fine
from tests.journeys.visitor import Visitor
from tests.panel import PASSWORD
from tests.services import ROOT, RedisServer, running_demo, running_democloud, wait_until

SHOTS = os.environ.get("SHOTS", "")
LOOKS: dict[str, tuple[str, Any]] = {"en": ("light", PHONE), "fr": ("dark", WIDE)}
WORDS = gettext.translation("django", ROOT / "locale", ["fr"])
# What a page says, without what people and clouds wrote: that stands in <bdi> or <code>.
SAID = """() => {
  const ours = (e) => e.checkVisibility() && e.closest("[lang]") === document.documentElement
    && !e.closest("bdi, code, pre, textarea, script, style, option, .avatar");
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  const say = (e, text) => { if (ours(e)) found.push(text); };
  while (walker.nextNode()) say(walker.currentNode.parentElement, walker.currentNode.data);
  for (const name of ["aria-label", "title", "placeholder", "alt"])
    for (const e of document.querySelectorAll(`[${name}]`)) say(e, e.getAttribute(name));
  return found.map((text) => text.replace(/\\s+/g, " ").trim()).filter(Boolean);
}"""
SECTIONS = list(dict.fromkeys(visit.section for visit in places.VISITS))
titles: dict[tuple[str, str], str] = {}


def test_every_page_is_visited() -> None:
    placed, there = {one.address for one in places.PLACED}, set(places.answering_get())
    missing = sorted(there - placed)
    assert not missing, f"Say in tests/journeys/places.py who visits these: {missing}"
    assert not placed - there, "These are gone; take them out of tests/journeys/places.py"


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[SimpleNamespace]:
    """Give a demo with one thing of each kind in it."""
    if standing := os.environ.get("LOOKS_HOUSE"):
        yield SimpleNamespace(**json.loads(Path(standing).read_text()))
        return
    folder = tmp_path_factory.mktemp("house")
    provider = {"OIDC_ISSUER": "https://id.example.org", "OIDC_CLIENT_ID": "p"}
    ours = {"REDIS_URL": f"{redis_server.url[:-1]}1", "OPEN_SIGN_UP": "1"}
    with ExitStack() as stack:
        provider["KEYSTONE_SIGN_IN_URL"] = stack.enter_context(running_democloud("--instant"))
        known_to_the_cloud(provider["KEYSTONE_SIGN_IN_URL"])
        demo = stack.enter_context(running_demo(folder, **ours, **provider, OIDC_CLIENT_SECRET="s"))
        Cloud.of_credentials(folder / "data/credentials.json").heal()
        alice = Visitor(demo.url, "alice")
        wait_until(lambda: 'title="web-1"' in alice.get("/?q=web-1").text, "the list", 30)
        known = {
            "DJANGO_SETTINGS_MODULE": "rescuepanel.settings",
            "DEMO": "1",
            "DEMO_DIR": str(folder / "data"),
            "PANEL_URL": demo.url,
        }
        command = [sys.executable, "-m", "tests.journeys.furnished"]
        environment = {**os.environ, **ours, **known}
        for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL"):
            environment.pop(name, None)
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        assert told.returncode == 0, told.stderr.decode()
        yield SimpleNamespace(url=demo.url, things=json.loads(told.stdout))


def known_to_the_cloud(keystone: str) -> None:
    """Give a user of the cloud a password of its own."""
    user = f"{keystone.removesuffix('/identity/v3')}/_demo/users/alice"
    httpx.put(user, json={"password": PASSWORD}).raise_for_status()


class Guests:
    """A browser page for each visitor in each language."""

    def __init__(self, browser: Browser, house: SimpleNamespace) -> None:
        self.browser, self.house = browser, house
        self.pages: dict[tuple[str, str], Page] = {}
        self.sessions: dict[str, Visitor] = {}
        self.watch = Watch()

    def page(self, who: str, language: str) -> Page:
        if (who, language) not in self.pages:
            self.pages[who, language] = self._context(who, language).new_page()
        return self.pages[who, language]

    def _context(self, who: str, language: str) -> BrowserContext:
        locale = {"en": "en-GB", "fr": "fr-FR"}[language]
        context = self.browser.new_context(base_url=self.house.url, locale=locale)
        context.on("page", self.watch.over)
        for cookie in self._session(who).http.cookies.jar:
            kept = {"name": cookie.name, "value": str(cookie.value), "url": self.house.url}
            context.add_cookies([kept])  # type: ignore[list-item]
        return context

    def _session(self, who: str) -> Visitor:
        """Sign a visitor in as people do; both languages share the session."""
        if who not in self.sessions:
            name, _, more = who.partition("-")
            session = Visitor(self.house.url, "" if who == "nobody" else name)
            if who == "dora":
                session.post("/account/second-factor", code=self.house.things["code"])
            if who in ("alice", "dora"):  # some pages want it to be just now
                session.post("/account/again", password=PASSWORD)
            if more == "for-alice":
                path = f"/staff/people/{self.house.things['alice']}/impersonate"
                session.post(path, reason="Ticket 4712")
            self.sessions[who] = session
        return self.sessions[who]


@pytest.fixture(scope="module")
def guests(browser: Browser, house: SimpleNamespace) -> Iterator[Guests]:
    guests = Guests(browser, house)
    yield guests
    for page in guests.pages.values():
        page.context.close()


@pytest.mark.pages
@pytest.mark.timeout(600)
@pytest.mark.parametrize("section", SECTIONS)
def test_pages_are_sound(section: str, guests: Guests) -> None:
    wrong: list[str] = []
    guests.watch.complaints.clear()
    for visit in (one for one in places.VISITS if one.section == section):
        pages = {language: guests.page(visit.who, language) for language in LOOKS}
        found = look(visit, pages, guests.house.things)
        wrong += [f"{visit.name}: {problem}" for problem in found]
        if SHOTS:
            shoot(visit, pages)
    wrong += guests.watch.complaints
    assert not wrong, "\n".join(wrong)


@pytest.mark.pages
def test_what_follows_a_clouds_password_is_sound(guests: Guests) -> None:
    """The steps of a first sign-in by Keystone: no address leads to them, only a form."""
    steps = ("address", "sent")
    visits = {step: Visit("nobody", f"account/keystone/{step}", "", ()) for step in steps}
    pages = {language: guests.page("nobody", language) for language in LOOKS}
    wrong: list[str] = []
    for step, visit in visits.items():
        for page in pages.values():
            if step == "address":
                page.goto("/account/keystone")
                page.locator("[name=username]").fill("alice")
                page.locator("[name=password]").fill(PASSWORD)
            else:
                page.locator("[name=email]").fill("newcomer@example.org")
            page.locator("main form").last.get_by_role("button").last.click()
            page.wait_for_url(f"**/account/keystone{'/address' if step == 'sent' else ''}")
        wrong += [f"{step}: {problem}" for problem in problems_of(visit, pages)]
        if SHOTS:
            keep(visit, pages)
    assert not wrong, "\n".join(wrong)


def look(visit: Visit, pages: dict[str, Page], things: dict[str, object]) -> Iterator[str]:
    """Open a page in each language; say what is wrong with it."""
    for page in pages.values():
        page.goto(visit.path(things))
    yield from problems_of(visit, pages)


def problems_of(visit: Visit, pages: dict[str, Page]) -> Iterator[str]:
    """Say what is wrong with a page that is open in each language."""
    for language, page in pages.items():
        page.set_viewport_size(LOOKS[language][1])
        yield from laid_out(page, language)
        yield from titled(page, language, visit)
        if not visit.address.startswith("admin/"):  # the markup and the words there are Django's
            yield from axe(page, visit, *LOOKS[language])
            yield from in_english(page)
    if not visit.address.startswith("admin/"):
        yield from alike(pages)


def laid_out(page: Page, language: str) -> Iterator[str]:
    for one in (PHONE, WIDE):
        page.set_viewport_size(one)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            yield f"{language} scrolls sideways at {one['width']} px"
    if (headings := page.locator("h1:visible").count()) != 1:
        yield f"{headings} headings of the first level"


def titled(page: Page, language: str, visit: Visit) -> Iterator[str]:
    if (lang := page.locator("html").get_attribute("lang")) != language:
        yield f"lang is {lang}, not {language}"
    title = page.title()
    mine = titles.setdefault((language, title), visit.address)
    if title.startswith("·") or not visit.address.startswith(mine):  # a step may share it
        yield f"the title {title!r} is another page's: {mine}"


def axe(page: Page, visit: Visit, scheme: Any, size: Any) -> Iterator[str]:
    try:
        fine(page, visit.name, [(scheme, size)])
    except AssertionError as error:
        yield str(error)


def in_english(page: Page) -> Iterator[str]:
    """Find texts of a French page that the catalogue has in other words."""
    if page.locator("html").get_attribute("lang") == "fr":
        found = page.evaluate(SAID)
        yield from (f"in English: {text!r}" for text in found if WORDS.gettext(text) != text)


def alike(pages: dict[str, Page]) -> Iterator[str]:
    """Find sentences that are the same in both languages."""
    english, french = (set(page.evaluate(SAID)) for page in pages.values())
    for text in english & french:
        if sum(bool(re.fullmatch(r"[A-Za-z’]{2,}[.,:]?", word)) for word in text.split()) > 2:
            yield f"the same in both languages: {text!r}"


def shoot(visit: Visit, pages: dict[str, Page]) -> None:
    """Keep a picture of the page in each of its eight looks."""
    keep(visit, pages, anew=True)


def keep(visit: Visit, pages: dict[str, Page], *, anew: bool = False) -> None:
    """Keep pictures of what is open; ``anew``: loaded again in each size."""
    Path(SHOTS).mkdir(parents=True, exist_ok=True)
    for (language, page), size in product(pages.items(), (PHONE, WIDE)):
        page.set_viewport_size(size)
        if anew:
            page.reload()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            name = f"{visit.name}.{language}.{scheme}.{size['width']}.png"
            page.screenshot(path=Path(SHOTS) / name, full_page=True, animations="disabled")
