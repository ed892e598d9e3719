"""A cloud in which every string is hostile, in a real browser: nothing runs, nothing breaks.

The strings come the whole way: a cloud's JSON over HTTP, the mirror, the page. ``FUZZ_MINUTES``
deals them out anew, so that each string comes by each place.
"""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as ours
from django.test import Client
from playwright.sync_api import Browser, Page

from instances import choices, consoles, inventory, rescue, tasks
from instances.bulk import asked
from instances.models import CloudMirror, Image, Instance, Rescue
from tests.fuzz.costume import Costume
from tests.fuzz.front import Front, before
from tests.fuzz.rounds import rounds
from tests.instances import rows
from tests.instances.conftest import (  # noqa: F401
    account,
    credential,
    drive,
    fresh_connections,
)
from tests.journeys.test_accessibility import PHONE, WIDE

SHOTS = os.environ.get("SHOTS", "")
LISTEN = """
window.broken = [];
document.addEventListener("securitypolicyviolation",
  (e) => window.broken.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`), true);
"""
#: what reaches beyond the page and lies in nothing that cuts it off or scrolls by itself
TOO_WIDE = """() => {
  const held = (e) => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  const found = [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility()
    && e.getBoundingClientRect().right > innerWidth + 1 && !held(e));
  const wide = document.documentElement.scrollWidth > innerWidth ? ["it scrolls sideways"] : [];
  return wide.concat(found.slice(0, 3).map((e) => e.outerHTML.slice(0, 300)));
}"""


class Eyes:
    """One page of a browser, and what was wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.wrong: list[str] = []
        self.looked = 0
        page.add_init_script(LISTEN)
        page.set_default_timeout(120_000)
        page.route("**/events*", lambda route: route.abort())  # the stream needs the real server
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("request", self._asked)
        page.on("response", self._answered)
        page.on("console", self._said)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")) or "/healthz" in request.url:
            self.wrong.append(f"asked for {request.url}")

    def _answered(self, response: Any) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} {response.url}")

    def _said(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            self.wrong.append(f"CSP: {message.text}")

    def look(self, path: str) -> None:
        """Open an address, on a desk and on a phone."""
        self.page.goto(self.url + path, wait_until="domcontentloaded")
        for size in (WIDE, PHONE):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]
            self._judge(f"{path} at {size['width']} px")

    def _judge(self, where: str) -> None:
        self.looked += 1
        if self.page.evaluate("window.pwned"):
            self.wrong.append(f"a script ran: {where}")
        self.wrong += [f"CSP: {where}: {one}" for one in self.page.evaluate("window.broken")]
        self.wrong += [f"too wide: {where}: {one}" for one in self.page.evaluate(TOO_WIDE)]
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            name = re.sub(r"\W+", "-", where)
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)

    def open_menus(self) -> None:
        """Open the menu and the dialog of some rows, as a click puts them into the page."""
        self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        self.page.goto(self.url, wait_until="domcontentloaded")
        for number in range(0, 20, 6):
            arrows = self.page.locator("tbody tr button[aria-haspopup]")
            if number >= arrows.count():
                break
            arrows.nth(number).click()
            item = self.page.locator("[role=menuitem]:visible").first
            if item.is_enabled():
                item.click()
                self.page.locator("dialog[open]").wait_for(timeout=5000)
            self._judge(f"the menu of row {number}")
            self.page.keyboard.press("Escape")


@pytest.fixture(scope="session", autouse=True)
def in_one_thread() -> Iterator[None]:
    """Let the rows be made beside Playwright, whose loop runs in this very thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture
def front(democloud: str) -> Iterator[tuple[Front, str]]:
    with before(democloud) as standing:
        yield standing


@pytest.fixture
def hostile(account: Any, credential: Any, front: Any, alice: Any) -> Any:  # noqa: F811
    """Give what reads the account anew with each string in another place."""
    given = credential("acme")
    given["auth"]["auth_url"] = front[1]
    account.keep_credential(given)
    account.save()

    def dress(turn: int) -> list[str]:
        from instances.cloud import opening

        opening._opened.clear()
        front[0].rewrite = Costume(turn).rewrite
        Rescue.objects.all().delete()
        CloudMirror.objects.all().delete()
        inventory.due_accounts()
        assert inventory.read_all(account.pk) is not None
        inventory.follow(account.pk)
        return _paths(account, alice)

    return dress


def _paths(account: Any, alice: Any) -> list[str]:  # noqa: F811
    """Start what can be started, read what can be read; return the pages that show it."""
    paths = ["/", "/?page=2", "/?q=%3C", "/notifications"]
    team = account.team_id
    shown = list(Instance.objects.filter(account=account, deleted_at=None).order_by("pk"))
    startable = [one for one in shown if one.vm_state == "active" and not one.locked][:3]
    for one in startable:
        paths.append(f"/instances/{one.pk}/rescue")
        offered = [image for image in choices.picker_for(one).choices if image.suitable]
        with suppress(rescue.NotPossible):
            asked_for = offered[one.pk % len(offered)].ref
            row = rescue.start(
                instance=one,
                image_ref=asked_for,
                by=alice,
                idempotency_key=uuid.uuid4(),
                reason=one.name[:300],
            )
            drive(row, steps=6)
            Rescue.objects.filter(pk=row.pk).update(failure_text=one.fault or one.name)
            rows.machine(row)
            job = rows.job(row, "planned", alice)
            paths += [
                f"/rescues/{row.pk}",
                f"/rescues/{row.pk}/machine",
                f"/rescues/{row.pk}/jobs/{job.pk}",
                f"/rescues/{row.pk}/repairs/ssh_key",
                f"/rescues/{row.pk}/terminal",
                f"/instances/{one.pk}/exit",
            ]
        tasks.read_history(one.pk)
        reading = consoles.ask(instance=Instance.objects.get(pk=one.pk), by=alice)
        if reading:
            tasks.diagnose(reading.pk)
        paths += [
            f"/instances/{one.pk}/{what}"
            for what in ("history", "console", "by-hand", "by-hand/boot")
        ]
    drafted = asked.draft(kind="start", chosen=Instance.objects.filter(account=account), by=alice)
    CloudMirror.objects.filter(account=account).update(problem="")
    return [
        *paths,
        f"/batches/{drafted.pk}",
        f"/teams/{team}/batches",
        f"/teams/{team}/rescues",
        f"/teams/{team}/trail",
        f"/teams/{team}/clouds",
        f"/teams/{team}/clouds/{account.pk}",
        "/account/sessions",
    ]


@pytest.mark.pages
@pytest.mark.timeout(36_000)
@pytest.mark.django_db(transaction=True)
def test_nothing_that_a_cloud_says_runs_or_breaks_a_page(
    browser: Browser, hostile: Any, live_server: Any, alice: Any
) -> None:
    client = Client()
    client.force_login(alice)
    session = client.cookies[ours.SESSION_COOKIE_NAME].value
    context = browser.new_context(base_url=live_server.url)
    context.add_cookies(
        [{"name": ours.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    eyes = Eyes(context.new_page(), live_server.url)
    for turn, _seed in enumerate(rounds(at_least=1)):
        paths = hostile(turn)
        assert Image.objects.exists() and Instance.objects.count() > 20
        for path in paths:
            eyes.look(path)
        eyes.open_menus()
    context.close()
    print(f"\nHostile strings in a browser: {eyes.looked} looks, {len(eyes.wrong)} faults")
    assert not eyes.wrong, "\n".join(dict.fromkeys(eyes.wrong))
