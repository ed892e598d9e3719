"""Set up Celery: its settings are Django's, its logs are ours."""

import os
import time
from collections.abc import Sequence
from inspect import signature
from typing import Any

import structlog
from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rescuepanel.settings")

app = Celery("rescuepanel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(name="rescuepanel.clear_sessions")
def clear_sessions() -> None:
    """Delete the sessions that ended: Django leaves them lying."""
    from django.contrib.sessions.backends.db import SessionStore

    SessionStore.clear_expired()


@app.task(name="rescuepanel.end_lapsed")
def end_lapsed() -> None:
    """Write down the ends of impersonations that nobody noticed."""
    from teams import acting

    acting.end_lapsed()


@app.task(name="rescuepanel.purge_old", soft_time_limit=600, time_limit=660)
def purge_old() -> None:
    """Forget what ended long ago."""
    from django.conf import settings

    from instances import retention

    retention.purge(settings.RETENTION_DAYS)


_SWEEP = "instances.tasks.sweep"
_HEARTBEAT_EVERY = 5.0
_last_heartbeat = 0.0


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Stop Celery from setting up its own logging: Django has done it."""


@signals.before_task_publish.connect
def _send_request_id(headers: dict[str, Any], **_: Any) -> None:
    headers["sent_at"] = time.time()  # how old a queue is shows by its first message
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers["request_id"] = request_id


@signals.task_prerun.connect
def _bind_ids(task_id: str, task: Any, args: Sequence[Any], **_: Any) -> None:
    """Let each line that a task logs name the click it came from and what it is about."""
    structlog.contextvars.clear_contextvars()
    request_id = getattr(task.request, "request_id", None) or task_id
    about = zip(signature(task.run).parameters, args, strict=False)
    ids = {name: value for name, value in about if name.endswith("_id")}
    structlog.contextvars.bind_contextvars(request_id=request_id, task=task.name, **ids)


@signals.task_success.connect
def _note_sweep(sender: Any, **_: Any) -> None:
    """Note that clock, broker, worker and database did their round together."""
    if sender.name == _SWEEP:
        from teams import tally

        tally.note("swept")


@signals.task_failure.connect
def _count_failure(sender: Any, **_: Any) -> None:
    from teams import tally

    tally.add("task-failed", task=sender.name)


@signals.heartbeat_sent.connect
def _say_alive(**_: Any) -> None:
    """Leave a mark for /readyz; a Redis that is away is not this worker's end."""
    global _last_heartbeat
    if time.monotonic() - _last_heartbeat < _HEARTBEAT_EVERY:
        return
    _last_heartbeat = time.monotonic()
    from .health import mark_worker_alive

    mark_worker_alive()
