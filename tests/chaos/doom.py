"""Points at which a process of the panel may be killed, or be held up, while it works.

A point lies before or after each commit, each row written by compare-and-set, each message sent,
each request to the cloud and its answer. The harness hands out a sentence: a file in DOOM_DIR
named after a role and a point (``worker.after POST``). Whoever comes there first takes the file
away and carries the sentence out on itself: ``die`` and ``die with all`` (its pool's parent, too),
or seconds to be held up, as a machine that swaps or is paused is.
"""

import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

POINTS = [
    f"{when} {what}"
    for what in ("commit", "move", "send", "GET", "POST")
    for when in ("before", "after")
]
#: which roles come to which points
COMES_TO = {
    "worker": POINTS,
    "web": [point for point in POINTS if point.endswith(("commit", "send"))],
    "beat": [point for point in POINTS if point.endswith("send")],
}
_role = ""
_folder = Path(os.environ.get("DOOM_DIR", "."))


def begin(role: str) -> None:
    """Say what this process is; its children are the same."""
    global _role
    _role = role


def point(name: str) -> None:
    """Carry out the sentence that waits here, if any."""
    sentence = _folder / f"{_role}.{name}"
    taken = _folder / f"taken.{os.getpid()}.{time.monotonic_ns()}"
    try:
        sentence.rename(taken)
    except OSError:
        return
    words = taken.read_text()
    taken.rename(_folder / f"done.{_role}.{name}.{time.monotonic_ns()}")
    if not words.startswith("die"):
        time.sleep(float(words))
        return
    if words == "die with all" and os.getsid(0) != os.getpid():
        os.kill(os.getsid(0), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def around(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Put a point before and after a call, also one that raises."""

    @wraps(call)
    def doomed(*args: Any, **kwargs: Any) -> Any:
        point(f"before {name}")
        try:
            return call(*args, **kwargs)
        finally:
            point(f"after {name}")

    return doomed


def install() -> None:
    """Put the points where they belong."""
    from celery.app.task import Task
    from django.db.backends.base.base import BaseDatabaseWrapper

    from instances.cloud import Cloud
    from instances.models import Rescue

    BaseDatabaseWrapper.commit = around("commit", BaseDatabaseWrapper.commit)
    Rescue.move = around("move", Rescue.move)
    Task.apply_async = around("send", Task.apply_async)
    Cloud._get = around("GET", Cloud._get)
    Cloud._send = around("POST", Cloud._send)
