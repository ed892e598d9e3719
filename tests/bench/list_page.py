"""The list at 20 to 5,000 servers, beside the bare API and a static file.

``python -m tests.bench.list_page``: on the lab's Nova. Each size: the first synchronisation
beside the bare paged listing, then pages in turn with bare calls. ``SIZES=20,200`` asks for less.
"""

import os
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import redis

from tests.bench import lab
from tests.bench.figures import growth, median, ms, taken, verdict
from tests.bench.visitors import Plain, plain, sign_in, until_answers
from tests.panel import Panel
from tests.services import stop

SIZES = [int(size) for size in os.environ.get("SIZES", "20,200,500,2000,5000").split(",")]
PAGES, BARE = 40, 12
TWENTY = "/servers/detail?limit=20"
CHANGED = "after a change"
TIMES_FASTER = 20  # than the bare call for twenty servers, at 2,000
FIRST_SYNC = 1.5  # times the bare paged listing, at 5,000
SYNC = """
from time import perf_counter
from django.utils import timezone
from instances import inventory
from instances.models import CloudMirror, Instance
from teams.models import CloudAccount
account = CloudAccount.objects.get()
Instance.objects.all().delete(); CloudMirror.objects.all().delete()
inventory.due_accounts()
began = perf_counter()
inventory.sync(account.pk)
took = perf_counter() - began
began = perf_counter()
inventory.sync(account.pk)
print(took, perf_counter() - began, Instance.objects.count())
"""


def main() -> int:
    """Measure, print, judge."""
    conn = lab.connect(f"app-portal-{lab.PROJECT}")
    kept, firsts = True, {}
    figures: dict[int, dict[str, float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        panel = stack.enter_context(lab.panel_of(folder, f"app-portal-{lab.PROJECT}"))
        panel.redis.start()
        stack.callback(panel.redis.stop)
        asked = lab.Asked(conn.current_project_id)
        for size in SIZES:
            lab.seed(size)
            listing = taken(lambda: paged(conn))
            first, steady, count = map(float, panel.manage("shell", "-v0", "-c", SYNC).split())
            firsts[size] = first / listing
            print(
                f"{size} servers: bare paged listing {listing:.2f} s, first synchronisation "
                f"{first:.2f} s ({first / listing:.2f} x, {count:.0f} rows), "
                f"a pass with nothing new {ms(steady)}"
            )
            figures[size], within = at(size, panel, conn, asked)
            figures[size] |= {"first synchronisation": first, "a pass with nothing new": steady}
            kept &= within
    for small, large in [(size, 4 * size) for size in figures if 4 * size in figures]:
        for name in figures[small]:
            growth(
                f"{name}, {small} to {large} servers", figures[small][name], figures[large][name]
            )
    if 5000 in firsts:
        said = f"{firsts[5000]:.2f} x the bare listing, at most {FIRST_SYNC}"
        kept &= verdict("first synchronisation of 5,000", firsts[5000] <= FIRST_SYNC, said)
    return 0 if kept else 1


def paged(conn: Any) -> None:
    """List as the API does it: pages of a thousand, one after the other."""
    url, query = "/servers/detail", {"limit": 1000}
    while True:
        answer = conn.compute.get(url, params=query, microversion="2.96").json()
        if not answer.get("servers_links"):
            return
        query["marker"] = answer["servers"][-1]["id"]


def at(size: int, panel: Panel, conn: Any, asked: lab.Asked) -> tuple[dict[str, float], bool]:
    """Measure pages of this size; nothing but the web process runs, so what Nova hears is ours."""
    web = panel.web()
    try:
        with httpx.Client(base_url=panel.url, timeout=30) as browser:
            until_answers(browser)
            sign_in(browser)
            return judge(size, panel, browser, conn, asked)
    finally:
        stop(web)


def judge(
    size: int, panel: Panel, browser: httpx.Client, conn: Any, asked: lab.Asked
) -> tuple[dict[str, float], bool]:
    page = browser.get("/").text
    static = re.search(r'href="(/static/panel[^"]*\.css)"', page)
    last = max([1, *map(int, re.findall(r"[?&;]page=(\d+)", page))])
    assert static
    views = {
        "first page": "/",
        "a search": "/?q=clone-0001",
        "sorted by status": "/?sort=-status",
        "a far page": f"/?page={max(last, size // 50)}",
    }
    ours = plain(browser)
    token = {"X-Auth-Token": conn.session.get_token()}
    nova = Plain(conn.compute.get_endpoint(), **token)
    for address in views.values():
        ours.get(address)
    nova.get(TWENTY)
    lab.quiet()
    times: dict[str, list[float]] = {name: [] for name in (CHANGED, *views, "static", "bare")}
    asked.start()
    bare_calls = 0
    events = redis.Redis.from_url(panel.redis.url)
    for turn in range(PAGES):
        events.set("rescuepanel:revision:1", str(turn))  # as if something had changed
        times[CHANGED].append(taken(lambda: ours.get("/")))
        for name, address in views.items():
            times[name].append(taken(lambda address=address: ours.get(address)))
        times["static"].append(taken(lambda: ours.get(static[1])))
        if turn % (PAGES // BARE) == 0:
            bare_calls += 1
            times["bare"].append(taken(lambda: nova.get(TWENTY)))
    upstream = len(asked.calls()) - bare_calls
    wire = len(browser.send(browser.build_request("GET", "/"), stream=True).read())
    bytes_ = len(ours.get("/"))
    for name, taken_ in times.items():
        print(f"    {name:18} median {ms(median(taken_))} of {len(taken_)}")
    ratio = median(times["bare"]) / median(times["first page"])
    floor = median(times["first page"]) / median(times["static"])
    print(
        f"    {bytes_ / 1000:.1f} kB over the wire, {wire / 1000:.0f} kB of HTML; "
        f"{ratio:.1f} x as fast as the bare call, {floor:.1f} x the static file"
    )
    kept = verdict("calls upstream by these views", upstream == 0, str(upstream))
    if size == 2000:
        said = f"{ratio:.1f} x faster than GET {TWENTY}, at least {TIMES_FASTER}"
        kept &= verdict("the first page", ratio >= TIMES_FASTER, said)
    return {name: median(times[name]) for name in (*views, CHANGED)} | {"bytes": bytes_}, kept


if __name__ == "__main__":
    sys.exit(main())
