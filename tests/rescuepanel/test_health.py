"""Health, with parts that fail."""

from typing import Any

import pytest
import redis
from django.db import DatabaseError
from django.test import Client

from rescuepanel import health
from tests.services import RedisServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker_seen(redis_server: RedisServer) -> Any:
    """Leave the mark a living worker leaves."""
    health.mark_worker_alive()
    yield
    redis.Redis.from_url(redis_server.url).delete(health.WORKER_KEY)


@pytest.fixture
def no_redis(settings: Any) -> None:
    """Point the panel at a Redis that is not there."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


def test_a_living_process_says_so_without_anything_else(client: Client, no_redis: None) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_ready_when_all_is_there(client: Client, worker_seen: None) -> None:
    answer = client.get("/readyz")
    expected = {"ready": True, "database": "ok", "broker": "ok", "worker": "ok"}
    assert (answer.status_code, answer.json()) == (200, expected)


def test_not_ready_without_a_worker(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["worker"] == "no worker seen in the last 30 s"


def test_a_workers_mark_fades(worker_seen: None, redis_server: RedisServer) -> None:
    ttl = redis.Redis.from_url(redis_server.url).ttl(health.WORKER_KEY)
    assert 0 < ttl <= 30  # type: ignore[operator]


def test_not_ready_without_redis(client: Client, no_redis: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["broker"] == "Redis does not answer"
    assert answer.json()["database"] == "ok"


def test_not_ready_without_a_database(
    client: Client, worker_seen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseError

    monkeypatch.setattr(health.connection, "cursor", away)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "the database does not answer"


def test_a_worker_survives_a_redis_that_is_away(no_redis: None) -> None:
    health.mark_worker_alive()
