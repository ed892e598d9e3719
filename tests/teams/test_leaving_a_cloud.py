"""Undoing that a cloud's user signs one in."""

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client

from teams.models import AuditEntry, CloudPerson, User

PASSWORD = "rescue-demo"


def join(person: User, name: str = "al") -> CloudPerson:
    return CloudPerson.objects.create(
        keystone="https://k.example.org/v3", user_id=name, name=name, domain="D", person=person
    )


@pytest.fixture
def desk(alice: User) -> Client:
    """Give a browser in which alice has just given her password."""
    client = Client()
    client.force_login(alice)
    _prove(client)
    return client


def test_it_is_listed_and_goes_with_the_other_sessions(desk: Client, alice: User) -> None:
    kept, gone = join(alice, "kept"), join(alice, "gone")
    UserSession.objects.create(user=alice, ip="192.0.2.1", session_key="elsewhere")
    path = f"/account/clouds/{gone.pk}/remove"
    assert f'href="{path}"' in desk.get("/account").content.decode()
    assert "gone (D)" in desk.get(path).content.decode()
    assert CloudPerson.objects.count() == 2
    assert desk.post(path).headers["Location"] == "/account"
    assert CloudPerson.objects.get() == kept
    assert not UserSession.objects.filter(session_key="elsewhere").exists()
    entry = AuditEntry.objects.get(act="person.provider_left")
    assert (entry.target, entry.details) == (alice.email, {"account": "gone (D)"})
    assert desk.get("/account").status_code == 200


def test_the_last_way_in_stays(desk: Client, alice: User) -> None:
    one, other = join(alice, "one"), join(alice, "other")
    alice.set_unusable_password()
    alice.save()
    desk.force_login(alice)
    assert desk.post(f"/account/clouds/{one.pk}/remove").status_code == 302
    answer = desk.post(f"/account/clouds/{other.pk}/remove")
    assert answer.status_code == 409
    assert "Set a password first." in answer.content.decode()
    assert CloudPerson.objects.get() == other


def test_it_wants_the_password_again_and_is_ones_own(
    client: Client, alice: User, mallory: User
) -> None:
    theirs = join(mallory)
    mine = join(alice, "mine")
    client.force_login(alice)
    answer = client.post(f"/account/clouds/{mine.pk}/remove")
    assert answer.headers["Location"].startswith("/account/again")
    _prove(client)
    assert client.post(f"/account/clouds/{theirs.pk}/remove").status_code == 404
    assert CloudPerson.objects.count() == 2


def _prove(client: Client) -> None:
    assert client.post("/account/again", {"password": PASSWORD}).status_code == 302
