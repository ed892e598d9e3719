"""One password and one credential through a whole rescue at DEBUG: where can they be read?

In the answer to *Show password*, and nowhere else: no log line of any logger, nothing in Redis
(messages of Celery and of the stream included), no column of any table, no page.
"""

import io
import logging
from contextlib import contextmanager

import pytest
import redis
from django.apps import apps
from django.db import connection
from django.urls import reverse

from instances import accounts, driver, events, inventory, metadata_hash, passwords, tasks
from instances import rescue as use_cases
from instances.lifecycle import State
from instances.models import Instance, Rescue
from tests.instances.conftest import later

CANARY = "canarybirdcanarybirdcanarybirdx"
pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def everything_logged():
    """Let every logger there is speak at DEBUG, into one buffer, without any filter."""
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setLevel(logging.NOTSET)
    known = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    before = [(logger, logger.level, logger.propagate) for logger in known]
    logging.getLogger().addHandler(handler)
    for logger in known:
        logger.setLevel(logging.DEBUG)
        logger.propagate = True
    try:
        yield buffer
    finally:
        logging.getLogger().removeHandler(handler)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate


def everything_in_redis(link):
    read = {
        b"string": link.get,
        b"list": lambda key: link.lrange(key, 0, -1),
        b"hash": link.hgetall,
        b"set": link.smembers,
        b"zset": lambda key: link.zrange(key, 0, -1, withscores=True),
    }
    return repr([(key, read[link.type(key)](key)) for key in link.keys("*")])


def everything_in_the_database():
    """Dump each table with all its columns, whatever the models say of them."""
    dump = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            dump.append((table, cursor.fetchall()))
    assert len(dump) >= len(apps.get_models())
    return repr(dump)


class Watch:
    """Look everywhere, at every turn."""

    def __init__(self, link, logs, secrets):
        self.link, self.logs, self.secrets = link, logs, secrets
        self.heard = link.pubsub()
        self.heard.subscribe(events.CHANNEL)
        self.messages = []
        self.turns = 0

    def look(self, *pages):
        while message := self.heard.get_message(ignore_subscribe_messages=True, timeout=0.02):
            self.messages.append(message)
        places = {
            "logs": self.logs.getvalue(),
            "redis": everything_in_redis(self.link),
            "stream": repr(self.messages),
            "database": everything_in_the_database(),
            "pages": repr(pages),
        }
        for place, text in places.items():
            for secret in self.secrets:
                assert secret not in text, place
        self.turns += 1


@pytest.fixture
def watch(redis_server, synced):
    link = redis.Redis.from_url(redis_server.url)
    link.flushall()
    events.connection.cache_clear()
    secret = synced.credential()["auth"]["application_credential_secret"]
    with everything_logged() as logs:
        yield Watch(link, logs, [CANARY, secret])
    link.flushall()


def worked(row, watch, steps=14):
    """Do what a worker would: the message is in Redis, the task is run here."""
    tasks.nudge(row)
    for _step in range(steps):
        watch.look()
        row = later(row)
        if row.next_at is None or not row.is_open:
            break
        tasks.drive(str(row.pk))
    return row


PAGES = ["list", "notifications"]
OF_AN_INSTANCE = ["row", "start_rescue", "exit_rescue", "hard_reboot"]


def pages_of(client, instance):
    asked = [reverse(f"instances:{name}") for name in PAGES]
    asked += [reverse(f"instances:{name}", args=[instance.pk]) for name in OF_AN_INSTANCE]
    answers = [client.get(url) for url in asked]
    answers += [client.get(url, headers={"HX-Request": "true"}) for url in asked]
    return [(answer.content.decode(), dict(answer.headers)) for answer in answers]


@pytest.mark.long
def test_the_password_is_read_in_one_place(demo, start, alice, client, watch, monkeypatch):
    monkeypatch.setattr(passwords, "make_password", lambda: CANARY)
    client.force_login(alice)
    demo.fault("web-1", lost_reply=1, driver_error=1)  # a broken one first, through a doubt
    row = worked(start(), watch)
    assert row.state == State.FAILED_BROKEN and row.password() == CANARY
    watch.look(*pages_of(client, row.instance))
    demo.calm()
    instance = Instance.objects.get(pk=row.instance_id)
    worked(use_cases.hard_reboot(instance=instance, by=alice), watch)
    row = worked(start(), watch)
    assert row.state == State.READY and row.password() == CANARY
    watch.look(*pages_of(client, row.instance))

    answer = client.post(reverse("instances:password", args=[row.pk]))
    assert CANARY in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    watch.look(*pages_of(client, row.instance))

    instance = Instance.objects.get(pk=row.instance_id)
    row = worked(use_cases.request_exit(instance=instance, by=alice), watch)
    inventory.sync(instance.account_id)
    tasks.sweep()
    assert row.state == State.CLOSED
    assert not Rescue.objects.exclude(sealed_password="").exists()
    watch.look(*pages_of(client, row.instance))
    gone = client.post(reverse("instances:password", args=[row.pk]))
    assert CANARY not in gone.content.decode()
    assert watch.turns > 12 and watch.messages
    assert "/servers/" in watch.logs.getvalue()  # the HTTP client was heard at DEBUG


def test_the_hash_in_the_metadata_is_in_the_metadata_alone(
    demo, start, synced, alice, client, watch, monkeypatch
):
    """Each look at the server brings it back in the cloud's answer."""
    hashed = "$6$canary$" + "canaryhash" * 8 + "canary"
    monkeypatch.setattr(passwords, "make_password", lambda: CANARY)
    monkeypatch.setattr(metadata_hash, "salted", lambda _password: hashed)
    accounts.permit_metadata(account=synced, by=alice, permitted=True)
    watch.secrets.append(hashed)
    client.force_login(alice)
    row = worked(start("ci-runner-2"), watch)
    assert row.state == State.READY and row.left_hash.left_at
    inventory.sync(synced.pk)
    watch.look(*pages_of(client, row.instance))
    instance = Instance.objects.get(pk=row.instance_id)
    worked(use_cases.request_exit(instance=instance, by=alice), watch)
    inventory.sync(synced.pk)
    tasks.remove_hash(instance.pk)
    row.refresh_from_db()
    assert row.left_hash.removed_at
    watch.look(*pages_of(client, row.instance))


def test_a_crash_in_the_middle_tells_nothing(demo, start, watch, monkeypatch):
    """A traceback shows lines of code, never the values in them."""
    monkeypatch.setattr(passwords, "make_password", lambda: CANARY)

    def breaks(*_args, **_kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(driver, "_accepted", breaks)
    row = start()
    try:
        tasks.drive(str(row.pk))
    except RuntimeError:
        logging.getLogger("celery.worker").exception("task failed")
    watch.look()
    assert "out of memory" in watch.logs.getvalue()
