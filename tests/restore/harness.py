"""Back up while rescues are under way, lose everything, restore, upgrade, rotate keys, settle.

Run by ``test_restore.py`` and by hand: ``python -m tests.restore.harness sqlite`` (or
``postgres``). The parts are real: Celery's worker and beat, Redis, the demo cloud over HTTP, the
database's own tools. Prints one JSON object.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.chaos.harness import Parts
from tests.services import Postgres, listens, stop, wait_until

#: one for each place of story.PLACES
SERVERS = 7
OLD_KEY, NEW_KEY = "A" * 43 + "=", "B" * 42 + "A="


class Sqlite:
    """The database as one file."""

    def __init__(self, folder: Path) -> None:
        self.file, self.copy = folder / "panel.sqlite3", folder / "backup.sqlite3"

    url = property(lambda self: f"sqlite:///{self.file}")

    def start(self, stack: ExitStack) -> None:
        """There is nothing to start."""

    def back_up(self) -> None:
        """Copy it while others write, as docs/operations.md says."""
        if shutil.which("sqlite3"):
            subprocess.run(["sqlite3", str(self.file), f".backup {self.copy}"], check=True)
            return
        with sqlite3.connect(self.file) as source, sqlite3.connect(self.copy) as target:
            source.backup(target)

    def lose(self) -> None:
        """Delete it and what lies beside it."""
        for path in self.file.parent.glob(f"{self.file.name}*"):
            path.unlink()

    def restore(self) -> None:
        """Put the copy in its place."""
        shutil.copy(self.copy, self.file)


class PostgreSql:
    """A cluster of our own, with the tools that belong to it."""

    def __init__(self, folder: Path) -> None:
        self.cluster, self.copy = Postgres(Path(f"{folder}-postgres")), folder / "panel.dump"

    url = property(lambda self: self.cluster.url.replace("/postgres", "/panel"))

    def start(self, stack: ExitStack) -> None:
        """Start the cluster and make an empty database."""
        self.cluster.start()
        stack.callback(self.cluster.stop)
        self._run("createdb", "panel")

    def back_up(self) -> None:
        """Dump it while others write, as docs/operations.md says."""
        self._run("pg_dump", "--format=custom", f"--file={self.copy}", "panel")

    def lose(self) -> None:
        """Drop it, whoever is connected."""
        self._run("dropdb", "--force", "panel")

    def restore(self) -> None:
        """Fill an empty database with the dump."""
        self._run("createdb", "panel")
        self._run("pg_restore", "--exit-on-error", "--no-owner", "--dbname=panel", str(self.copy))

    def _run(self, program: str, *arguments: str) -> None:
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.cluster.port), "PGUSER": "panel"}
        command = [str(self.cluster.programs / program), *arguments]
        subprocess.run(command, env=os.environ | where, check=True)


class Panel(Parts):
    """The parts on a database that can be lost, with keys that change."""

    def __init__(self, folder: Path, servers: int, database: "Sqlite | PostgreSql") -> None:
        super().__init__(folder, servers)
        self.database, self.keys = database, OLD_KEY

    def environment(self) -> dict[str, str]:
        """Return what every process of ours gets."""
        ours = {"DATABASE_URL": self.database.url, "ENCRYPTION_KEYS": self.keys}
        return super().environment() | ours

    def start(self, stack: ExitStack) -> None:
        """Start what stands outside the panel: Redis and the cloud."""
        self.redis.start()
        stack.callback(self.redis.stop)
        cloud = self.spawn("democloud", "--port", str(self.port), "--seed", f"many:{self.servers}")
        stack.callback(stop, cloud)
        wait_until(lambda: listens(self.port), "the demo cloud's start", 20)
        stack.callback(self.stop_worker)

    def start_worker(self) -> None:
        """Start a worker with the clock inside."""
        self.worker = self.spawn(
            "celery", "-A", "rescuepanel", "worker", "-B", "-s", str(self.folder / "beat"),
            "-c", "1", "-l", "warning", "--without-mingle", "--without-gossip",
        )  # fmt: skip


def run(folder: Path, kind: str) -> dict[str, Any]:
    """Play the whole story; return what was found."""
    database = Sqlite(folder) if kind == "sqlite" else PostgreSql(folder)
    parts = Panel(folder, SERVERS, database)
    os.environ.update(parts.environment())
    with ExitStack() as stack:
        database.start(stack)
        import django

        django.setup()
        from tests.restore import story

        parts.start(stack)
        return story.play(parts)


def main() -> None:
    """Read the argument, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=["sqlite", "postgres"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="restore-") as folder:
        started = time.monotonic()
        result = run(Path(folder), asked.database)
        result["seconds"] = round(time.monotonic() - started)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
