"""Signing in with another's word: against an OpenID Connect provider in a process of its own."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from teams.models import AuditEntry, Invitation, User
from tests.signing import know, running_provider, settings_for


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running_provider() as address:
        yield address


@pytest.fixture
def provider(issuer: str, settings: Any, db: None) -> str:
    cache.clear()
    settings.SOCIALACCOUNT_PROVIDERS = settings_for(issuer)
    return issuer


def arrive(client: Client, subject: str, **fields: str) -> Any:
    """Go to the provider, sign in there, come back."""
    page = client.post("/account/with/oidc", fields).content.decode()
    there = re.search(r'href="(http://127[^"]+)"', page)
    assert there, page
    address = there[1].replace("&amp;", "&")
    answer = httpx.post(address, data={"sub": subject}, follow_redirects=False)
    back = urlsplit(answer.headers["Location"])
    return client.get(f"{back.path}?{back.query}")


def inside(client: Client) -> bool:
    return bool(client.get("/account").status_code == 200)


def invite(teams: Any, email: str) -> None:
    Invitation.objects.create(
        team=teams.acme, email=email, role="member", token_hash=email,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip


def test_a_verified_address_joins_the_account(client: Client, provider: str, alice: Any) -> None:
    know(provider, "a", email="alice@example.org", email_verified=True)
    assert arrive(client, "a", next="/account").headers["Location"] == "/account"
    assert inside(client)
    assert User.objects.get(pk=alice.pk).has_usable_password()
    assert SocialAccount.objects.get().user == alice
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"person.provider_joined", "person.sign_in"} <= acts


@pytest.mark.parametrize("claim", [False, "false", "true", None])
def test_an_address_that_is_not_verified_takes_no_account_over(
    client: Client, provider: str, alice: Any, claim: Any, settings: Any
) -> None:
    for settings.OPEN_SIGN_UP in (False, True):
        know(provider, "evil", email="alice@example.org", email_verified=claim)
        answer = arrive(client, "evil")
        assert answer.status_code == 403
        assert not inside(client)
    assert SocialAccount.objects.count() == 0


def test_new_people_need_an_invitation(client: Client, provider: str, teams: Any) -> None:
    know(provider, "z", email="zoe@example.org", email_verified=True, name="Zoe Z")
    assert arrive(client, "z").status_code == 403
    assert not User.objects.filter(email="zoe@example.org").exists()
    invite(teams, "zoe@example.org")
    assert arrive(client, "z").status_code == 302
    assert inside(client)
    assert User.objects.get(email="zoe@example.org").name == "Zoe Z"


def test_a_closed_account_stays_shut(client: Client, provider: str, alice: Any) -> None:
    know(provider, "a", email="alice@example.org", email_verified=True)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    arrive(client, "a")
    assert not inside(client)


def test_a_state_is_good_for_one_browser_and_once(
    client: Client, provider: str, alice: Any
) -> None:
    know(provider, "a", email="alice@example.org", email_verified=True)
    page = client.post("/account/with/oidc").content.decode()
    state = re.search(r"state=(\w+)", page)
    assert state
    victim = Client()
    answer = victim.get(f"/account/with/oidc/back?code=x&state={state[1]}")
    assert answer.status_code == 401
    assert Session.objects.count() == 1


def test_only_a_post_goes_there(client: Client, provider: str) -> None:
    assert client.get("/account/with/oidc").status_code == 405
    assert Session.objects.count() == 0


def test_a_provider_that_is_away_is_told(client: Client, db: None, settings: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = settings_for("http://127.0.0.1:1")
    answer = client.post("/account/with/oidc")
    assert answer.status_code == 503
    assert b"did not confirm who you are, or it took too long" in answer.content


def test_without_a_provider_nothing_is_offered(client: Client, db: None) -> None:
    assert b"/account/with/" not in client.get("/sign-in").content
    assert client.post("/account/with/oidc").headers["Location"] == "/sign-in"
