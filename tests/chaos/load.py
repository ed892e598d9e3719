"""``make load``: a crowd looks on and 200 machines are rescued while everything breaks.

LOAD_MINUTES (5), LOAD_PAGES (500), LOAD_SERVERS (5000), LOAD_RESCUES (210), LOAD_KILLS (a minute:
10), CHAOS_SEED, CHAOS_KEEP. The machines take their time, so that nearly all rescues are under way
or open; one process of each kind is never killed, so that its memory can be followed.
"""

import json
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import redis

from tests.bench.figures import p95, verdict
from tests.chaos import ending
from tests.chaos.__main__ import gather, judged
from tests.chaos.owners import SETTLED, Browser, Play
from tests.chaos.stage import BETWEEN_WEB, Stage, Told
from tests.chaos.weather import Weather
from tests.chaos.world import ask

PACE = {"rescue_seconds": 90, "unrescue_seconds": 45, "outage_seconds": 3}
STAY = 45.0  # seconds in rescue
SPARED = ("web0", "worker0", "beat0")
PAGE, LAG = 0.3, 5.0  # seconds at most, p95
FLAT = 1.1  # the last sixth of the time against the second sixth, at most
SAMPLED = 10.0  # seconds between two looks at memory
SHOWN = """
    SELECT server_id, vm_state, coalesce(task_state, '') AS task_state
    FROM instances_instance WHERE server_id = ANY(%s)
"""


class Lag(threading.Thread):
    """Hold the mirror against what has just changed in the cloud; note how long it was behind."""

    def __init__(self, play: Play) -> None:
        super().__init__(daemon=True)
        self.play, self.over = play, threading.Event()
        self.behind: dict[str, tuple[tuple[str, str], float]] = {}
        self.seen: dict[str, tuple[str, str]] = {}
        self.lags: list[float] = []

    def run(self) -> None:
        while not self.over.wait(0.5):
            with suppress(OSError):  # what it was is seen with the next look
                self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Note what changed, and what the mirror shows by now."""
        listed = self.play.stage.control("GET", "servers?within=8")["servers"]
        for one in listed:
            state = (one["vm_state"], one["task_state"] or "")
            before = self.seen.get(one["id"])
            self.seen[one["id"]] = state
            if before is not None and before != state:
                # A change that the mirror has not shown yet goes on being behind.
                since = self.behind[one["id"]][1] if one["id"] in self.behind else now
                self.behind[one["id"]] = (state, since)
        if not self.behind:
            return
        rows = ask(self.play.stage.postgres.url, SHOWN, list(self.behind))
        done = time.monotonic()
        for row in rows:
            state, since = self.behind[row["server_id"]]
            if state == (row["vm_state"], row["task_state"]):
                self.lags.append(done - since)
                del self.behind[row["server_id"]]

    def end(self) -> None:
        """Stop; what is behind to the end counts as it is."""
        self.over.set()
        self.join()
        now = time.monotonic()
        self.lags += [now - since for _state, since in self.behind.values()]


class Memory(threading.Thread):
    """Follow the memory of the processes that live all along, and of Redis."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.stage, self.over = stage, threading.Event()
        self.parts = [part for part in stage.parts if part.spared]
        self.used: dict[str, list[float]] = {part.role: [] for part in self.parts} | {"redis": []}

    def run(self) -> None:
        while not self.over.wait(SAMPLED):
            for part in self.parts:
                with suppress(psutil.NoSuchProcess):
                    self.used[part.role].append(_megabytes(part.pid))
            with suppress(redis.RedisError):
                told = redis.Redis.from_url(self.stage.redis.url, socket_timeout=2).info("memory")
                self.used["redis"].append(told["used_memory"] / 1e6)

    def growth(self) -> dict[str, dict[str, float]]:
        """Return of each the megabytes at first and at last, once it had warmed up."""
        self.over.set()
        found = {}
        for name, used in self.used.items():
            sixth = max(1, len(used) // 6)
            early, late = median(used[sixth : 2 * sixth]), median(used[-sixth:])
            found[name] = {"early MB": early, "late MB": late, "times": late / early}
        return found


def _megabytes(pid: int) -> float:
    """Return the memory of a process and its children that no other has, in megabytes."""
    parent = psutil.Process(pid)
    total = 0
    for process in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().uss
    return total / 1e6


class Crowd(threading.Thread):
    """The open pages and the reader, in a process of their own; gather what they tell."""

    def __init__(self, play: Play, pages: int, servers: int) -> None:
        super().__init__(daemon=True)
        self.play, self.over = play, threading.Event()
        browser = Browser(play, "vera")
        browser.sign_in()
        cookie = "; ".join(f"{one.name}={one.value}" for one in browser.session.cookies)
        ports = ",".join(str(play.stage.proxied[web]) for web in BETWEEN_WEB)
        stage = play.stage
        self.told = Told(
            "tests.chaos.audience", ports, str(pages), str(servers), cookie,
            env=stage.environment(), log=stage.folder / "harness.log",
        )  # fmt: skip
        self.told.ready()
        self.asked: dict[str, list[tuple[float, int]]] = {}
        self.open: list[int] = []
        self.in_flight: list[int] = []
        self.events = 0

    def run(self) -> None:
        while not self.over.wait(2):
            self.gather()

    def gather(self, *, noted: bool = True) -> None:
        """Take what they tell; without noting it while all of them come."""
        told = self.told.ask()
        if not noted:
            return
        for kind, seconds, status in told["asked"]:
            self.asked.setdefault(kind, []).append((seconds, status))
        self.open.append(told["open"])
        self.events += told["events"]
        rows = list(self.play.rows.by_id.values())
        self.in_flight.append(sum(row["state"] not in SETTLED for row in rows))

    def end(self) -> None:
        """Close all pages."""
        self.over.set()
        self.join()
        self.told.end()

    def figures(self) -> dict[str, dict[str, float]]:
        """Return of each kind how many were asked and how long; a failed one took ever."""
        found = {}
        for kind, answers in sorted(self.asked.items()):
            times = [seconds if status == 200 else float("inf") for seconds, status in answers]
            found[kind] = {
                "asked": len(times),
                "failed": sum(status != 200 for _seconds, status in answers),
                "median": round(median(times), 3),
                "p95": round(p95(times), 3),
                "p99": round(sorted(times)[int(len(times) * 0.99)], 3),
            }
        return found


def run(stage: Stage, minutes: float, kills: float, pages: int, most: int) -> dict[str, Any]:
    """Play before the crowd, end the trouble, verify; return the figures."""
    servers = int(stage.servers.partition("+")[0])
    stage.spare(*SPARED)
    play, machines = gather(stage, PACE, most)
    play.stay = STAY
    crowd, seconds = Crowd(play, pages, servers), minutes * 60
    for machine in machines:
        machine.start()
        time.sleep((PACE["rescue_seconds"] + STAY) / len(machines))  # not all in step
        crowd.gather(noted=False)
    weather = Weather(play, kills / 60, seconds, hurries=False)
    lag, memory = Lag(play), Memory(stage)
    processor, began = psutil.cpu_times(), time.monotonic()
    for thread in (crowd, lag, memory, weather):
        thread.start()
    while time.monotonic() - began < seconds and len(play.wrongs) < 20:
        time.sleep(2)
        if not all(watcher.is_alive() for watcher in (crowd, lag, memory)):
            raise RuntimeError("who measures has died: there would be no figures")
    now = psutil.cpu_times()
    crowd.end()
    lag.end()
    grown = memory.growth()
    took = round((time.monotonic() - began) / 60, 1)
    ends = weather.stop() + PACE["rescue_seconds"] + PACE["unrescue_seconds"]  # the cloud's time
    settled = ending.settle(play, machines, ends)
    ending.mirror(play)
    told = ending.audit(play)
    play.rows.on = False
    result = {
        "minutes": took,
        "rescues in flight, median": median(crowd.in_flight),
        "streams open, median": median(crowd.open),
        "events a minute and stream": round(crowd.events / took / pages, 1),
        "rescue and exit pairs": play.pairs,
        "kills": stage.kills.total(),
        "faults beside them": weather.happened.total(),
        "changes followed": len(lag.lags),
        "seconds behind, median": round(median(lag.lags), 2),
        "seconds behind, p95": round(p95(lag.lags), 2),
        "share of both cores": round(1 - (now.idle - processor.idle) / (took * 60 * 2), 2),
        "seconds until all was settled": round(max(0.0, settled), 1),
        "audit trail": told,
        "ends": play.ends,
        "answers": crowd.figures(),
        "memory": grown,
    }
    return judged(result, play)


def tell(result: dict[str, Any]) -> bool:
    """Print the figures and whether each bound was kept."""
    for name, value in result.items():
        if name in ("answers", "memory"):
            print(f"\n{name}")
            for kind, found in value.items():
                row = "".join(f"{key} {number:>9.3f}  " for key, number in found.items())
                print(f"  {kind:<14}{row}")
        elif name != "wrongs":
            print(f"{name:<42}{value!s:>6}")
    print("", *result["wrongs"][:20], sep="\n")
    page = result["answers"]["read"]["p95"]
    kept = verdict("a page, p95", page <= PAGE, f"{page:.3f} s <= {PAGE} s")
    behind = result["seconds behind, p95"]
    kept &= verdict("the mirror behind the cloud, p95", behind <= LAG, f"{behind} s <= {LAG} s")
    for name, found in result["memory"].items():
        times = found["times"]
        kept &= verdict(f"memory of {name}", times <= FLAT, f"{times:.2f} x <= {FLAT} x")
    zeros = result["zeros"]
    return kept & verdict("nothing lost", not result["wrongs"], f"{zeros}")


def main() -> int:
    """Read what is wanted, run, print."""
    wanted = os.environ.get
    seed = int(wanted("CHAOS_SEED") or time.time())
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="load-") as temporary:
        folder = Path(wanted("CHAOS_KEEP") or temporary)
        folder.mkdir(exist_ok=True, parents=True)
        stage = Stage(folder, f"{wanted('LOAD_SERVERS') or 5000}+70")
        try:
            result = run(
                stage,
                float(wanted("LOAD_MINUTES") or 5),
                float(wanted("LOAD_KILLS") or 10),
                int(wanted("LOAD_PAGES") or 500),
                int(wanted("LOAD_RESCUES") or 210),
            )
            (folder / "figures.json").write_text(json.dumps(result, indent=2))
        finally:
            stage.close()
    kept = tell(result)
    print(f"CHAOS_SEED={seed}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
