"""Kill the worker while it waits for the cloud, and tell how long nobody followed the account.

Run by ``test_killed_sync.py`` and by hand: ``python -m tests.chaos.killed_sync``. The parts are
those of ``harness``; somebody watches the account all the time. Prints one JSON object.
"""

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.chaos.harness import Parts, prepare
from tests.services import wait_until


def seconds_lost(parts: Parts, lease: str, done: str) -> float:
    """Kill who holds a lease; return the seconds until the work is done by another."""
    from instances.models import CloudMirror
    from instances.models.clock import now

    def row() -> Any:
        return CloudMirror.objects.get()

    parts.control("PUT", "knobs", {"nova_down": "hang"})
    CloudMirror.objects.update(next_at=now(), full_next_at=now())
    fresh = timedelta(seconds=13)  # it was taken just now: the worst moment to die
    taken = lambda: (getattr(row(), lease) or now()) > now() + fresh  # noqa: E731
    wait_until(taken, f"{lease} taken", 60)
    assert parts.worker is not None
    os.killpg(parts.worker.pid, signal.SIGKILL)
    parts.worker.wait()
    died, killed = now(), time.monotonic()
    parts.control("PUT", "knobs", {"nova_down": None})
    parts.keep_worker_alive()
    wait_until(lambda: (getattr(row(), done) or died) > died, f"{done} after the kill", 90)
    return round(time.monotonic() - killed, 1)


def run(folder: Path) -> dict[str, float]:
    """Kill who follows and who reads all; return the seconds each cost."""
    parts = Parts(folder, 20)
    os.environ.update(parts.environment())
    with ExitStack() as stack:
        parts.start(stack)
        import django

        django.setup()
        from instances import events
        from instances.models import CloudMirror

        prepare(parts)
        team = CloudMirror.objects.get().account.team_id
        events._redis().set(events.WATCHED.format(team=team), "1", ex=600)
        parts.keep_worker_alive()
        return {
            "following": seconds_lost(parts, "lease_until", "listed_at"),
            "reading all": seconds_lost(parts, "full_lease_until", "full_at"),
        }


def main() -> None:
    """Run, print."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        sys.stdout.write(json.dumps(run(Path(folder))) + "\n")


if __name__ == "__main__":
    main()
