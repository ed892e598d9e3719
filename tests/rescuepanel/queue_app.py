"""The panel's Celery app with tasks that only the queue's tests run."""

import time
from pathlib import Path

import django
import structlog

django.setup()

from rescuepanel.celery import app  # noqa: E402


@app.task  # type: ignore[misc]
def note(path: str, word: str) -> None:
    """Append a word and the request's number to a file."""
    number = structlog.contextvars.get_contextvars()["request_id"]
    with Path(path).open("a") as file:
        file.write(f"{word} {number}\n")


@app.task  # type: ignore[misc]
def slow(path: str, seconds: float) -> None:
    """Note the start, take a while, note the end."""
    note(path, "started")
    time.sleep(seconds)
    note(path, "ended")
