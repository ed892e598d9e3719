"""Kill the worker at every point of a rescue and of an exit, and count what was lost.

Run by ``test_kill.py`` and by hand: ``python -m tests.chaos.harness``; ``--points 0::9`` takes
every ninth, as a slice does. The parts are real: Celery's prefork worker and beat, Redis, the demo
cloud over HTTP; the database is a file. One server for each point; all rescues at once, then all
exits. Prints one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.services import ROOT, RedisServer, free_port, listens, stop, wait_until

#: where to die: every commit, request and answer of a rescue up to its second look
POINTS = ["before POST#1", "after POST#1"] + [
    f"{when} {what}#{number}"
    for number in range(1, 7)
    for what in ("commit", "GET")
    for when in ("before", "after")
]
PATIENCE = 60.0  # seconds after the last kill in which everything has to be settled


class Parts:
    """Redis, the demo cloud, a doomed worker and beat, in a folder of their own."""

    app = "tests.chaos.doomed"

    def __init__(self, folder: Path, servers: int) -> None:
        self.folder = folder
        self.redis = RedisServer(folder)
        self.port = free_port()
        self.servers = servers
        self.doom = folder / "doom"
        self.doom.mkdir()
        self.kills = 0
        self.worker: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """Return what every process of ours gets."""
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "rescuepanel.settings",
            "SECRET_KEY": "only-for-this-run-" + "x" * 40,
            "ENCRYPTION_KEYS": "A" * 43 + "=",
            "DATABASE_URL": f"sqlite:///{self.folder / 'chaos.sqlite3'}",
            "REDIS_URL": self.redis.url,
            "DOOM_DIR": str(self.doom),
            "ALLOWED_HOSTS": "localhost",
            "CLOUD_PRIVATE_NETWORKS": "127.0.0.0/8",
        }

    def spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a process that writes into the folder's log."""
        log = (self.folder / "log").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", *command], env=self.environment(), cwd=ROOT,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def start(self, stack: ExitStack) -> None:
        """Start everything but the worker."""
        self.redis.start()
        stack.callback(self.redis.stop)
        cloud = self.spawn("democloud", "--port", str(self.port), "--seed", f"many:{self.servers}")
        stack.callback(stop, cloud)
        wait_until(lambda: listens(self.port), "the demo cloud's start", 20)
        self.control("PUT", "knobs", {"rescue_seconds": 1, "unrescue_seconds": 1})
        beat = self.spawn(
            "celery", "-A", "rescuepanel", "beat", "-l", "warning",
            "-s", str(self.folder / "beat"), "--pidfile=",
        )  # fmt: skip
        stack.callback(stop, beat)
        stack.callback(self.stop_worker)

    def keep_worker_alive(self) -> None:
        """Start the worker, or start it again when it was killed."""
        if self.worker is not None and self.worker.poll() is None:
            return
        if self.worker is not None:
            self.kills += 1
        self.worker = self.spawn(
            "celery", "-A", self.app, "worker", "-c", "2", "-l", "warning",
            "--without-mingle", "--without-gossip",
        )  # fmt: skip

    def stop_worker(self) -> None:
        """End the worker."""
        if self.worker is not None:
            stop(self.worker)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Speak to the demo cloud's control API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/_demo/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


def posts_by_server(parts: Parts, action: str) -> dict[str, int]:
    """Count the POSTs of an action that reached the cloud, by server."""
    counted: dict[str, int] = {}
    for row in parts.control("GET", "requests")["requests"]:
        if row["method"] == "POST" and row.get("action") == action:
            counted[row["server"]] = counted.get(row["server"], 0) + 1
    return counted


def chosen_of(text: str) -> list[str]:
    """Return the points a slice names: ``3``, ``0:5``, ``1::2``."""
    numbers = [int(number) if number else None for number in text.split(":")]
    return POINTS[slice(*numbers)]


def run(folder: Path, chosen: list[str]) -> dict[str, Any]:
    """Run the rescues and the exits; return the counts."""
    parts = Parts(folder, len(chosen))
    os.environ.update(parts.environment())
    with ExitStack() as stack:
        parts.start(stack)
        import django

        django.setup()
        from tests.chaos import scenario

        return scenario.play(parts, chosen, PATIENCE)


def main() -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default=":", type=chosen_of)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        started = time.monotonic()
        result = run(Path(folder), asked.points)
        result["seconds"] = round(time.monotonic() - started)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
