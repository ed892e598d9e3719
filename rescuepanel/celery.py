"""Set up Celery: its settings are Django's, its logs are ours."""

import os
import time
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


_HEARTBEAT_EVERY = 5.0
_last_heartbeat = 0.0


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Stop Celery from setting up its own logging: Django has done it."""


@signals.before_task_publish.connect
def _send_request_id(headers: dict[str, Any], **_: Any) -> None:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers["request_id"] = request_id


@signals.task_prerun.connect
def _bind_request_id(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    request_id = getattr(task.request, "request_id", None) or task_id
    structlog.contextvars.bind_contextvars(request_id=request_id, task=task.name)


@signals.heartbeat_sent.connect
def _say_alive(**_: Any) -> None:
    """Leave a mark for /readyz; a Redis that is away is not this worker's end."""
    global _last_heartbeat
    if time.monotonic() - _last_heartbeat < _HEARTBEAT_EVERY:
        return
    _last_heartbeat = time.monotonic()
    from .health import mark_worker_alive

    mark_worker_alive()
