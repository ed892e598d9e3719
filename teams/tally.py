"""Count what happens in any process of the panel, in one place all of them reach: Redis.

An emptied Redis starts the counts anew, which rates bear. One that is away is not waited for:
what happens meanwhile is counted here and handed over later.
"""

import json
import threading
import time
from collections import Counter
from functools import cache
from typing import Any

import redis
from django.conf import settings

COUNTS = "rescuepanel:counts"
NOTES = "rescuepanel:notes"
#: seconds in which a Redis that did not answer is not asked again
SILENCE = 10.0
#: seconds; upper bounds of the classes that durations are counted in
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)

Labels = dict[str, str]

_lock = threading.Lock()
_waiting: Counter[str] = Counter()
_silent_until = 0.0


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, decode_responses=True
    )


def add(name: str, **labels: str) -> None:
    """Count one more of ``name``; labels hold words of our own and ids, nothing a person wrote."""
    _add({_field(name, labels): 1.0})


def add_duration(name: str, seconds: float, **labels: str) -> None:
    """Count how long something took: in the first class that holds it, and in the sum."""
    bound = next((str(bound) for bound in BOUNDS if seconds <= bound), "+Inf")
    _add(
        {
            _field(f"{name}:class", {**labels, "le": bound}): 1.0,
            _field(f"{name}:sum", labels): seconds,
        }
    )


def read(name: str) -> list[tuple[Labels, float]]:
    """Return the counts of ``name`` by their labels; raise ``redis.RedisError``."""
    kept: dict[str, str] = _redis().hgetall(COUNTS)  # type: ignore[assignment]
    found = []
    for field, count in kept.items():
        counted, labels = json.loads(field)
        if counted == name:
            found.append((dict(labels), float(count)))
    return found


def note(name: str, **facts: str | float) -> None:
    """Write down that something happened just now; without Redis it is not known."""
    try:
        _redis().hset(NOTES, name, json.dumps({**facts, "at": time.time()}))
    except redis.RedisError:
        return


def noted(name: str) -> dict[str, Any]:
    """Return what was noted last and when (``at``, seconds since 1970); raise ``RedisError``."""
    found: str | None = _redis().hget(NOTES, name)  # type: ignore[assignment]
    return dict(json.loads(found)) if found else {}


def _field(name: str, labels: Labels) -> str:
    return json.dumps([name, sorted(labels.items())])


def _add(counts: dict[str, float]) -> None:
    global _silent_until
    with _lock:
        _waiting.update(counts)
        if time.monotonic() < _silent_until:
            return
        taken = dict(_waiting)
        _waiting.clear()
    try:
        with _redis().pipeline(transaction=False) as batch:
            for field, count in taken.items():
                batch.hincrbyfloat(COUNTS, field, count)
            batch.execute()
    except redis.RedisError:
        with _lock:
            _waiting.update(taken)
            _silent_until = time.monotonic() + SILENCE
