"""Figures at /metrics: who may read them, what they say, and that they hold for all processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import redis
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from instances.models import CloudMirror
from rescuepanel import figures, health
from rescuepanel.stream import STREAMS
from teams import audit, outbox, tally, webhooks
from tests.instances import rows
from tests.services import ROOT, RedisServer

pytestmark = pytest.mark.django_db
TOKEN = "a-token-that-is-long-enough"


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Give Redis, empty before and after."""
    link = redis.Redis.from_url(redis_server.url, decode_responses=True)
    link.flushall()
    yield link
    link.flushall()


@pytest.fixture
def no_redis(settings: Any) -> Iterator[None]:
    """Point the panel at a Redis that is not there."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    forget_tally()
    yield
    forget_tally()


def forget_tally() -> None:
    tally._redis.cache_clear()
    tally._waiting.clear()
    tally._silent_until = 0.0


def scraped(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what Prometheus would read: by name, by the labels' values."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            values = tuple(value for _label, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[values] = sample.value
    return found


# Who may read -------------------------------------------------------------------------------------


def ask(settings: Any, networks: str, token: str, **how: str) -> int:
    settings.METRICS_NETWORKS = [ip_network(networks)] if networks else []
    settings.METRICS_TOKEN = token
    return Client().get("/metrics", **how).status_code


def test_nobody_reads_unless_a_setting_says_so(settings: Any) -> None:
    assert ask(settings, "", "") == 404


def test_an_address_may_be_enough(settings: Any) -> None:
    assert ask(settings, "10.0.0.0/8", "", REMOTE_ADDR="10.1.2.3") == 200
    assert ask(settings, "10.0.0.0/8", "", REMOTE_ADDR="::ffff:10.1.2.3") == 200
    assert ask(settings, "10.0.0.0/8", "", REMOTE_ADDR="192.0.2.1") == 403
    assert ask(settings, "10.0.0.0/8", "", REMOTE_ADDR="") == 403


def test_a_token_may_be_enough(settings: Any) -> None:
    assert ask(settings, "", TOKEN, HTTP_AUTHORIZATION=f"Bearer {TOKEN}") == 200
    for wrong in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, "Bearer é"):
        assert ask(settings, "", TOKEN, HTTP_AUTHORIZATION=wrong) == 401


def test_with_both_both_are_needed(settings: Any) -> None:
    good = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}
    assert ask(settings, "10.0.0.0/8", TOKEN, REMOTE_ADDR="10.1.2.3", **good) == 200
    assert ask(settings, "10.0.0.0/8", TOKEN, REMOTE_ADDR="10.1.2.3") == 401
    assert ask(settings, "10.0.0.0/8", TOKEN, REMOTE_ADDR="192.0.2.1", **good) == 403


# What they say ------------------------------------------------------------------------------------


def test_rescues_by_state_and_age(client: Client, teams: Any, alice: Any) -> None:
    account = rows.account(teams.acme)
    ago = timezone.now() - timedelta(seconds=300)
    ready = rows.rescue(rows.rescued(account, "db-1"), "READY", alice, next_at=None)
    late = rows.rescue(rows.instance(account), "WAITING", alice, next_at=ago)
    for row in (ready, late):
        row.asked_at = ago
        row.save()
    rows.rescue(rows.instance(account, "old"), "FAILED_CLEAN", alice)
    found = scraped(client)
    count = found["rescuepanel_open_rescues"]
    assert (count["READY",], count["WAITING",], count["STUCK",]) == (1, 1, 0)
    assert sum(count.values()) == 2
    assert found["rescuepanel_oldest_rescue_seconds"]["WAITING",] == pytest.approx(300, abs=5)
    assert found["rescuepanel_rescue_overdue_seconds"][()] == pytest.approx(300, abs=5)


def test_accounts_by_id_alone(client: Client, teams: Any) -> None:
    ago = timezone.now() - timedelta(seconds=90)
    account = rows.account(teams.acme, "cloud of Acme", synced_at=ago, full_at=None, failures=3)
    gone = rows.account(teams.acme, "gone", synced_at=ago)
    gone.disconnected_at = ago
    gone.save()
    rows.account(teams.other, "never read", synced_at=None, full_at=None)
    found = scraped(client)
    age = found["rescuepanel_mirror_age_seconds"]
    assert age == {(str(account.pk),): pytest.approx(90, abs=5)}
    assert found["rescuepanel_sync_failures"][str(account.pk),] == 3
    assert CloudMirror.objects.count() == 3
    assert "Acme" not in client.get("/metrics").content.decode()


def test_what_waits_to_be_told(client: Client, teams: Any, alice: Any) -> None:
    hook, _secret = webhooks.add(teams.acme, url="https://hooks.example/", events=[], by=alice)
    waiting = outbox.try_out(hook)
    waiting.next_at = timezone.now() - timedelta(seconds=60)
    waiting.save()
    hook.failing_since = timezone.now()
    hook.save()
    found = scraped(client)
    assert found["rescuepanel_outbox_waiting"] == {("mail",): 0, ("webhook",): 1}
    assert found["rescuepanel_outbox_overdue_seconds"]["webhook",] == pytest.approx(60, abs=5)
    assert found["rescuepanel_webhooks_failing"][()] == 1


def test_the_queue_by_length_and_age(client: Client, link: redis.Redis) -> None:
    from instances.tasks import drive, probe

    ident = "2f15611b-8f4e-4d49-b7f1-3a2c3c0f3e11"
    drive.apply_async((ident,))
    drive.apply_async((ident,))
    probe.apply_async((ident,))
    first = json.loads(link.lindex("rescuepanel", -1))
    first["headers"]["sent_at"] -= 40
    link.lset("rescuepanel", -1, json.dumps(first))
    found = scraped(client)
    assert found["rescuepanel_queue_length"] == {("rescuepanel",): 2, ("machines",): 1}
    age = found["rescuepanel_queue_age_seconds"]
    assert age["rescuepanel",] == pytest.approx(40, abs=5)
    assert age["machines",] < 5


def test_open_pages_of_all_web_processes(client: Client, link: redis.Redis) -> None:
    now = time.time()
    for process, pages, at in (("a", 3, now), ("b", 4, now - 20), ("dead", 9, now - 50)):
        link.hset(STREAMS, process, json.dumps({"open": pages, "at": at}))
    found = scraped(client)
    assert found["rescuepanel_open_streams"][()] == 7
    assert found["rescuepanel_stream_processes"][()] == 2
    assert set(link.hkeys(STREAMS)) == {"a", "b"}


def test_a_verified_trail_says_when_and_how(client: Client, link: redis.Redis, teams: Any) -> None:
    audit.record("team.rename", team=teams.acme, target="Acme")
    assert "rescuepanel_audit_whole" not in scraped(client)
    audit.verify_if_due()
    found = scraped(client)
    assert found["rescuepanel_audit_whole"][()] == 1
    assert found["rescuepanel_audit_entries"][()] == 1
    seen = found["rescuepanel_audit_verified_timestamp_seconds"][()]
    assert seen == pytest.approx(time.time(), abs=5)
    audit.verify_if_due()  # not again within a day
    assert scraped(client)["rescuepanel_audit_verified_timestamp_seconds"][()] == seen


def test_a_broken_trail_is_shouted(
    client: Client, link: redis.Redis, teams: Any, caplog: Any, monkeypatch: Any
) -> None:
    audit.record("team.rename", team=teams.acme, target="Acme")
    monkeypatch.setattr(audit.chain, "digest", lambda *_given: "0" * 64)
    audit.verify_if_due()
    assert scraped(client)["rescuepanel_audit_whole"][()] == 0
    assert "not as it was written" in caplog.text


# Counted in all processes -------------------------------------------------------------------------


def test_counts_of_several_processes_add_up(client: Client, link: redis.Redis) -> None:
    code = (
        "import django; django.setup(); from teams import tally\n"
        "for _ in range(50): tally.add('upstream', account='7', service='compute', code='503')\n"
        "tally.add_duration('upstream', 0.3, service='compute')\n"
        "tally.add_duration('upstream', 99.0, service='compute')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _process in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    found = scraped(client)
    assert found["rescuepanel_upstream_requests_total"] == {("7", "503", "compute"): 100}
    buckets = found["rescuepanel_upstream_seconds_bucket"]
    at = {le: count for (le, _service), count in buckets.items()}
    assert (at["0.25"], at["0.5"], at["30.0"], at["+Inf"]) == (0, 2, 2, 4)
    assert found["rescuepanel_upstream_seconds_sum"]["compute",] == pytest.approx(198.6)
    assert os.getpid()  # this process counted none of them


def test_while_redis_is_away_counts_wait(no_redis: None, redis_server: RedisServer) -> None:
    started = time.monotonic()
    for _call in range(100):
        tally.add("task-failed", task="t")
    assert time.monotonic() - started < 3
    forget = tally._waiting.copy()
    tally._redis.cache_clear()
    from django.conf import settings

    settings.REDIS_URL = redis_server.url
    tally._silent_until = 0.0
    tally.add("task-failed", task="t")
    assert sum(forget.values()) == 100
    assert tally.read("task-failed") == [({"task": "t"}, 101.0)]
    tally._redis().flushall()


def test_without_redis_the_database_still_speaks(client: Client, no_redis: None) -> None:
    found = scraped(client)
    assert found["rescuepanel_up"]["broker",] == 0
    assert "rescuepanel_open_rescues" in found
    assert "rescuepanel_queue_length" not in found


def test_without_the_database_redis_still_speaks(client: Client, monkeypatch: Any) -> None:
    def away(*_given: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(health.connection, "cursor", away)
    monkeypatch.setattr(figures, "rescues", away)
    monkeypatch.setattr(figures, "FROM_DATABASE", (away,))
    found = scraped(client)
    assert found["rescuepanel_up"]["database",] == 0
    assert "rescuepanel_queue_length" in found
