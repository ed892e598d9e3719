"""Invitations: by mail, for one address, once, for a week."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.utils import timezone

from teams import invitations
from teams.models import AuditEntry, Invitation, Membership, User
from teams.permissions import Role
from teams.refusals import Refused

NEW = "dora@example.org"


def link(token: str) -> str:
    return f"https://panel.example/invitations/{token}"


@pytest.fixture
def invited(teams: Any, alice: Any) -> str:
    """Invite Dora; return the token of her link."""
    sent = invitations.invite(
        team=teams.acme, email="Dora@Example.org ", role=Role.MEMBER, by=alice, link=link
    )
    return sent.link.rpartition("/")[2]


@pytest.fixture
def dora(db: None) -> Any:
    return User.objects.create_user(NEW, "rescue-demo", name="Dora")


@pytest.fixture
def owner(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


def token_of(message: Any) -> str:
    found = re.search(r"http://testserver/invitations/(\S+)", message.body)
    assert found
    return found[1]


# Sending ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words"), [("en", "invites you to the team"), ("fr", "vous invite")]
)
def test_the_mail_carries_the_link_in_the_chosen_language(
    owner: Client, teams: Any, language: str, words: str
) -> None:
    fields = {"email": NEW, "role": "reader", "language": language}
    answer = owner.post(f"/teams/{teams.acme.pk}/invitations", fields)
    assert answer.status_code == 302
    (message,) = mail.outbox
    assert message.to == [NEW]
    assert words in message.body
    assert "Acme Web" in message.subject
    found = invitations.find(token_of(message))
    assert found is not None
    assert (found.role, found.email) == (Role.READER, NEW)


def test_only_a_hash_of_the_token_is_kept(invited: str, teams: Any) -> None:
    row = Invitation.objects.values().get()
    assert invited not in str(row)
    assert len(row["token_hash"]) == 64
    assert len(invited) == 43  # 32 bytes
    assert invited not in str(list(AuditEntry.objects.values()))


def test_a_mail_that_fails_leaves_a_link_to_copy_once(
    owner: Client, teams: Any, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 2
    address = f"/teams/{teams.acme.pk}/invitations"
    answer = owner.post(address, {"email": NEW, "role": "member", "language": "en"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "could not be sent" in page
    token = re.search(r"http://testserver/invitations/([\w-]+)", page)
    assert token
    assert invitations.find(token[1])
    assert "no-store" in answer.headers["Cache-Control"]
    assert token[1] not in owner.get(address).content.decode()


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("bob@example.org", "in the team already"),
        ("BOB@example.org", "in the team already"),
        ("not an address", "valid email"),
        ("", "required"),
        (NEW, "invited already"),
    ],
)
def test_a_bad_address_is_told_beside_its_field(
    owner: Client, teams: Any, invited: str, email: str, reason: str
) -> None:
    fields = {"email": email, "role": "member", "language": "en"}
    answer = owner.post(f"/teams/{teams.acme.pk}/invitations", fields)
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert Invitation.objects.count() == 1


def test_a_header_in_the_team_name_stays_a_name(teams: Any, alice: Any) -> None:
    teams.acme.name = "Acme\nBcc: all@example.org"
    teams.acme.save()
    invitations.invite(team=teams.acme, email=NEW, role=Role.MEMBER, by=alice, link=link)
    assert "\n" not in mail.outbox[0].subject
    assert mail.outbox[0].recipients() == [NEW]


def test_a_team_has_so_many_open_and_no_more(
    teams: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(at: int) -> None:
        invitations.invite(
            team=teams.acme, email=f"p{at}@example.org", role=Role.READER, by=alice, link=link
        )

    monkeypatch.setattr(invitations, "PENDING_PER_TEAM", 2)
    ask(1)
    ask(2)
    with pytest.raises(Refused, match="2 invitations are open"):
        ask(3)
    monkeypatch.setattr(invitations, "SENT_PER_DAY", 3)
    for waiting in Invitation.objects.all():
        invitations.withdraw(invitation=waiting, by=alice)
    ask(4)
    with pytest.raises(Refused, match="within a day"):
        ask(5)
    assert len(mail.outbox) == 3


# Accepting --------------------------------------------------------------------------------------


def test_the_invited_joins_once(client: Client, invited: str, teams: Any, dora: Any) -> None:
    client.force_login(dora)
    page = client.get(f"/invitations/{invited}").content.decode()
    assert "Acme Web" in page
    assert "Alice" in page
    assert not Membership.objects.filter(user=dora).exists()
    answer = client.post(f"/invitations/{invited}")
    assert answer.headers["Location"] == f"/?team={teams.acme.pk}"
    assert dora.role_in(teams.acme) == Role.MEMBER
    entry = AuditEntry.objects.get(act="member.join")
    assert (entry.actor, entry.team) == (dora, teams.acme)
    Membership.objects.filter(user=dora).delete()
    again = client.post(f"/invitations/{invited}")
    assert (again.status_code, "used already" in again.content.decode()) == (409, True)
    assert dora.role_in(teams.acme) is None


def test_who_is_in_the_team_keeps_the_role(invited: str, teams: Any, dora: Any) -> None:
    Membership.objects.create(team=teams.acme, user=dora, role=Role.OWNER)
    assert invitations.accept(invited, dora).role == Role.OWNER
    assert not AuditEntry.objects.filter(act="member.join").exists()


def test_a_foreign_address_is_told_plainly(client: Client, invited: str, mallory: Any) -> None:
    client.force_login(mallory)
    page = client.get(f"/invitations/{invited}").content.decode()
    assert f"This invitation is for {NEW}. You are signed in as mallory@example.org." in page
    assert "Join the team" not in page
    assert client.post(f"/invitations/{invited}").status_code == 409
    assert not Membership.objects.filter(user=mallory, role=Role.MEMBER).exists()
    assert invitations.find(invited)


@pytest.mark.parametrize("state", ["expired", "withdrawn", "accepted"])
def test_what_is_over_says_so(
    client: Client, invited: str, alice: Any, dora: Any, state: str
) -> None:
    past = timezone.now() - timedelta(seconds=1)
    column = {"expired": "expires_at", "withdrawn": "withdrawn_at", "accepted": "accepted_at"}
    Invitation.objects.update(**{column[state]: past})
    assert invitations.find(invited) is None
    client.force_login(dora)
    sentence = str(invitations.ENDED[state])
    assert sentence in client.get(f"/invitations/{invited}").content.decode()
    answer = client.post(f"/invitations/{invited}")
    assert (answer.status_code, sentence in answer.content.decode()) == (409, True)
    assert not Membership.objects.filter(user=dora).exists()


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 5000, "%00", "é"])
def test_an_unknown_link_is_nothing(client: Client, db: None, token: str) -> None:
    assert client.get(f"/invitations/{token}").status_code == 404
    assert client.post(f"/invitations/{token}").status_code == 404


def test_it_expires_after_seven_days(invited: str) -> None:
    left = Invitation.objects.get().expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_strangers_are_led_on_without_a_session(client: Client, invited: str) -> None:
    page = client.get(f"/invitations/{invited}").content.decode()
    assert f"/sign-in?next=%2Finvitations%2F{invited}" in page.replace("/", "%2F").replace(
        "%2Fsign-in?next=", "/sign-in?next="
    )
    assert f"/account/sign-up?invitation={invited}" in page
    answer = client.post(f"/invitations/{invited}")
    assert answer.headers["Location"].startswith("/sign-in?next=")
    assert Session.objects.count() == 0
    assert "session" not in client.cookies


def test_staff_who_act_for_somebody_do_not_join(invited: str, dora: Any, sam: Any) -> None:
    dora.acted_by = sam
    with pytest.raises(Refused):
        invitations.accept(invited, dora)


# Taking back, sending again -----------------------------------------------------------------------


def test_withdrawn_from_the_page(owner: Client, invited: str, teams: Any) -> None:
    waiting = Invitation.objects.get()
    address = f"/teams/{teams.acme.pk}/invitations/{waiting.pk}/withdraw"
    page = owner.post(address, follow=True).content.decode()
    assert "its link no longer works" in page
    assert invitations.find(invited) is None
    assert AuditEntry.objects.filter(act="invitation.withdraw", target=NEW).count() == 1
    assert "no longer open" in owner.post(address, follow=True).content.decode()


def test_sent_again_the_old_link_is_dead(owner: Client, invited: str, teams: Any) -> None:
    waiting = Invitation.objects.get()
    base = f"/teams/{teams.acme.pk}/invitations"
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert "expired" in owner.get(base).content.decode()
    owner.post(f"{base}/{waiting.pk}/resend")
    assert invitations.find(invited) is None
    fresh = invitations.find(token_of(mail.outbox[-1]))
    assert fresh is not None
    assert fresh.email == NEW
    page = owner.post(f"{base}/{waiting.pk}/resend", follow=True).content.decode()
    assert "was withdrawn" in page
    assert len(mail.outbox) == 2


def test_another_team_cannot_touch_it(
    client: Client, invited: str, teams: Any, mallory: Any
) -> None:
    client.force_login(mallory)
    pk = Invitation.objects.get().pk
    for team in (teams.acme, teams.other):
        for act in ("withdraw", "resend"):
            assert client.post(f"/teams/{team.pk}/invitations/{pk}/{act}").status_code == 404
    assert invitations.find(invited)
