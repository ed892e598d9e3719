"""How long sessions last, and the page on which people end them."""

import time
from typing import Any

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from teams import sessions
from teams.models import AuditEntry
from tests.teams.test_sign_in import enter

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
MINUTE, HOUR = 60, 3600


@pytest.fixture(autouse=True)
def forget_attempts() -> None:
    cache.clear()


def inside(client: Client, **headers: str) -> bool:
    return bool(client.get("/account", headers=headers).status_code == 200)


def test_a_session_ends_after_half_an_hour_without_anybody(client: Client, alice: Any) -> None:
    with time_machine.travel(time.time(), tick=False) as clock:
        enter(client)
        for _ in range(4):
            clock.shift(20 * MINUTE)
            assert inside(client)
        clock.shift(31 * MINUTE)
        assert not inside(client)
    assert Session.objects.count() == 0


def test_a_page_that_refreshes_itself_does_not_prolong_it(client: Client, alice: Any) -> None:
    with time_machine.travel(time.time(), tick=False) as clock:
        enter(client)
        clock.shift(20 * MINUTE)
        assert inside(client, **{"X-Refresh": "1"})
        clock.shift(11 * MINUTE)
        assert not inside(client)


def test_a_session_ends_after_twelve_hours(client: Client, alice: Any) -> None:
    with time_machine.travel(time.time(), tick=False) as clock:
        enter(client)
        for _ in range(35):
            clock.shift(20 * MINUTE)
            assert inside(client)
        clock.shift(21 * MINUTE)
        assert not inside(client)


def test_the_stream_asks_the_same_question(client: Client, alice: Any) -> None:
    with time_machine.travel(time.time(), tick=False) as clock:
        enter(client)
        assert sessions.person_behind(client.session) == alice
        clock.shift(31 * MINUTE)
        assert sessions.person_behind(client.session) is None


def test_one_sees_and_ends_ones_sessions(client: Client, alice: Any, mallory: Any) -> None:
    elsewhere, third = Client(REMOTE_ADDR="198.51.100.7"), Client()
    enter(client)
    elsewhere.post(
        "/sign-in",
        {"username": "alice@example.org", "password": "rescue-demo"},
        headers={"user-agent": FIREFOX},
    )
    enter(third)
    page = client.get("/account/sessions").content.decode()
    assert "Firefox, Linux" in page
    assert "198.51.100.7" in page
    assert page.count("this one") == 1
    other = sessions.UserSession.objects.get(ip="198.51.100.7")
    client_of_mallory = Client()
    client_of_mallory.force_login(mallory)
    assert client_of_mallory.post(f"/account/sessions/{other.pk}/end").status_code == 404
    assert client.post(f"/account/sessions/{other.pk}/end").status_code == 302
    assert not inside(elsewhere)
    assert inside(third)
    client.post("/account/sessions/end-others")
    assert not inside(third)
    assert inside(client)
    assert AuditEntry.objects.filter(act="person.session_ended").count() == 2


def test_the_present_session_is_ended_by_signing_out(client: Client, alice: Any) -> None:
    enter(client)
    mine = sessions.UserSession.objects.get()
    client.post(f"/account/sessions/{mine.pk}/end")
    assert inside(client)
