"""Messages are nudges: lost, doubled or refused, they change nothing but the time it takes."""

import json
import uuid

import pytest
import redis
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from kombu.exceptions import OperationalError

from instances import driver, events, inventory, tasks
from instances.lifecycle import State
from instances.models import CloudMirror, Rescue
from instances.models.clock import now
from tests.instances.conftest import drive, later


@pytest.fixture
def sent(monkeypatch):
    """Collect what would go to the workers."""
    messages = []

    def collect(task):
        def apply_async(args, countdown=None, **options):
            messages.append((task.name.rpartition(".")[2], args[0], countdown))
            json.dumps(args)
            assert options["expires"] <= 60

        monkeypatch.setattr(task, "apply_async", apply_async)

    for task in (tasks.drive, tasks.sync):
        collect(task)
    return messages


def test_a_message_holds_an_id_and_nothing_else(demo, start, sent):
    row = start()
    tasks.nudge(row)
    tasks.nudge(str(row.pk))
    assert sent == [("drive", str(row.pk), None)] * 2


def test_a_step_asks_for_the_next_one(demo, start, sent):
    row = start()
    tasks.drive(str(row.pk))
    assert Rescue.objects.get(pk=row.pk).state == State.WAITING
    ((name, pk, countdown),) = sent
    assert (name, pk) == ("drive", str(row.pk)) and 0 < countdown <= tasks.CHAIN_UP_TO


def test_a_doubled_message_makes_one_step(demo, start, sent):
    row = start()
    for _copy in range(3):
        tasks.drive(str(row.pk))
    assert len(sent) == 1
    assert demo.calls(row.instance.server_id, "rescue") == [200]


def test_a_long_wait_is_left_to_the_sweeper(demo, start, sent):
    demo.fault("web-1", **{"429": 30})
    row = start()
    tasks.drive(str(row.pk))
    assert sent == []
    demo.calm()
    tasks.sweep()
    assert str(row.pk) not in [pk for _name, pk, _count in sent]
    later(row)
    tasks.sweep()
    assert str(row.pk) in [pk for _name, pk, _count in sent]


def test_the_sweeper_finds_what_no_message_came_for(demo, start, sent):
    rows = [start("web-1"), start("web-2")]
    tasks.sweep()
    assert {str(row.pk) for row in rows} <= {pk for _name, pk, _count in sent}


def test_the_sweeper_does_not_ask_again_for_what_waits_in_the_queue(demo, start, sent, monkeypatch):
    monkeypatch.setattr(tasks, "cache", LocMemCache("swept", {}))
    tasks.cache.clear()
    row = start()
    mine = ("drive", str(row.pk), None)
    tasks.sweep()
    tasks.sweep()
    assert sent.count(mine) == 1
    monkeypatch.setattr(driver, "step", lambda _pk: None)
    tasks.drive(str(row.pk))  # a worker took it, and came to nothing
    tasks.sweep()
    assert sent.count(mine) == 2


def test_a_nudge_too_many_costs_one_question(demo, start, sent, django_assert_max_num_queries):
    row = drive(start())
    assert row.state == State.READY
    with django_assert_max_num_queries(2):  # PostgreSQL's clock is asked, too
        tasks.drive(str(row.pk))
    assert sent == []


def test_what_a_bulk_action_began_is_not_asked_for_again(demo, start, sent, monkeypatch):
    monkeypatch.setattr(tasks, "cache", LocMemCache("begun", {}))
    tasks.cache.clear()
    row = start()
    monkeypatch.setattr(tasks.run, "advance", lambda batch_id: ([row.pk], False))
    tasks.advance_batch(str(uuid.uuid4()))
    tasks.sweep()
    assert sent.count(("drive", str(row.pk), None)) == 1


def test_clicks_come_before_what_a_bulk_action_begins(demo, start, monkeypatch):
    priorities = []

    def apply_async(args, priority=0, **options):
        priorities.append(priority)

    monkeypatch.setattr(tasks.drive, "apply_async", apply_async)
    row = start()
    tasks.nudge(row)
    monkeypatch.setattr(tasks.run, "advance", lambda batch_id: ([row.pk], False))
    tasks.advance_batch(str(uuid.uuid4()))
    start("web-2")
    tasks.sweep()
    clicked, begun, *swept = priorities
    assert clicked == 0 < begun < tasks.LATER and set(swept) == {begun}


def test_the_sweeper_destroys_old_passwords(demo, start, sent, monkeypatch):
    called = []
    monkeypatch.setattr(driver, "destroy_old_passwords", lambda: called.append(1))
    tasks.sweep()
    assert called


def test_a_broker_that_is_away_costs_only_time(demo, start, monkeypatch):
    def away(*_args, **_kwargs):
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.drive, "apply_async", away)
    row = start()
    tasks.nudge(row)
    tasks.drive(str(row.pk))
    assert Rescue.objects.get(pk=row.pk).state == State.WAITING


def test_accounts_are_synchronised_when_their_time_has_come(demo, synced, sent):
    CloudMirror.objects.update(next_at=now())
    tasks.sync_due()
    assert sent == [("sync", synced.pk, None)]


def test_a_synchronisation_drives_what_it_found(demo, synced, sent, instance_named, monkeypatch):
    monkeypatch.setattr(events, "watched_teams", lambda teams: set())
    Rescue.objects.all().delete()
    CloudMirror.objects.update(next_at=now())
    tasks.sync(synced.pk)
    row = Rescue.objects.get(instance=instance_named("vpn"))
    assert sent == [("drive", str(row.pk), None)]


# Events -----------------------------------------------------------------------------------------


@pytest.fixture
def broken_redis(monkeypatch):
    def away():
        return redis.Redis.from_url("redis://127.0.0.1:9/0", socket_connect_timeout=0.2)

    monkeypatch.setattr(events, "connection", away)


def test_without_redis_nothing_is_announced_and_nothing_breaks(
    broken_redis, demo, start, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        row = start()
        tasks.drive(str(row.pk))
    assert callbacks and Rescue.objects.get(pk=row.pk).state == State.WAITING
    assert events.watched_teams([1, 2]) == set()
    inventory.sync(row.instance.account_id)


def test_nothing_is_announced_of_what_did_not_happen(monkeypatch, teams, redis_server):
    told = []
    monkeypatch.setattr(events, "_publish", lambda *what: told.append(what))
    with pytest.raises(RuntimeError), transaction.atomic():
        events.changed(teams.acme.pk, ["instance:1"])
        raise RuntimeError
    assert told == []


def test_what_is_announced(monkeypatch, teams, django_capture_on_commit_callbacks):
    told = []
    monkeypatch.setattr(events, "_publish", lambda *what: told.append(what))
    with django_capture_on_commit_callbacks(execute=True):
        events.changed(teams.acme.pk, {"rescue:b", "instance:a"})
    assert told == [(teams.acme.pk, ["instance:a", "rescue:b"])]
