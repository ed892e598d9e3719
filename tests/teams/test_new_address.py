"""Moving one's account to another e-mail address."""

import re
import time
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.db import IntegrityError
from django.test import Client

from teams import new_address
from teams.models import AuditEntry, User
from tests.signing import link_in
from tests.teams.test_sign_in import enter
from tests.teams.test_sign_in_factors import prove

NEW = "alice@new.example.org"
PAGE = "/account/e-mail"


@pytest.fixture(autouse=True)
def forget_attempts() -> None:
    cache.clear()


@pytest.fixture
def inside(client: Client, teams: Any) -> Client:
    enter(client)
    prove(client)
    return client


def asked(client: Client, wanted: str = NEW) -> str:
    """Ask for a change; return the path of the mailed link."""
    answer = client.post(PAGE, {"email": wanted})
    assert answer.status_code == 200, answer.content
    assert mail.outbox[-1].to == [wanted.lower()]
    return link_in(str(mail.outbox[-1].body))


def email_of(person: User) -> str:
    return User.objects.get(pk=person.pk).email


def test_only_who_proves_it_again_may_ask(client: Client, alice: User) -> None:
    enter(client)
    for answer in (client.get(PAGE), client.post(PAGE, {"email": NEW})):
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (
            302,
            "/account/again",
        )
    assert mail.outbox == []


def test_the_address_counts_when_it_is_confirmed_and_the_old_one_is_told(
    inside: Client, alice: User, teams: Any
) -> None:
    link = asked(inside, NEW.upper())
    assert email_of(alice) == "alice@example.org"
    assert NEW in inside.get(link).content.decode()
    assert email_of(alice) == "alice@example.org"  # looking changes nothing
    assert inside.post(link).headers["Location"] == "/account"
    assert email_of(alice) == NEW
    [address] = EmailAddress.objects.filter(user=alice)
    assert (address.email, address.verified, address.primary) == (NEW, True, True)
    told = mail.outbox[-1]
    assert told.to == ["alice@example.org"]
    assert NEW in told.body
    entry = AuditEntry.objects.get(act="person.address_changed")
    assert (entry.team, entry.actor, entry.target) == (teams.acme, alice, NEW)
    assert entry.details == {"old": "alice@example.org", "new": NEW}
    assert enter(Client()).status_code == 422
    fields = {"username": NEW, "password": "rescue-demo"}
    assert Client().post("/sign-in", fields).headers["Location"] == "/"
    assert inside.post(link).status_code == 410


def test_a_link_serves_only_who_asked(inside: Client, bob: User, teams: Any) -> None:
    link = asked(inside)
    assert Client().post(link).headers["Location"].startswith("/sign-in?next=/account/e-mail/")
    other = Client()
    enter(other, name="bob")
    for answer in (other.get(link), other.post(link)):
        assert answer.status_code == 410
        assert b"for another account" in answer.content
    assert email_of(bob) == "bob@example.org"
    assert inside.get("/account/e-mail/forged").status_code == 410


def test_a_link_ends_after_a_day_and_with_another_password(inside: Client, alice: User) -> None:
    link = asked(inside)
    key = link.rpartition("/")[2]
    with time_machine.travel(time.time() + 25 * 3600):
        late = Client()
        enter(late)
        assert late.post(link).status_code == 410
    alice.set_password("a-quite-new-word-9")
    alice.save()
    late = Client()
    enter(late, "a-quite-new-word-9")
    assert late.post(link).status_code == 410
    assert email_of(alice) == "alice@example.org"
    assert "alice" not in re.sub(r"[\w-]+:.*", "", key)


def test_nobody_learns_who_has_an_account(inside: Client, bob: User, alice: User) -> None:
    taken = inside.post(PAGE, {"email": "Bob@example.org"})
    assert mail.outbox[-1].to == ["bob@example.org"]
    assert "/account/e-mail/" not in mail.outbox[-1].body
    free = inside.post(PAGE, {"email": "bon@example.org"})
    bare = [
        re.sub(rb"bo[bn]@example.org|csrf[^>]*|<meta[^>]*>", b"", one.content)
        for one in (taken, free)
    ]
    assert (taken.status_code, free.status_code) == (200, 200)
    assert _without_tokens(bare[0]) == _without_tokens(bare[1])


def _without_tokens(page: bytes) -> bytes:
    return re.sub(rb"[A-Za-z0-9]{64}", b"", page)


def test_an_address_taken_meanwhile_is_refused(inside: Client, alice: User) -> None:
    link = asked(inside)
    User.objects.create_user(NEW)
    answer = inside.post(link)
    assert answer.status_code == 410
    assert b"uses this address by now" in answer.content
    assert email_of(alice) == "alice@example.org"


@pytest.mark.django_db(transaction=True)
def test_two_that_want_the_same_address_end_with_one(
    inside: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = asked(inside)
    User.objects.create_user(NEW)
    monkeypatch.setattr(new_address, "_taken", lambda *_args: False)
    assert inside.post(link).status_code == 410
    assert email_of(alice) == "alice@example.org"
    with pytest.raises(IntegrityError):
        User.objects.filter(pk=alice.pk).update(email=NEW)


@pytest.mark.parametrize("wrong", ["", "no address", "alice@example.org", "x" * 250 + "@e.org"])
def test_a_wrong_address_is_told_beside_the_field(inside: Client, wrong: str) -> None:
    answer = inside.post(PAGE, {"email": wrong})
    assert answer.status_code == 422
    assert b'id="id_email_error"' in answer.content
    assert mail.outbox == []


def test_strangers_are_not_flooded_with_mail(inside: Client) -> None:
    statuses = [inside.post(PAGE, {"email": f"s{n}@example.net"}).status_code for n in range(7)]
    assert statuses == [200] * new_address.ASKED + [422] * 2
    assert len(mail.outbox) == new_address.ASKED


def test_a_mail_that_cannot_leave_is_told(inside: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert inside.post(PAGE, {"email": NEW}).status_code == 503


def test_the_mails_speak_french(inside: Client) -> None:
    inside.post(PAGE, {"email": NEW}, headers={"accept-language": "fr"})
    assert "adresse" in mail.outbox[-1].body
    inside.post(link_in(str(mail.outbox[-1].body)), headers={"accept-language": "fr"})
    assert "compte" in mail.outbox[-1].body
