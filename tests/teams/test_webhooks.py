"""Webhooks: signed, tried again, once by one sender, switched off after a day, told in a log."""

import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from teams import outbox, outgoing, postman, tasks, webhooks
from teams.models import AuditEntry, Delivery, Webhook
from tests.receivers import Receiver, receiving, verifies

FACTS = {"team": {"id": 1, "name": "Acme Web"}, "instance": {"name": "web-1"}}


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Give a receiver on this machine, where the panel may go."""
    settings.WEBHOOK_PRIVATE_NETWORKS = [ip_network("127.0.0.0/8")]
    with receiving() as serving:
        yield serving


@pytest.fixture
def made(teams: Any, alice: Any, receiver: Receiver) -> tuple[Webhook, str]:
    """Give a webhook that leads there, and its secret."""
    return webhooks.add(teams.acme, url=receiver.url, events=[], by=alice)


@pytest.fixture
def hook(made: tuple[Webhook, str]) -> Webhook:
    return made[0]


def tell(hook: Webhook, once: str = "1") -> Delivery:
    with transaction.atomic():
        outbox.tell(hook.team, "rescue.ready", FACTS, once=once)
    return Delivery.objects.get(told_once=f"{once}:hook:{hook.pk}")


def again(message: Delivery) -> Delivery:
    """Let the pause pass, and try once more."""
    Delivery.objects.filter(pk=message.pk).update(next_at=timezone.now())
    postman.deliver(message.pk)
    message.refresh_from_db()
    return message


def test_a_message_is_signed_so_that_others_can_verify_it(
    made: tuple[Webhook, str], receiver: Receiver
) -> None:
    hook, secret = made
    message = tell(hook)
    assert postman.deliver(message.pk)
    (post,) = receiver.posts
    assert verifies(post, secret)
    assert not verifies(post, "whsec_" + "A" * 44)
    post.body += b" "
    assert not verifies(post, secret)
    sent = json.loads(post.body)
    assert sent["id"] == post.headers["webhook-id"] == str(message.pk)
    assert (sent["type"], sent["data"]) == ("rescue.ready", FACTS)
    assert post.headers["content-type"] == "application/json"
    message.refresh_from_db()
    assert message.delivered_at
    assert (message.http_status, message.attempts, message.next_at) == (200, 1, None)


def test_a_known_signature() -> None:
    """Standard Webhooks' own example."""
    given = webhooks.signature(
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        "msg_loFOjxBNrRLzqYUf", "1731705121",
        b'{"event_type":"ping","data":{"success":true}}',
    )  # fmt: skip
    assert given == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


def test_the_secret_is_sealed_and_only_signs(made: tuple[Webhook, str], alice: Any) -> None:
    hook, secret = made
    assert secret not in hook.sealed_secret
    assert hook.sealed_secret.startswith("v1:")
    new = webhooks.rotate_secret(hook, by=alice)
    assert new != secret
    for entry in AuditEntry.objects.all():
        assert secret not in json.dumps(entry.details)
        assert new not in json.dumps(entry.details)


def test_after_a_500_it_is_tried_again_with_growing_pauses(
    hook: Webhook, receiver: Receiver
) -> None:
    receiver.status = 500
    message = tell(hook)
    pauses = []
    for _try in range(7):
        message = again(message)
        if message.next_at:
            pauses.append(round((message.next_at - timezone.now()).total_seconds()))
    assert pauses == [5, 30, 120, 600, 3600, 21600]
    assert (message.attempts, message.next_at, message.delivered_at) == (7, None, None)
    assert (message.http_status, message.problem) == (500, "answer")
    ids = {post.headers["webhook-id"] for post in receiver.posts}
    assert len(receiver.posts) == 7
    assert ids == {str(message.pk)}


def test_one_that_says_no_is_asked_less_often(hook: Webhook, receiver: Receiver) -> None:
    receiver.status = 403
    message = tell(hook)
    for _try in range(3):
        message = again(message)
    assert message.next_at is None
    receiver.status = 429
    message = again(tell(hook, "2"))
    for _try in range(3):
        message = again(message)
    assert message.next_at is not None


def test_success_after_a_failure_ends_it(hook: Webhook, receiver: Receiver) -> None:
    receiver.status = 503
    message = again(tell(hook))
    hook.refresh_from_db()
    assert hook.failing_since
    receiver.status = 204
    message = again(message)
    hook.refresh_from_db()
    assert hook.failing_since is None
    assert (message.http_status, message.problem) == (204, "")


def test_a_redirect_is_not_followed(hook: Webhook, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": receiver.url + "/elsewhere"}
    message = again(tell(hook))
    assert [post.path for post in receiver.posts] == ["/hook"]
    assert message.problem == "redirect"


def test_a_silent_receiver_costs_a_few_seconds(
    hook: Webhook, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(outgoing, "TIME_OUT", 0.3)
    receiver.silent = 2
    began = time.monotonic()
    message = again(tell(hook))
    assert time.monotonic() - began < 1.5
    assert (message.problem, message.http_status) == ("timeout", None)


def test_nobody_listening_is_a_failure(hook: Webhook) -> None:
    Webhook.objects.update(url="http://127.0.0.1:9/")
    assert again(tell(hook)).problem == "connection"


def test_no_more_than_the_beginning_of_an_answer_is_read(receiver: Receiver) -> None:
    answer = outgoing.post(receiver.url, b"{}", {}, [ip_network("127.0.0.0/8")])
    assert len(answer.excerpt) == 200


# One sender at a time ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_senders_send_once(hook: Webhook, receiver: Receiver) -> None:
    receiver.silent = 0.3
    message = tell(hook)
    start = threading.Barrier(4)

    def send() -> None:
        start.wait()
        try:
            postman.deliver(message.pk)
        finally:
            connection.close()

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(receiver.posts) == 1
    message.refresh_from_db()
    assert message.attempts == 1


def test_a_dead_sender_s_message_goes_when_its_lease_ends(
    hook: Webhook, receiver: Receiver
) -> None:
    message = tell(hook)
    assert postman.claim(message.pk)  # and then it died
    assert not postman.deliver(message.pk)
    assert postman.due() == []
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert postman.due() == [message.pk]
    assert postman.deliver(message.pk)
    message.refresh_from_db()
    assert (len(receiver.posts), message.attempts) == (1, 2)


def test_one_that_was_overtaken_does_not_write(hook: Webhook, receiver: Receiver) -> None:
    message = tell(hook)
    slow = postman.claim(message.pk)
    assert slow
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert postman.deliver(message.pk)
    postman._settle_failure(slow, postman.Failed("timeout"))
    message.refresh_from_db()
    assert message.delivered_at
    assert message.next_at is None


# Switched off -----------------------------------------------------------------------------------


def test_after_a_day_of_failures_it_is_switched_off_and_owners_are_told(
    hook: Webhook, receiver: Receiver, alice: Any
) -> None:
    receiver.status = 500
    message = again(tell(hook))
    Webhook.objects.update(failing_since=timezone.now() - timedelta(hours=25))
    waiting = tell(hook, "2")
    again(message)
    hook.refresh_from_db()
    assert not hook.active
    entry = AuditEntry.objects.get(act="webhook.disabled")
    assert (entry.actor, entry.details["reason"]) == (None, "failing")
    mail = Delivery.objects.get(event=outbox.DISABLED)
    assert (mail.recipient, mail.channel) == (alice, "mail")
    waiting.refresh_from_db()
    assert (waiting.next_at, waiting.problem) == (None, "switched_off")
    assert outbox.tell(hook.team, "rescue.ready", FACTS, once="3") == 0


def test_one_that_is_gone_is_switched_off_at_once(hook: Webhook, receiver: Receiver) -> None:
    receiver.status = 410
    again(tell(hook))
    hook.refresh_from_db()
    assert not hook.active


# Where it may not lead --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1 "
    "255.255.255.255 ::1 :: fe80::1 fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 "
    "64:ff9b::7f00:1 2002:7f00:1::".split(),
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not outgoing.may_go_to(ip_address(address))


@pytest.mark.parametrize("address", ["198.41.0.4", "2606:4700::1111", "64:ff9b::c629:4"])
def test_public_addresses(address: str) -> None:
    assert outgoing.may_go_to(ip_address(address))


def test_link_local_is_never_allowed() -> None:
    everything = [ip_network("0.0.0.0/0")]
    assert outgoing.may_go_to(ip_address("10.0.0.1"), everything)
    assert not outgoing.may_go_to(ip_address("169.254.169.254"), everything)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://198.41.0.4/", "scheme"),
        ("ftp://198.41.0.4/", "scheme"),
        ("https://127.0.0.1/", "private"),
        ("https://localhost/", "private"),
        ("https://2130706433/", "private"),
        ("https://user@198.41.0.4/", "incomplete"),
        ("https://198.41.0.4:99999/", "incomplete"),
        ("https://[/", "incomplete"),
        ("https://no-such-host.invalid/", "unresolved"),
    ],
)
def test_urls_that_are_refused(url: str, reason: str) -> None:
    with pytest.raises(outgoing.Refused) as refusal:
        outgoing.check_url(url)
    assert refusal.value.reason == reason


def test_a_name_that_comes_to_lead_inside_is_refused_when_it_is_used(
    hook: Webhook, receiver: Receiver, settings: Any
) -> None:
    message = tell(hook)
    settings.WEBHOOK_PRIVATE_NETWORKS = []
    assert again(message).problem == "private"
    assert receiver.posts == []


def test_a_name_is_looked_up_once_for_check_and_connection(
    receiver: Receiver, monkeypatch: Any
) -> None:
    """Between check and connection a name server may change its mind: the connection asks too."""
    answers = iter([["198.41.0.4"], ["127.0.0.1"]])
    real = outgoing.socket.getaddrinfo

    def rebound(host: str, port: int, **how: Any) -> Any:
        return [entry for name in next(answers) for entry in real(name, port, **how)]

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", rebound)
    with pytest.raises(outgoing.Refused) as refusal:
        outgoing.post("https://rebound.example.org/", b"", {})
    assert refusal.value.reason == "private"
    assert receiver.posts == []


# The pages --------------------------------------------------------------------------------------


@pytest.fixture
def client(alice: Any) -> Client:
    cache.clear()
    client = Client()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def unsent(monkeypatch: Any) -> list[Any]:
    """Keep nudges from the queue."""
    sent: list[Any] = []
    monkeypatch.setattr(tasks.deliver, "apply_async", lambda args, **_how: sent.append(args[0]))
    return sent


def test_the_secret_is_shown_once(client: Client, teams: Any, receiver: Receiver) -> None:
    base = f"/teams/{teams.acme.pk}/webhooks"
    page = client.post(f"{base}/new", {"url": receiver.url, "events": ["rescue.ready"]})
    assert "no-store" in page["Cache-Control"]
    secret = re.findall(r"whsec_[\w+/=]+", page.content.decode())[0]
    hook = Webhook.objects.get()
    assert hook.events == ["rescue.ready"]
    for path in (base, f"{base}/{hook.pk}", f"{base}/{hook.pk}/secret"):
        assert "whsec_" not in client.get(path).content.decode()
    page = client.post(f"{base}/{hook.pk}/secret")
    assert secret not in page.content.decode()
    assert "whsec_" in page.content.decode()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "This field is required"),
        ("no address", "This is not a complete address."),
        ("http://198.41.0.4/", "must begin with https"),
        ("https://10.0.0.1/", "private network"),
    ],
)
def test_a_bad_address_is_refused_beside_its_field(
    client: Client, teams: Any, url: str, words: str
) -> None:
    answer = client.post(f"/teams/{teams.acme.pk}/webhooks/new", {"url": url})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="id_url_error"' in page
    assert words in page
    assert not Webhook.objects.exists()


def test_a_test_is_sent_and_told_in_the_log(
    client: Client, hook: Webhook, receiver: Receiver, unsent: list[Any]
) -> None:
    page = f"/teams/{hook.team_id}/webhooks/{hook.pk}"
    assert client.post(f"{page}/test").status_code == 302
    assert 'hx-trigger="every 2s"' in client.get(page).content.decode()
    tasks.deliver(unsent[0])
    assert json.loads(receiver.posts[0].body)["type"] == "test"
    log = client.get(f"{page}/deliveries", headers={"HX-Request": "true"}).content.decode()
    assert "Delivered 200" in log
    assert "every 2s" not in log
    assert AuditEntry.objects.filter(act="webhook.test").count() == 1


def test_a_message_can_be_sent_again(
    client: Client, hook: Webhook, receiver: Receiver, unsent: list[Any]
) -> None:
    message = again(tell(hook))
    path = f"/teams/{hook.team_id}/webhooks/{hook.pk}/deliveries/{message.pk}/resend"
    assert client.post(path).status_code == 302
    assert client.post(path).status_code == 404  # it is on its way
    tasks.deliver(unsent[0])
    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_it_is_changed_switched_off_and_deleted(client: Client, hook: Webhook) -> None:
    page = f"/teams/{hook.team_id}/webhooks/{hook.pk}"
    tell(hook)
    assert (
        client.post(f"{page}/change", {"url": hook.url, "events": ["nonsense"]}).status_code == 422
    )
    assert client.post(f"{page}/change", {"url": hook.url}).status_code == 302
    hook.refresh_from_db()
    assert not hook.active
    assert postman.due() == []
    Webhook.objects.update(failing_since=timezone.now())
    client.post(f"{page}/change", {"url": hook.url, "active": "on"})
    hook.refresh_from_db()
    assert (hook.active, hook.failing_since) == (True, None)
    assert client.get(f"{page}/delete").status_code == 200
    assert Webhook.objects.exists()
    assert client.post(f"{page}/delete").status_code == 302
    assert not Webhook.objects.exists()
    assert list(AuditEntry.objects.order_by("pk").values_list("act", flat=True)) == [
        "webhook.add", "webhook.change", "webhook.change", "webhook.remove",
    ]  # fmt: skip


def test_a_team_has_ten_at_most(client: Client, teams: Any) -> None:
    for _one in range(10):
        Webhook.objects.create(team=teams.acme, url="https://a.example")
    answer = client.get(f"/teams/{teams.acme.pk}/webhooks/new", follow=True)
    assert "ten webhooks at most" in answer.content.decode()
