"""The whole panel as processes: web, worker, beat and Redis, as in production, for one test run."""

import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.services import ROOT, RedisServer, free_port, stop, wait_until

PASSWORD = "rescue-demo"
MACHINES_WORKER = (
    "worker", "-c", "24", "-l", "warning", "--queues", "machines", "--hostname", "machines@%h",
    "--without-gossip", "--without-mingle",
)  # fmt: skip


class Panel:
    """A panel of its own: its folder holds the database, the logs and the broker's data."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.redis = RedisServer(folder)
        self.port = free_port()
        self.settings = settings

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return what each of its processes gets."""
        given = os.environ | {
            "DJANGO_SETTINGS_MODULE": "rescuepanel.settings",
            "DEMO": "1",
            "DEMO_DIR": str(self.folder),
            "DATABASE_URL": f"sqlite:///{self.folder / 'panel.sqlite3'}",
            "REDIS_URL": self.redis.url,
            "CLOUD_PRIVATE_NETWORKS": "127.0.0.0/8",
        }
        for name in ("SECRET_KEY", "ENCRYPTION_KEYS"):  # the demo makes its own
            given.pop(name, None)
        return given | self.settings

    def manage(self, *command: str, text: str | None = None) -> str:
        """Run a management command; return what it printed."""
        return subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=self.environment(),
            input=text, text=True, check=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip

    def account(self) -> str:
        """Tell what happened here: the instances and rescues as the rows say, and the logs."""
        told = []
        columns = {
            "instances_instance": "name, status, task_state, vm_state, seen_at",
            "instances_rescue": "state, version, lease_until, next_at, asked_at, called_at,"
            " accepted_at, host_started_at, ready_at, ended_at, obstacle, failure_code",
        }
        with closing(sqlite3.connect(self.folder / "panel.sqlite3")) as database:
            for table, names in columns.items():
                told += [table, *map(str, database.execute(f"SELECT {names} FROM {table}"))]
        for log in sorted(self.folder.glob("*.log")):
            told += [log.name, *log.read_text(errors="replace").splitlines()[-30:]]
        return "\n".join(told)

    def spawn(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        """Start one of its processes, with a log of its own."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=self.environment(),
                stdout=log, stderr=log,
            )  # fmt: skip

    def web(self) -> "subprocess.Popen[bytes]":
        """Start its web process."""
        return self.spawn(
            "web", "uvicorn", "rescuepanel.asgi:application", "--port", str(self.port),
            "--timeout-graceful-shutdown", "3", "--no-access-log",
        )  # fmt: skip

    def answers(self) -> bool:
        """Tell whether database, broker and worker are there."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @contextmanager
    def running(self, workers: int = 2) -> Iterator["Panel"]:
        """Start it, wait until it is ready, and stop it in the end."""
        with ExitStack() as stack:
            self.redis.start()
            stack.callback(self.redis.stop)
            celery = ("celery", "-A", "rescuepanel")
            worker = self.spawn("worker", *celery, "worker", "-c", str(workers), "-l", "warning")
            beat = self.spawn(
                "beat", *celery, "beat", "-s", str(self.folder / "beat"), "--pidfile="
            )
            for process in (worker, beat, self.web()):
                stack.callback(stop, process)
            wait_until(self.answers, "the panel's start", 40)
            yield self

    @contextmanager
    def at_machines(self) -> Iterator[None]:
        """Run the worker, too, that logs in to rescued machines, as the demo does."""
        worker = self.spawn("machines", "celery", "-A", "rescuepanel.machines", *MACHINES_WORKER)
        try:
            yield
        finally:
            stop(worker, 30)
