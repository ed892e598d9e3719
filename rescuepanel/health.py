"""Answer the operator's questions: does it live, can it work."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

WORKER_KEY = "rescuepanel:worker-seen"
WORKER_SEEN_WITHIN = 30


def redis_link() -> redis.Redis:
    """Return a way to Redis that is not waited for."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


def mark_worker_alive() -> None:
    """Note in Redis that a worker was seen just now."""
    try:
        with redis_link() as client:
            client.set(WORKER_KEY, "1", ex=WORKER_SEEN_WITHIN)
    except redis.RedisError:
        return


@never_cache
def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """Say whether all that a rescue needs is there: database, broker, a worker seen lately."""
    checks = {name: check() for name, check in CHECKS.items()}
    ready = all(problem == "ok" for problem in checks.values())
    if settings.NOVA_NOTIFICATIONS_URL:  # a listener that is away only means more questions
        checks["listener"] = _listener()
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def _listener() -> str:
    from instances import ears

    return "ok" if ears.figures().listening else "not listening: clouds are asked as without it"


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "the database does not answer"
    return "ok"


def _broker() -> str:
    try:
        with redis_link() as client:
            client.ping()
    except redis.RedisError:
        return "Redis does not answer"
    return "ok"


def _worker() -> str:
    try:
        with redis_link() as client:
            seen = client.exists(WORKER_KEY)
    except redis.RedisError:
        return "unknown: Redis does not answer"
    return "ok" if seen else f"no worker seen in the last {WORKER_SEEN_WITHIN} s"


CHECKS: dict[str, Callable[[], str]] = {
    "database": _database,
    "broker": _broker,
    "worker": _worker,
}
