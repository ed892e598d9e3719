"""Signing in with a cloud's own name and password, against the look-alike's Keystone over HTTP."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from instances import cloud
from teams import cloud_people
from teams.models import AuditEntry, CloudPerson, Invitation, User
from tests.instances.cloudtools import DemoCloud
from tests.instances.fakehttp import fake_cloud
from tests.signing import link_in

PAGE = "/account/keystone"
SECRET = "c4nary-of-the-cloud"
RECEIPT = {
    "receipt": {"methods": ["password"], "expires_at": "2099-01-01T00:00:00Z"},
    "required_auth_methods": [["password", "totp"]],
}


@pytest.fixture
def keystone(demo: DemoCloud, settings: Any, db: None) -> Iterator[DemoCloud]:
    cache.clear()
    settings.KEYSTONE_SIGN_IN = {"url": demo.auth_url, "name": "My Cloud", "domain": "Default"}
    known(demo, "alice", password=SECRET, email="alice@example.org")
    yield demo
    demo.reset()


def known(demo: DemoCloud, user: str, **changes: Any) -> None:
    demo._demo("PUT", f"users/{user}", json=changes)


def enter(client: Client, name: str = "alice", path: str = PAGE, **more: str) -> Any:
    fields = {"username": name, "password": SECRET, "domain": "Default"} | more
    return client.post(path, fields)


def asked(
    client: Client, email: str = "alice@example.org", name: str = "alice", **more: str
) -> Any:
    """Come for the first time, and give an address."""
    page = enter(client, name, **more)
    assert page.status_code == 200, page.content
    proof = re.search(r'name="proof" value="([^"]+)"', page.content.decode())
    assert proof, page.content
    return client.post(f"{PAGE}/address", {"email": email, "proof": proof[1]})


def link() -> str:
    return link_in(str(mail.outbox[-1].body))


def joined(user: User, demo: DemoCloud, name: str = "alice") -> None:
    from democloud.seed_demo import user_id

    CloudPerson.objects.create(
        keystone=demo.auth_url, user_id=user_id(name), person=user, name=name, domain="Default"
    )


def inside(client: Client) -> bool:
    return bool(client.get("/account").status_code == 200)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


# Whom it lets in --------------------------------------------------------------------------------


def test_whom_keystone_proves_gets_in(client: Client, keystone: DemoCloud, alice: User) -> None:
    joined(alice, keystone)
    page = client.get("/sign-in?next=/account")
    assert b"Sign in with My Cloud" in page.content
    assert f'{PAGE}?next=/account"'.encode() in page.content.replace(b"%2F", b"/")
    answer = enter(client, next="/account")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account")
    assert "no-store" in answer.headers["Cache-Control"]
    assert inside(client)
    assert AuditEntry.objects.get(act="person.sign_in").details == {"by": "keystone"}
    [request] = [one for one in keystone.requests() if one["service"] == "keystone"]
    assert request["path"].endswith(
        "/auth/tokens?nocatalog"
    )  # nothing else is asked of who is known


def test_only_a_post_with_a_token_tries(keystone: DemoCloud, alice: User) -> None:
    joined(alice, keystone)
    strict = Client(enforce_csrf_checks=True)
    assert enter(strict).status_code == 403
    assert strict.get(PAGE, {"username": "alice", "password": SECRET}).status_code == 200
    assert keystone.requests() == []
    assert Session.objects.count() == 0


@pytest.mark.parametrize(
    ("given", "user", "status", "words"),
    [
        ({"password": "wrong"}, {}, 422, "is wrong, or the user is disabled"),
        ({"domain": "Other"}, {}, 422, "is wrong, or the user is disabled"),
        ({"username": "nobody"}, {}, 422, "is wrong, or the user is disabled"),
        ({}, {"enabled": False}, 422, "is wrong, or the user is disabled"),
        ({}, {"password_expired": True}, 422, "This password has expired"),
        ({"password": ""}, {}, 422, "field is required"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    client: Client, keystone: DemoCloud, alice: User, given: Any, user: Any, status: int, words: str
) -> None:
    joined(alice, keystone)
    known(keystone, "alice", **user)
    answer = enter(client, **given)
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert SECRET not in answer.content.decode()
    assert not inside(client)
    assert Session.objects.count() == 0


def test_a_failed_try_is_written_down_once_a_minute(
    client: Client, keystone: DemoCloud, alice: User
) -> None:
    joined(alice, keystone)
    for _try in range(3):
        enter(client, password="wrong")
    entry = AuditEntry.objects.get(act="person.sign_in_failed")
    assert (entry.target, entry.details) == (alice.email, {"address": "127.0.0.1"})


def test_a_keystone_that_is_away_is_told(client: Client, keystone: DemoCloud) -> None:
    for how in ("503", "drop"):
        keystone.knobs(keystone_down=how)
        answer = enter(client)
        assert answer.status_code == 503
        assert "does not answer" in answer.content.decode()


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason"),
    [
        (302, b"", {}, "silent"),
        (201, b"<html>", {"X-Subject-Token": "x"}, "silent"),
        (201, {"token": []}, {"X-Subject-Token": "x"}, "silent"),
        (201, {"token": {"user": {"id": "a\x00"}}}, {"X-Subject-Token": "x"}, "silent"),
        (401, b"<html>", {}, "wrong"),
        (429, {}, {}, "limited"),
        (401, RECEIPT, {"Openstack-Auth-Receipt": "x"}, "more_factors"),
    ],
)
def test_strange_answers_let_nobody_in(status: int, body: Any, headers: Any, reason: str) -> None:
    with fake_cloud() as fake:
        there = {"Location": f"{fake.url}/elsewhere"} if status == 302 else {}
        fake.answer("/v3/auth/tokens", status, body, headers | there)
        fake.answer("/elsewhere", 201, {"token": {"user": {"id": "x"}}}, {"X-Subject-Token": "x"})
        with pytest.raises(cloud.NotProven) as no:
            cloud.prove(
                f"{fake.url}/v3", name="a", domain="D", password="p", known=lambda _id: True
            )
        assert no.value.reason == reason
        assert [path for _method, path, _headers in fake.asked] == ["/v3/auth/tokens"]


def test_a_place_that_is_not_permitted_is_not_asked(
    client: Client, keystone: DemoCloud, settings: Any
) -> None:
    settings.CLOUD_PRIVATE_NETWORKS = []
    answer = enter(client)
    assert answer.status_code == 503
    assert "may not connect" in answer.content.decode()
    assert keystone.requests() == []


def test_tries_are_limited_as_everywhere(client: Client, keystone: DemoCloud) -> None:
    statuses = [enter(client, password="guess").status_code for _try in range(12)]
    assert statuses == [422] * 10 + [429] * 2
    assert len(keystone.requests()) == 10
    assert enter(client).status_code == 429  # the right one too, from here
    assert enter(Client(REMOTE_ADDR="203.0.113.7")).status_code == 200


def test_a_cloud_user_of_somebodys_name_wipes_out_no_tries(
    client: Client, keystone: DemoCloud, alice: User
) -> None:
    known(keystone, "mallory", name=alice.email, password=SECRET)
    guess = {"username": alice.email, "password": "guess"}
    statuses = []
    for _try in range(12):
        statuses.append(client.post("/sign-in", guess).status_code)
        assert enter(client, alice.email).status_code == 200
    assert statuses == [422] * 10 + [429] * 2


def test_the_second_factor_is_asked_all_the_same(
    client: Client, keystone: DemoCloud, alice: User
) -> None:
    joined(alice, keystone)
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "x"})
    assert enter(client).headers["Location"] == "/account/second-factor"
    assert not inside(client)


def test_a_closed_account_stays_shut(client: Client, keystone: DemoCloud, alice: User) -> None:
    joined(alice, keystone)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert enter(client).headers["Location"] == "/account/inactive"
    assert not inside(client)
    assert Session.objects.count() == 0


def test_another_keystones_user_of_the_same_id_is_another(
    client: Client, keystone: DemoCloud, alice: User
) -> None:
    joined(alice, keystone)
    CloudPerson.objects.update(keystone="https://keystone.example.org/v3")
    assert b'name="proof"' in enter(client).content
    assert not inside(client)


def test_without_the_setting_there_is_nothing(client: Client, db: None) -> None:
    assert b"keystone" not in client.get("/sign-in").content
    for path in (PAGE, f"{PAGE}/confirm/x"):
        assert client.get(path).headers["Location"] == "/sign-in"
        assert client.post(path).headers["Location"] == "/sign-in"
    assert client.post(f"{PAGE}/address").headers["Location"] == "/sign-in"


# The first time ---------------------------------------------------------------------------------


def invite(teams: Any, email: str) -> None:
    Invitation.objects.create(
        team=teams.acme, email=email, role="member", token_hash=email,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip


def test_somebody_new_confirms_the_address_first(
    client: Client, keystone: DemoCloud, settings: Any
) -> None:
    settings.OPEN_SIGN_UP = True
    page = enter(client).content.decode()
    assert 'value="alice@example.org"' in page  # as Keystone tells it
    assert asked(client, "New@example.org").status_code == 200
    assert (User.objects.count(), CloudPerson.objects.count(), Session.objects.count()) == (0, 0, 0)
    assert mail.outbox[-1].to == ["new@example.org"]
    path = link()
    assert b"new@example.org" in client.get(path).content
    assert enter(client, path=path).headers["Location"] == "/"
    assert inside(client)
    person = User.objects.get(email="new@example.org")
    assert (person.name, person.has_usable_password()) == ("alice", False)
    assert acts() == ["person.sign_up", "person.provider_joined", "person.sign_in"]
    assert enter(Client(), path=path).status_code == 410  # a link works once
    assert enter(Client()).headers["Location"] == "/"


def test_new_people_need_an_invitation(client: Client, keystone: DemoCloud, teams: Any) -> None:
    uninvited = asked(client, "zoe@example.org")
    assert mail.outbox == []
    invite(teams, "zoe@example.org")
    shown = [
        page.content.decode().partition("<h1")[2]
        for page in (uninvited, asked(client, "zoe@example.org"))
    ]
    assert shown[0] == shown[1]  # told to nobody
    path = link()
    Invitation.objects.all().delete()
    assert enter(client, path=path).status_code == 410
    assert not User.objects.filter(email="zoe@example.org").exists()
    invite(teams, "zoe@example.org")
    assert enter(client, path=path).status_code == 302
    assert User.objects.filter(email="zoe@example.org").exists()


def test_a_link_is_good_for_the_user_who_asked_and_for_a_day(
    client: Client, keystone: DemoCloud, settings: Any
) -> None:
    settings.OPEN_SIGN_UP = True
    known(keystone, "mallory", password=SECRET)
    asked(client, "victim@example.org", "mallory")
    path = link()
    victim = Client()
    assert enter(victim, "alice", path).status_code == 410  # who follows a stranger's link
    assert not inside(victim) and User.objects.count() == 0
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        assert client.get(path).status_code == 410
    assert client.get(f"{PAGE}/confirm/forged").status_code == 410


def test_an_account_is_never_entered_by_its_address(
    client: Client, keystone: DemoCloud, alice: User
) -> None:
    """Who may write an address into Keystone, or asks for it, gets no account with it."""
    known(keystone, "mallory", password=SECRET, email=alice.email)
    asked(client, alice.email, "mallory")
    path = link()
    assert "/sign-in?next=" in client.get(path).headers["Location"]
    assert "/sign-in?next=" in enter(client, "mallory", path).headers["Location"]
    assert not inside(client) and CloudPerson.objects.count() == 0
    user = cloud_people.CloudUser(keystone.auth_url, "x", "mallory", "Default")
    with pytest.raises(cloud_people.Refused):
        cloud_people.begin(user, cloud_people.link_for(user, alice.email), None)


def test_an_owner_joins_the_own_account_from_inside(
    client: Client, keystone: DemoCloud, alice: User, bob: User
) -> None:
    asked(client)
    path = link()
    other = Client()
    other.force_login(bob)
    assert other.get(path).status_code == 410
    owner = Client()
    owner.force_login(alice)
    assert owner.get(path).headers["Location"].startswith("/account/again?")
    owner.post("/account/again", {"password": "rescue-demo"})
    assert owner.get(path).status_code == 200
    assert enter(owner, path=path).headers["Location"] == "/account"
    assert "person.provider_joined" in acts()
    assert enter(client, next="/account").headers["Location"] == "/account"
    assert inside(client)
    assert User.objects.get(pk=alice.pk).has_usable_password()


def test_the_first_step_does_not_wait_for_ever(client: Client, keystone: DemoCloud) -> None:
    proof = cloud_people.proof_of(cloud_people.CloudUser(keystone.auth_url, "x", "a", "Default"))
    fields = {"email": "a@example.org", "proof": proof}
    assert client.post(f"{PAGE}/address", fields | {"email": "no"}).status_code == 422
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        answer = client.post(f"{PAGE}/address", fields)
    assert answer.status_code == 422
    assert "took too long" in answer.content.decode()
    assert client.post(f"{PAGE}/address", fields | {"proof": "x"}).status_code == 422


def test_mails_are_limited(client: Client, keystone: DemoCloud, settings: Any) -> None:
    settings.OPEN_SIGN_UP = True
    proof = cloud_people.proof_of(cloud_people.CloudUser(keystone.auth_url, "x", "a", "Default"))
    statuses = [
        client.post(f"{PAGE}/address", {"email": f"a{n}@example.org", "proof": proof}).status_code
        for n in range(7)
    ]
    assert statuses == [200] * 5 + [422] * 2
    assert len(mail.outbox) == 5


# What is kept -----------------------------------------------------------------------------------


def test_the_password_is_kept_nowhere(
    client: Client, keystone: DemoCloud, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OPEN_SIGN_UP = True
    caplog.set_level(logging.DEBUG)
    pages = [enter(client, password=f"{SECRET}-wrong"), asked(client, "new@example.org")]
    pages += [enter(client, path=link()), enter(Client())]
    keystone.knobs(keystone_down="503")
    pages += [enter(Client())]
    assert inside(client)
    keystone.knobs(keystone_down=None)
    assert all(SECRET.encode() not in page.content for page in pages)
    assert SECRET not in caplog.text
    assert all(SECRET not in str(one.get_decoded()) for one in Session.objects.all())
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert SECRET not in str(cursor.fetchall()), table
    assert all(SECRET not in str(letter.body) for letter in mail.outbox)
