"""The rows of sessions: sealed, and no way in for who reads them."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from teams.secrets import key_id
from teams.session_store import SessionStore
from tests.teams.test_sign_in import enter

KEYS = [b"o" * 32, b"n" * 32]


def kept(**held: Any) -> Session:
    store = SessionStore()
    store.update(held)
    store.save()
    return Session.objects.get(session_key=store.session_key)


@pytest.mark.parametrize("held", [{}, {"seed": "JBSWY3DPEHPK3PXP", "name": "é 🛒", "n": [1, None]}])
def test_what_a_session_holds_is_sealed_and_comes_back(db: None, held: dict[str, Any]) -> None:
    row = kept(**held)
    assert row.session_data.startswith("v1:")
    assert SessionStore(row.session_key).load() == held


def test_a_new_key_keeps_what_the_session_holds(db: None) -> None:
    store = SessionStore(kept(seed="s3cret").session_key)
    before = store.session_key
    store.cycle_key()
    store.save()
    assert store.session_key != before
    assert SessionStore(store.session_key).load() == {"seed": "s3cret"}


def test_a_row_serves_under_its_own_key_only(db: None) -> None:
    mine, hers = kept(who="me"), kept(who="she")
    Session.objects.filter(pk=mine.pk).update(session_data=hers.session_data)
    assert SessionStore(mine.session_key).load() == {}


def test_keys_can_be_changed(db: None, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = KEYS[:1]
    row = kept(who="me")
    settings.ENCRYPTION_KEYS = KEYS[::-1]
    store = SessionStore(row.session_key)
    assert store.load() == {"who": "me"}
    store["more"] = 1
    store.save()
    row.refresh_from_db()
    assert row.session_data.startswith(f"v1:{key_id(KEYS[1])}:")
    settings.ENCRYPTION_KEYS = KEYS[:1]
    assert SessionStore(row.session_key).load() == {}


@pytest.mark.parametrize("old", ["", "eyJhIjoxfQ:1abc:signature", "not base64 at all"])
def test_rows_of_another_time_are_empty(db: None, old: str) -> None:
    row = kept(who="me")
    Session.objects.filter(pk=row.pk).update(session_data=old)
    assert SessionStore(row.session_key).load() == {}


def test_the_key_of_a_row_is_no_cookie(client: Client, alice: Any) -> None:
    enter(client)
    cookie, row = client.cookies["session"].value, Session.objects.get()
    assert client.get("/account").status_code == 200
    for forged in (row.session_key, f"{row.session_key}:", f"{row.session_key}:{cookie[33:-1]}x"):
        thief = Client()
        thief.cookies["session"] = forged
        assert thief.get("/account").status_code == 302
    assert cookie.startswith(f"{row.session_key}:")


def test_a_cookie_that_is_not_ours_costs_no_query(
    client: Client, db: None, django_assert_num_queries: Any
) -> None:
    client.cookies["session"] = "a" * 32
    with django_assert_num_queries(0):
        assert client.get("/account").status_code == 302


def test_a_session_that_ended_elsewhere_takes_no_newer_cookie_away(
    client: Client, alice: Any
) -> None:
    enter(client)
    late = Client()
    late.cookies["session"] = client.cookies["session"].value
    assert client.post("/sign-out").cookies["session"].value == ""
    answer = late.get("/account")
    assert answer.status_code == 302 and "session" not in answer.cookies
