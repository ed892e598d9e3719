"""Fifty and two hundred rescues at once by a bulk action, beside the bare API, on the lab.

``python -m tests.bench.many_at_once``: the two in turn on the same servers, the hypervisor taking
five seconds. Bare is as many clients as we have workers, that POST, then the cheapest look there
is, once a second, until all are in RESCUE: a list of ids by status. Ours is from *begin* until the
board says that all are done. The cloud has a core of its own, and whoever drives it the other;
SHARED=1 lets all of them have both. The panel's database is PostgreSQL, as docker-compose.yml has
it: SQLite lets its four workers write one at a time.
"""

import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import httpx

from tests.bench import lab
from tests.bench.figures import growth, median, verdict
from tests.bench.visitors import sign_in
from tests.services import Postgres, wait_until

MANY = [int(many) for many in os.environ.get("MANY", "50,200").split(",")]
ROUNDS = int(os.environ.get("ROUNDS", "2"))
WORKERS = int(os.environ.get("WORKERS", "4"))  # as docker-compose.yml has it
CLIENTS = int(os.environ.get("CLIENTS", WORKERS))  # with 12, Nova's threads, bare is slower
SHARED = bool(os.environ.get("SHARED"))
TIMES = 1.2  # the bare API's time, at most
RESCUE_SECONDS = 5
PASSWORD = "bench-bench"
SHOWN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
TICK = re.compile(r'name="instance"\s+value="(\d+)"')
UNLIKE = """
from instances.models import Instance, Rescue
rest = Instance.objects.filter(deleted_at=None, vm_state="active", task_state=None)
print(max(0, MANY - rest.count()) + Rescue.objects.open().count())
"""
STEPS = """
from statistics import median
from instances.models import Rescue
rows = list(Rescue.objects.exclude(image_ref="").order_by("-created_at")[:MANY])
assert all(row.state == "READY" for row in rows), [row.state for row in rows]
began = min(row.created_at for row in rows)
for name in ("asked_at", "called_at", "accepted_at", "ready_at"):
    times = sorted((getattr(row, name) - began).total_seconds() for row in rows)
    print(f"{name} {times[0]:.1f} {median(times):.1f} {times[-1]:.1f}")
"""


def main() -> int:
    """Measure, print, judge."""
    conn = lab.connect(f"app-portal-{lab.PROJECT}")
    lab.seed(max(MANY))
    knobs = lab.HOME / "knobs.json"
    before = knobs.read_text() if knobs.exists() else "{}"
    knobs.write_text(json.dumps({"rescue_seconds": RESCUE_SECONDS, "unrescue_seconds": 0}))
    try:
        with nullcontext() if SHARED else lab.on_a_core_of_its_own():
            return judged({many: measure(conn, many) for many in MANY})
    finally:
        restored(conn)
        knobs.write_text(before)


def judged(found: dict[int, tuple[float, float]]) -> int:
    """Print how it grows, and say whether the most are taken in time."""
    few, many = min(found), max(found)
    for number, name in enumerate(("ours", "the bare API")):
        growth(f"{few} to {many} rescues, {name}", found[few][number], found[many][number])
    ours, alone = found[many]
    said = f"{ours / alone:.2f} x the bare API ({ours:.1f} s, {alone:.1f} s), <= {TIMES}"
    return 0 if verdict(f"{many} rescues at once", ours / alone <= TIMES, said) else 1


def measure(conn: Any, many: int) -> tuple[float, float]:
    """Return the seconds by the panel and by the bare API."""
    image = conn.image.find_image("Debian Rescue (temporary password)").id
    alone, ours = [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        cloud = f"app-portal-{lab.PROJECT}"
        postgres = Postgres(folder / "postgres")
        postgres.start()
        stack.callback(postgres.stop)
        settings = {"DATABASE_URL": postgres.url, "BATCH_AT_ONCE": str(many)}
        panel = stack.enter_context(lab.panel_of(folder, cloud, **settings))
        asked = lab.Asked(conn.current_project_id)
        for _round in range(ROUNDS):
            restored(conn)
            asked.start()
            alone.append(bare(conn, image, many))
            print(f"    bare: {alone[-1]:.1f} s, {kinds(asked)}", flush=True)
            restored(conn)
            with panel.running(WORKERS), httpx.Client(base_url=panel.url, timeout=60) as browser:
                sign_in(browser)
                wait_until(lambda: counted(panel, UNLIKE, many) == 0, "the mirror", 180)
                batch, token = drafted(browser, many)
                asked.start()
                ours.append(by_panel(panel, browser, many, batch, token))
                print(f"    ours: {ours[-1]:.1f} s, {kinds(asked)}", flush=True)
                print(f"          {told(panel, many)}")
    return median(ours), median(alone)


def servers(conn: Any, many: int) -> list[dict[str, Any]]:
    """Return as many of the project's servers as are rescued, always the same."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 200, "sort_key": "display_name", "sort_dir": "asc"}
    while len(found) < many:
        answer = conn.compute.get("/servers", params=query, microversion="2.87").json()
        found += answer["servers"]
        if not answer.get("servers_links"):
            break
        query["marker"] = found[-1]["id"]
    return found[:many]


def bare(conn: Any, image: str, many: int) -> float:
    """Rescue them by the API alone; return the seconds until all are in RESCUE."""
    chosen = [one["id"] for one in servers(conn, many)]
    body = {"rescue": {"adminPass": PASSWORD, "rescue_image_ref": image}}
    began = time.monotonic()

    def rescue(server_id: str) -> None:
        answer = conn.compute.post(f"/servers/{server_id}/action", json=body, microversion="2.87")
        assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(rescue, chosen))
    while True:
        time.sleep(1)
        there = conn.compute.get("/servers", params={"status": "RESCUE", "limit": 1000}).json()
        if set(chosen) <= {one["id"] for one in there["servers"]}:
            return time.monotonic() - began


def restored(conn: Any) -> None:
    """Let every server of the project run again."""

    def states() -> list[dict[str, Any]]:
        return list(conn.compute.get("/servers?status=RESCUE&limit=1000").json()["servers"])

    def unrescue(one: dict[str, Any]) -> None:
        conn.compute.post(f"/servers/{one['id']}/action", json={"unrescue": None})

    def quiet() -> bool:
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(unrescue, states()))
        return not states()

    wait_until(quiet, "all to run again", 240)
    lab.quiet(5)


def kinds(asked: lab.Asked) -> str:
    """Tell what Nova was asked, by kind."""
    names = Counter(
        re.sub(r"/[0-9a-f-]{32,36}|/req-[0-9a-f-]+", "/*", one).replace("/v2.1", "")
        for one in asked.calls()
    )
    return ", ".join(f"{count} {name}" for name, count in names.most_common())


def counted(panel: Any, what: str, many: int) -> int:
    asked = what.replace("MANY", str(many))
    return int(panel.manage("shell", "-v0", "-c", asked).strip() or 0)


def drafted(browser: httpx.Client, many: int) -> tuple[str, str]:
    """Tick so many in the list and come to the review; return the batch and the review."""
    page = browser.get("/")
    token = SHOWN.search(page.text)
    ticked: list[str] = []
    number = 1
    while len(ticked) < many:
        found = TICK.findall(browser.get(f"/?page={number}").text)
        assert found
        ticked, number = [*ticked, *found], number + 1
    assert token
    data = {"csrfmiddlewaretoken": token[1], "kind": "start", "instance": ticked[:many]}
    answer = browser.post("/batches", data=data, follow_redirects=True)
    assert answer.status_code == 200 and SHOWN.search(answer.text), answer.status_code
    return answer.url.path.rpartition("/")[2], answer.text


def by_panel(panel: Any, browser: httpx.Client, many: int, batch: str, review: str) -> float:
    """Begin the batch as the review's form does; return the seconds until all are done."""
    token = SHOWN.search(review)
    assert token
    chosen = dict(re.findall(r'name="(image-\d+)"[^>]*value="([^"]+)"[^>]*checked', review))
    data = {
        "csrfmiddlewaretoken": token[1], "at_once": str(many), "stop_after": "3", "hours": "",
        "reason": "bench", "snapshot": "",
    } | chosen  # fmt: skip
    began = time.monotonic()
    answer = browser.post(f"/batches/{batch}/begin", data=data)
    assert answer.status_code == 302, answer.text
    done = re.compile(rf'<progress [^>]*max="{many}"\s+value="{many}"')
    board = {"HX-Request": "true"}  # as the open page asks for itself when it hears of a change
    while not done.search(browser.get(f"/batches/{batch}", headers=board).text):
        if time.monotonic() - began > 300:
            raise TimeoutError(told(panel, many))
        time.sleep(1)
    return time.monotonic() - began


def told(panel: Any, many: int) -> str:
    """Return of each step when the first, the middle and the last of them took it."""
    found = panel.manage("shell", "-v0", "-c", STEPS.replace("MANY", str(many)))
    return str(found).strip().replace("\n", "; ")


if __name__ == "__main__":
    sys.exit(main())
