"""Second factors: codes of an app, recovery codes, passkeys; and that they can be removed."""

import json
import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.test import Client

from teams.models import AuditEntry
from tests.teams.test_sign_in import enter

STEP = 30


@pytest.fixture(autouse=True)
def forget_attempts() -> None:
    cache.clear()


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // STEP))


def prove(client: Client) -> None:
    answer = client.post("/account/again?next=/account/factors", {"password": "rescue-demo"})
    assert answer.status_code == 302, answer.content


@pytest.fixture
def secret(client: Client, alice: Any) -> str:
    """Give the secret of Alice's app, added by her."""
    enter(client)
    prove(client)
    shown = client.get("/account/factors/app")
    secret = str(shown.context["form"].secret)
    assert client.post("/account/factors/app", {"code": "000000"}).status_code == 422
    answer = client.post("/account/factors/app", {"code": code_of(secret)})
    assert answer.headers["Location"] == "/account/factors/recovery"
    return secret


def test_an_app_is_added_only_by_who_proves_it_again(client: Client, alice: Any) -> None:
    enter(client)
    assert "/account/again?next=" in client.get("/account/factors/app").headers["Location"]
    again = client.post("/account/again", {"password": "wrong"})
    assert again.status_code == 422


@pytest.mark.django_db(transaction=True)
def test_the_code_of_the_app_is_asked_for_and_serves_once(client: Client, secret: str) -> None:
    visitor = Client()
    assert enter(visitor).headers["Location"] == "/account/second-factor"
    assert visitor.get("/account").status_code == 302
    assert visitor.post("/account/second-factor", {"code": "000000"}).status_code == 422
    code = code_of(secret)
    assert visitor.post("/account/second-factor", {"code": code}).headers["Location"] == "/"
    assert visitor.get("/account").status_code == 200
    again = Client()
    enter(again)
    assert again.post("/account/second-factor", {"code": code}).status_code == 422
    assert "person.factor_added" in AuditEntry.objects.values_list("act", flat=True)
    assert any("An authenticator app was added." in one.body for one in mail.outbox)


def test_guessing_the_code_is_stopped_for_a_while(client: Client, secret: str) -> None:
    visitor = Client()
    enter(visitor)
    for _ in range(6):
        answer = visitor.post("/account/second-factor", {"code": "000000"})
    assert b"Too many failed" in answer.content
    assert visitor.post("/account/second-factor", {"code": code_of(secret)}).status_code == 422


def test_a_recovery_code_serves_once(client: Client, secret: str) -> None:
    codes = client.get("/account/factors/recovery").context["unused_codes"]
    assert len(codes) == 10
    for expected in (302, 422):
        visitor = Client()
        enter(visitor)
        answer = visitor.post("/account/second-factor", {"code": codes[0]})
        assert answer.status_code == expected


def test_secrets_of_factors_are_sealed(client: Client, secret: str) -> None:
    kept = [json.dumps(one.data) for one in Authenticator.objects.all()]
    assert len(kept) == 2
    assert not any(secret in one for one in kept)
    assert all("v1:" in one for one in kept)


def test_the_app_is_removed_after_another_proof(client: Client, secret: str) -> None:
    with time_machine.travel(time.time() + 10 * 60):
        client.post("/account/factors/app/remove")
        assert Authenticator.objects.count() == 2
        prove(client)
        client.post("/account/factors/app/remove")
    assert Authenticator.objects.count() == 0
    assert enter(Client()).headers["Location"] == "/"
    assert "person.factor_removed" in AuditEntry.objects.values_list("act", flat=True)


def test_beginning_with_a_passkey_writes_no_session(client: Client, db: None) -> None:
    answer = client.post("/account/passkey")
    assert answer.json()["publicKey"]["userVerification"] == "required"
    assert Session.objects.count() == 0
    assert client.cookies["passkey"]["httponly"]
    wrong = client.post("/account/passkey", {"credential": json.dumps({"id": "x"})})
    assert wrong.status_code == 422
    assert b"was not accepted" in wrong.content
    assert Session.objects.count() == 0


def test_without_the_cache_the_second_factor_still_works(
    client: Client, secret: str, settings: Any
) -> None:
    away = settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away}
    visitor = Client()
    assert enter(visitor).headers["Location"] == "/account/second-factor"
    assert visitor.post("/account/second-factor", {"code": code_of(secret)}).status_code == 302
