"""What a team is told by mail: to whom, in which language, once, and again when it did not go."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.utils import timezone

from teams import outbox, postman, tasks
from teams.models import AuditEntry, Delivery, Membership, Webhook
from tests.receivers import Sink, taking_mail

FACTS: dict[str, Any] = {
    "url": "https://panel.example.org/rescues/1",
    "team": {"id": 1, "name": "Acme Web"},
    "instance": {"name": "web-1", "server_id": "abc", "region": "GRA11"},
    "reason": "ticket 4711",
    "asked_by": "Alice",
}


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    """Give a real mail server, and let Django send there."""
    with taking_mail() as serving:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", serving.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield serving


def tell(teams: SimpleNamespace, *concerned: Any, once: str = "1", **more: Any) -> int:
    with transaction.atomic():
        return outbox.tell(
            teams.acme, "rescue.ready", FACTS | more, once=once,
            concerned=[person.pk for person in concerned],
        )  # fmt: skip


def deliver_all() -> None:
    for pk in postman.due():
        postman.deliver(pk)


def wants(person: Any, what: str) -> None:
    Membership.objects.filter(user=person).update(mail_about=what)


def test_mail_goes_to_those_concerned_and_those_who_want_all(
    teams: Any, alice: Any, bob: Any, carol: Any, mallory: Any, sink: Sink
) -> None:
    wants(carol, "all")
    tell(teams, alice)
    deliver_all()
    assert sorted(mail["To"] for mail in sink.mails) == ["alice@example.org", "carol@example.org"]
    wants(alice, "none")
    tell(teams, alice, once="2")
    deliver_all()
    assert [mail["To"] for mail in sink.mails[2:]] == ["carol@example.org"]


def test_a_mail_says_what_where_why_and_leads_to_the_page(
    teams: Any, alice: Any, sink: Sink
) -> None:
    tell(teams, alice)
    deliver_all()
    (mail,) = sink.mails
    body = mail.get_content()
    assert mail["Subject"] == "Rescue Panel: web-1 is in rescue mode and ready."
    for words in ("ticket 4711", "https://panel.example.org/rescues/1", "Acme Web", "abc", "Alice"):
        assert words in body
    assert f"/teams/{teams.acme.pk}/notifications" in body
    assert mail["Auto-Submitted"] == "auto-generated"


def test_mail_is_in_the_language_of_the_person(
    teams: Any, alice: Any, sink: Sink, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "fr"
    tell(teams, alice)
    deliver_all()
    assert sink.mails[0]["Subject"] == "Rescue Panel: web-1 est prête, en mode rescue."
    assert "Bonjour Alice" in sink.mails[0].get_content()


def test_a_name_cannot_add_headers(teams: Any, alice: Any, sink: Sink) -> None:
    tell(teams, alice, instance={"name": "web\r\nBcc: evil@example.org"})
    deliver_all()
    assert "Bcc" not in sink.mails[0]
    assert "web Bcc: evil@example.org is in" in sink.mails[0]["Subject"]


def test_the_same_occurrence_is_told_once(teams: Any, alice: Any, sink: Sink) -> None:
    for _again in range(3):
        tell(teams, alice)
        deliver_all()
    assert len(sink.mails) == 1


def test_nothing_is_told_of_what_did_not_happen(teams: Any, alice: Any) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        tell(teams, alice)
        raise RuntimeError
    assert not Delivery.objects.exists()


def test_a_mail_server_that_refuses_is_asked_again(teams: Any, alice: Any, sink: Sink) -> None:
    sink.refuses = True
    tell(teams, alice)
    deliver_all()
    row = Delivery.objects.get()
    assert (row.attempts, row.problem, row.delivered_at) == (1, "mail", None)
    assert row.next_at and timedelta(seconds=3) < row.next_at - timezone.now()
    deliver_all()
    assert Delivery.objects.get().attempts == 1
    sink.refuses = False
    Delivery.objects.update(next_at=timezone.now())
    deliver_all()
    assert len(sink.mails) == 1
    assert Delivery.objects.get().next_at is None


def test_somebody_who_was_disabled_gets_none(teams: Any, alice: Any, sink: Sink) -> None:
    tell(teams, alice)
    alice.is_active = False
    alice.save()
    deliver_all()
    assert sink.mails == []
    assert tell(teams, alice, once="2") == 0


def test_the_sweeper_finds_what_is_due(teams: Any, alice: Any, monkeypatch: Any) -> None:
    tell(teams, alice)
    sent: list[Any] = []
    monkeypatch.setattr(tasks.deliver, "apply_async", lambda args, **_how: sent.append(args))
    tasks.deliver_due()
    assert sent == [(str(Delivery.objects.get().pk),)]


def test_what_was_told_a_month_ago_is_forgotten(teams: Any, alice: Any, bob: Any) -> None:
    tell(teams, alice)
    tell(teams, alice, once="2")
    tell(teams, bob, once="3")
    long_ago = timezone.now() - timedelta(days=31)
    Delivery.objects.exclude(told_once__startswith="3").update(created_at=long_ago)
    Delivery.objects.filter(told_once__startswith="1").update(next_at=None)
    tasks.forget_deliveries()
    left = sorted(row.told_once[0] for row in Delivery.objects.all())
    assert left == ["2", "3"]  # one waits still, one is fresh


def test_a_webhook_gets_only_what_it_asked_for(teams: Any, alice: Any) -> None:
    for events in ([], ["rescue.ready"], ["rescue.exited"]):
        Webhook.objects.create(team=teams.acme, url="https://a.example", events=events)
    Webhook.objects.create(team=teams.acme, url="https://b.example", active=False)
    Webhook.objects.create(team=teams.other, url="https://c.example")
    assert tell(teams) == 2


# The page ---------------------------------------------------------------------------------------


def test_one_chooses_one_s_own_mail(teams: Any, carol: Any, alice: Any) -> None:
    cache.clear()
    client = Client()
    client.force_login(carol, backend="django.contrib.auth.backends.ModelBackend")
    page = f"/teams/{teams.acme.pk}/notifications"
    assert 'value="mine"' in client.get(page).content.decode()
    assert client.post(page, {"mail_about": "all"}).status_code == 302
    assert Membership.objects.get(user=carol).mail_about == "all"
    assert Membership.objects.get(user=alice).mail_about == "mine"
    assert client.post(page, {"mail_about": "some"}).status_code == 422
    assert AuditEntry.objects.get(act="member.mail").details["mail_about"] == "all"
    assert client.get(f"/teams/{teams.other.pk}/notifications").status_code == 404
