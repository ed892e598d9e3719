"""Nova's notifications: read within limits, and turned into one look at the cloud.

The messages have the shape of Nova's own samples. The listener hears them from a real RabbitMQ,
where AMQP_URL names one or the lab's runs; an exchange of our own keeps others out.
"""

import json
import os
import secrets
import threading
import time
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from kombu import Connection, Exchange

from instances import ears, events, inventory, notices, tasks
from instances.inventory import Hastened, due
from instances.listener import Listener
from instances.models import CloudMirror, Rescue
from instances.models.clock import now
from tests.services import wait_until

RABBIT = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:15007//")
PROJECT, SERVER = "6f70656e737461636b20342065766572", "178b0921-8f85-4257-88b6-2e743b5a975c"


def message(event="instance.rescue.end", *, envelope=True, **changes):
    data = {"uuid": SERVER, "tenant_id": PROJECT, "state": "rescued", "task_state": None}
    inner = {
        "event_type": event, "priority": "INFO", "publisher_id": "nova-compute:compute",
        "payload": {"nova_object.name": "InstanceActionPayload", "nova_object.namespace": "nova",
                    "nova_object.version": "1.8", "nova_object.data": data | changes},
    }  # fmt: skip
    outer = {"oslo.version": "2.0", "oslo.message": json.dumps(inner)}
    return json.dumps(outer if envelope else inner)


@pytest.mark.parametrize("envelope", [True, False])
def test_a_message_says_which_server(envelope):
    notice = notices.read(message(envelope=envelope).encode())
    assert notice == notices.Notice("instance.rescue.end", PROJECT, SERVER)
    assert notice.changes and not notices.read(message("instance.exists")).changes


def test_what_is_not_of_a_server_is_passed_over():
    assert notices.read(message("keypair.create.end")) is None
    assert notices.read(message("instance.\nforged")) is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff\xfe", "[]", "7", "{}", "[" * 200_000, "9" * 10_000,
        '{"oslo.message": 7}', '{"oslo.message": "["}', '{"event_type": 7}',
        '{"event_type": "instance.update"}', '{"event_type": "instance.update", "payload": []}',
        message(uuid=None), message(uuid="../etc"), message(tenant_id="a" * 65),
        message(tenant_id={"$ne": 1}), message(name="x" * notices.LONGEST),
    ],
)  # fmt: skip
def test_a_hostile_message_is_not_understood_and_not_repeated(body):
    with pytest.raises(notices.NotUnderstood) as refused:
        notices.read(body)
    assert len(str(refused.value)) < 30


@pytest.fixture
def watched(synced):
    """Give the account while somebody has a page open, and no mark of another test."""
    events.watch([synced.team_id])
    yield synced
    events.connection().flushdb()


def next_in(account, seconds):
    mirror = CloudMirror.objects.filter(account=account)
    mirror.update(next_at=now() + timedelta(seconds=seconds), synced_at=now())
    return mirror


def test_an_account_that_is_heard_is_asked_less(watched):
    mirror = CloudMirror.objects.get(account=watched)
    assert due.pace_of(mirror) <= 2.5
    ears.listening(messages=1)
    assert due.pace_of(mirror) <= 2.5  # another cloud's messages prove nothing
    ears.listening(messages=1, heard=[watched.pk])
    assert 24 <= due.pace_of(mirror) <= 30
    ears.stopped()
    assert due.pace_of(mirror) <= 2.5


def test_polling_is_back_when_the_mark_fades(watched):
    ears.listening(heard=[watched.pk])
    assert 0 < events.connection().ttl(ears.LISTENING) <= 3
    mirror = next_in(watched, 20)
    mirror.update(synced_at=now() - timedelta(seconds=5))
    assert watched.pk not in inventory.due_accounts()
    events.connection().delete(ears.LISTENING)  # as when it fades
    assert watched.pk in inventory.due_accounts()


def test_who_begins_to_watch_has_what_was_passed_over_read(watched):
    Rescue.objects.update(next_at=None)  # nothing moves
    ears.listening(heard=[watched.pk])
    mirror = next_in(watched, 20)
    events.connection().delete(events.WATCHED.format(team=watched.team_id))
    mirror.update(synced_at=now() - timedelta(seconds=5))
    assert inventory.hasten(watched.pk) is Hastened.NOT_NEEDED
    assert watched.pk not in inventory.due_accounts()
    events.watch([watched.team_id])
    assert watched.pk in inventory.due_accounts()


def test_a_listing_under_way_is_followed_by_another(watched):
    mirror = next_in(watched, 30)
    mirror.update(lease_until=now() + timedelta(seconds=9))
    assert inventory.hasten(watched.pk) is Hastened.BUSY
    mirror.update(lease_until=None)
    assert inventory.hasten(watched.pk) is Hastened.NOW
    assert mirror.get().next_at <= now()


def test_a_cloud_that_fails_is_left_in_peace(watched):
    mirror = next_in(watched, 60)
    mirror.update(problem="limited")
    assert inventory.hasten(watched.pk) is Hastened.NOT_NEEDED
    assert mirror.get().next_at > now() + timedelta(seconds=50)


def test_accounts_are_found_by_project_and_region(synced):
    project = CloudMirror.objects.get(account=synced).project_id
    assert inventory.accounts_of_projects() == {project: {synced.pk}}
    assert inventory.accounts_of_projects("Demo-GRA") == {project: {synced.pk}}
    assert inventory.accounts_of_projects("elsewhere") == {}


def test_nothing_to_listen_to_is_said():
    with pytest.raises(CommandError, match="NOVA_NOTIFICATIONS_URL is not set"):
        call_command("listen")


def test_ready_tells_of_the_listener_and_does_not_depend_on_it(client, db, settings):
    settings.METRICS_TOKEN = "a-token-that-is-long-enough"
    assert "listener" not in client.get("/readyz").json()
    settings.NOVA_NOTIFICATIONS_URL = "amqp://nobody@127.0.0.1:1//"
    assert client.get("/readyz").json()["listener"].startswith("not listening")
    ears.listening(messages=3, bad=1)
    assert client.get("/readyz").json()["listener"] == "ok"
    token = {"authorization": f"Bearer {settings.METRICS_TOKEN}"}
    shown = client.get("/metrics", headers=token).content.decode()
    assert "rescuepanel_listening 1.0" in shown
    assert "rescuepanel_notifications_bad_total 1.0" in shown
    events.connection().flushdb()


@pytest.fixture
def exchange():
    """Give an exchange of our own on a real RabbitMQ, and remove it."""
    try:
        with Connection(RABBIT, connect_timeout=2) as connection:
            made = Exchange(f"rescue-panel-test.{secrets.token_hex(4)}", "topic", durable=False)
            bound = made(connection.default_channel)
            bound.declare()
            yield bound
            bound.delete()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at AMQP_URL or the lab's port: {type(error).__name__}")


@pytest.mark.django_db(transaction=True)
def test_messages_from_rabbitmq_become_few_nudges(exchange, watched, monkeypatch):
    next_in(watched, 30)
    project = CloudMirror.objects.get(account=watched).project_id
    nudged = []
    monkeypatch.setattr(tasks, "nudge_sync", lambda pk: nudged.append((pk, time.monotonic())))
    listener = Listener(RABBIT, exchange=exchange.name)
    thread = threading.Thread(target=listener.run, kwargs={"safety_interval": 0.2})
    thread.start()
    try:
        wait_until(lambda: ears.figures().listening, "the listener listens")

        def publish(body):
            exchange.publish(
                exchange.Message(body, content_type="application/json"),
                routing_key="versioned_notifications.info",
            )

        publish("[" * 5000)
        publish(message(tenant_id="0" * 32))
        sent = time.monotonic()
        for _ in range(20):
            publish(message("instance.update", tenant_id=project))
        wait_until(lambda: len(nudged) == 2, "a nudge at once, and one for what came after")
        wait_until(lambda: ears.figures().messages == 22, "all counted")
    finally:
        listener.should_stop = True
        thread.join(10)
    print(f"\nfirst nudge {nudged[0][1] - sent:.3f} s after the message")
    assert {pk for pk, _at in nudged} == {watched.pk} and len(nudged) == 2
    assert nudged[0][1] - sent < 0.5 and 0.45 < nudged[1][1] - nudged[0][1] < 2
    assert ears.figures().bad == 1 and ears.heard_accounts([watched.pk]) == {watched.pk}
