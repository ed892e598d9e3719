"""A small panel of its own: Celery's prefork worker and beat, Redis, the demo cloud over HTTP.

For what is measured by itself; ``stage`` has all parts, and breaks them.
"""

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.services import ROOT, RedisServer, free_port, listens, stop, wait_until


class Parts:
    """Redis, the demo cloud, a worker and beat, in a folder of their own."""

    def __init__(self, folder: Path, servers: int) -> None:
        self.folder = folder
        self.redis = RedisServer(folder)
        self.port = free_port()
        self.servers = servers
        self.worker: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """Return what every process of ours gets."""
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "rescuepanel.settings",
            "SECRET_KEY": "only-for-this-run-" + "x" * 40,
            "ENCRYPTION_KEYS": "A" * 43 + "=",
            "DATABASE_URL": f"sqlite:///{self.folder / 'chaos.sqlite3'}",
            "REDIS_URL": self.redis.url,
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
        self.worker = self.spawn(
            "celery", "-A", "rescuepanel", "worker", "-c", "2", "-l", "warning",
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


def prepare(parts: Parts) -> None:
    """Make the database, a team and its account, read once; Django is set up."""
    from django.core.management import call_command

    from instances import inventory
    from teams.models import CloudAccount, Membership, Team, User

    call_command("migrate", verbosity=0)
    printed = subprocess.run(
        [sys.executable, "-m", "democloud", "--print-credentials", "--port", str(parts.port)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    given = json.loads(printed)["Demo-GRA"]
    alice = User.objects.create_user("alice@example.org", "x")
    team = Team.objects.create(name="Acme")
    Membership.objects.create(team=team, user=alice, role="owner")
    account = CloudAccount(
        team=team, name="demo", region_name=given["region_name"],
        auth_url=given["auth"]["auth_url"],
    )  # fmt: skip
    account.keep_credential({"auth_type": given["auth_type"], "auth": given["auth"]})
    inventory.due_accounts()
    inventory.sync(account.pk)
