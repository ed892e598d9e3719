"""A worker that dies by SIGKILL at a chosen point of a rescue: ``celery -A tests.chaos.doomed``.

A point is before or after a write of the rescue's row (the commit), or before a request to the
cloud is sent or after its answer came; ``before POST#1`` is the first of its kind. They are
counted for each rescue, over restarts, in DOOM_DIR. The file ``<rescue>.dies_at`` names the point
at which the worker, parent and all, is killed; ``<rescue>.died`` says that it was.
"""

import os
import signal
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import django

django.setup()

from instances import driver  # noqa: E402
from instances.cloud import Cloud  # noqa: E402
from instances.models import Rescue  # noqa: E402
from rescuepanel.celery import app  # noqa: E402, F401

DOOM = Path(os.environ["DOOM_DIR"])
_now = threading.local()


def point(name: str) -> None:
    """Count a point of the rescue at hand; die when it is the one."""
    rescue = getattr(_now, "rescue", None)
    if rescue is None:
        return
    passed = DOOM / f"{rescue}.{name.replace(' ', '-')}"
    with passed.open("a") as marks:
        marks.write("x")
    here = f"{name}#{passed.stat().st_size}"
    dies_at, died = DOOM / f"{rescue}.dies_at", DOOM / f"{rescue}.died"
    if dies_at.exists() and not died.exists() and here == dies_at.read_text():
        died.write_text(name)
        os.kill(os.getppid(), signal.SIGKILL)
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


def _step(rescue_id: Any, step: Callable[..., Any] = driver.step) -> Any:
    _now.rescue = rescue_id
    try:
        return step(rescue_id)
    finally:
        _now.rescue = None


driver.step = _step
Rescue.move = around("commit", Rescue.move)  # type: ignore[method-assign]
Cloud._json = around("GET", Cloud._json)  # type: ignore[method-assign]
Cloud._act = around("POST", Cloud._act)  # type: ignore[method-assign]
