"""What the cloud is asked while nobody, 1, 50 and 500 have the list open; and how soon they see.

``python -m tests.bench.open_pages``: on the lab's Nova, with 2,000 servers. A change made by the
API is timed until an open page shows it. ``NOTIFICATIONS=amqp://...`` names the RabbitMQ of a Nova
that emits its versioned notifications: then a listener runs too, and that is measured beside.
"""

import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.bench import lab
from tests.bench.figures import growth, median, p95, verdict
from tests.bench.visitors import sign_in
from tests.browser import chromium
from tests.browser import sign_in as sign_in_by_hand
from tests.panel import Panel
from tests.services import stop, wait_until

SERVERS = int(os.environ.get("SERVERS", "2000"))
PAGES = [int(number) for number in os.environ.get("PAGES", "1,50,500").split(",")]
SECONDS = 60
IDLE_SECONDS = 180
IDLE_CALLS = 2.0  # a minute, at most
NOTIFICATIONS = os.environ.get("NOTIFICATIONS", "")
HEARD = 1.0  # seconds, p95, with a listener
SEEN = 3.0  # seconds from the API's answer to the page, p95
CHANGES = 20


def main() -> int:
    """Measure, print, judge."""
    conn = lab.connect(f"app-portal-{lab.PROJECT}")
    lab.seed(SERVERS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        panel = stack.enter_context(
            lab.panel_of(folder, f"app-portal-{lab.PROJECT}", NOVA_NOTIFICATIONS_URL=NOTIFICATIONS)
        )
        stack.enter_context(panel.running())
        asked = lab.Asked(conn.current_project_id)
        wait_until(lambda: synced(panel), "the first synchronisation", 180)
        kept = seen_in_time(panel, conn, SEEN, "a change by the API on an open page")
        if NOTIFICATIONS:
            kept &= heard(panel, conn, asked)
        rates = {number: watched_by(number, panel, asked) for number in PAGES}
        lab.quiet(60)  # a page counts as open for three quarters of a minute
        asked.start()
        lab.quiet(IDLE_SECONDS)
        idle = len(asked.calls()) / IDLE_SECONDS * 60
        print(f"    nobody: {idle:.1f} calls a minute: {sorted(set(asked.calls()))}")
    least, most = min(rates.values()), max(rates.values())
    said = ", ".join(f"{number} pages {rate}" for number, rate in rates.items())
    growth("calls a minute", rates[PAGES[0]], rates[PAGES[-1]], PAGES[-1] / PAGES[0])
    kept &= verdict("calls a minute do not follow the pages", most - least <= 3, said)
    kept &= verdict("calls a minute with nobody", idle <= IDLE_CALLS, f"{idle:.1f} <= {IDLE_CALLS}")
    return 0 if kept else 1


def heard(panel: Panel, conn: Any, asked: lab.Asked) -> bool:
    """Listen to Nova, too: how soon a page shows a change, and how much is still asked."""
    listener = panel.spawn("listen", "django", "listen")
    try:
        wait_until(lambda: listens(panel), "the listener", 30)
        # Whoever changes anything makes the account one that is heard.
        kept = seen_in_time(panel, conn, HEARD, "the same with a listener")
        print(f"    one open, a listener: {watched_by(1, panel, asked)} calls a minute")
        return kept
    finally:
        stop(listener)


def listens(panel: Panel) -> bool:
    with httpx.Client(base_url=panel.url) as browser:
        return bool(browser.get("/readyz").json().get("listener") == "ok")


def synced(panel: Panel) -> bool:
    done = "from instances.models import CloudMirror as M; print(M.objects.exclude(full_at=None)"
    return panel.manage("shell", "-v0", "-c", f"{done}.count())").strip() == "1"


def watched_by(number: int, panel: Panel, asked: lab.Asked) -> int:
    """Hold so many pages open; return the calls Nova had in a minute."""
    with httpx.Client(base_url=panel.url, timeout=30) as browser:
        sign_in(browser)
        over = threading.Event()
        cookies = dict(browser.cookies)
        for one in range(number):
            threading.Thread(target=stay, args=(panel.url, cookies, over), daemon=True).start()
            if one % 25 == 24:
                time.sleep(0.2)
        lab.quiet(10)
        asked.start()
        lab.quiet(SECONDS)
        calls = asked.calls()
        over.set()
    print(f"    {number} open: {len(calls)} calls in {SECONDS} s: {sorted(set(calls))}")
    return len(calls)


def stay(url: str, cookies: dict[str, str], over: threading.Event) -> None:
    """Look at the list, then listen as its page does."""
    with httpx.Client(base_url=url, cookies=cookies, timeout=60) as browser:
        browser.get("/")
        with browser.stream("GET", "/events") as events:
            for _line in events.iter_lines():
                if over.is_set():
                    return


def seen_in_time(panel: Panel, conn: Any, bound: float, name_of_it: str) -> bool:
    """Rename a server by the API, again and again; time when an open page shows it."""
    server = next(one for one in conn.compute.servers() if not one.name.startswith("clone-"))
    times = []
    with chromium() as browser:
        page = browser.new_page()
        sign_in_by_hand(page, panel.url)
        page.goto(f"{panel.url}/?q={server.id}")
        expect(page.locator("#live")).to_contain_text("Live")
        expect(page.locator("tbody tr")).to_have_count(1)
        for number in range(CHANGES):
            name = f"bench-{int(time.time())}-{number}"
            conn.compute.put(f"/servers/{server.id}", json={"server": {"name": name}})
            changed = time.monotonic()
            expect(page.locator("tbody .name")).to_have_text(name, timeout=20_000)
            times.append(time.monotonic() - changed)
            time.sleep(0.37 * (number % 5))  # not in step with the panel's own pace
        conn.compute.put(f"/servers/{server.id}", json={"server": {"name": server.name}})
    said = (
        f"p95 {p95(times):.2f} s, median {median(times):.2f} s of {len(times)}, at most {bound} s"
    )
    return verdict(name_of_it, p95(times) <= bound, said)


if __name__ == "__main__":
    sys.exit(main())
