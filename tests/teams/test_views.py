"""Signing in and out."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from teams import attempts


@pytest.fixture(autouse=True)
def forget_attempts() -> None:
    cache.clear()


def enter(client: Client, password: str = "rescue-demo", **more: str) -> Any:
    return client.post("/sign-in", {"username": "Alice@example.org", "password": password} | more)


def test_it_lets_people_in(client: Client, teams: SimpleNamespace) -> None:
    answer = enter(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    assert client.get("/sign-in").status_code == 302


def test_it_goes_where_one_wanted_to_go(client: Client, teams: SimpleNamespace) -> None:
    assert enter(client, next="/?q=web").headers["Location"] == "/?q=web"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_it_never_goes_elsewhere(client: Client, teams: SimpleNamespace, elsewhere: str) -> None:
    assert enter(client, next=elsewhere).headers["Location"] == "/"


def test_a_wrong_password_is_told(client: Client, teams: SimpleNamespace) -> None:
    answer = enter(client, "wrong")
    assert answer.status_code == 422
    assert "Please enter a correct" in answer.content.decode()


def test_guessing_is_stopped_for_a_while(client: Client, teams: SimpleNamespace) -> None:
    for _ in range(attempts.ALLOWED):
        assert enter(client, "wrong").status_code == 422
    answer = enter(client)
    assert answer.status_code == 429
    assert "Too many tries" in answer.content.decode()
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    assert enter(elsewhere).status_code == 302


def test_without_its_cache_it_still_lets_people_in(
    client: Client, teams: SimpleNamespace, settings: Any
) -> None:
    settings.CACHES = {
        "default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}
    }
    assert enter(client, "wrong").status_code == 422
    assert enter(client).status_code == 302


def test_sign_out_needs_a_post(client: Client, alice: Any) -> None:
    client.force_login(alice)
    assert client.get("/sign-out").status_code == 405
    assert client.get("/notifications").status_code == 200
    assert client.post("/sign-out").headers["Location"] == "/sign-in"
    assert client.get("/notifications").status_code == 302


def test_the_cast_is_shown_in_the_demo_only(client: Client, db: None, settings: Any) -> None:
    assert "rescue-demo" not in client.get("/sign-in").content.decode()
    settings.DEMO = True
    page = client.get("/sign-in?as=bob@example.org").content.decode()
    assert "rescue-demo" in page
    assert 'value="bob@example.org"' in page


def test_strangers_leave_no_session(client: Client, db: None) -> None:
    client.get("/sign-in")
    assert "session" not in client.cookies


def test_what_is_no_path_is_nowhere_to_go(client: Client, alice: Any) -> None:
    """Django would take it for the name of a view, and fail."""
    assert enter(client, next="1").headers["Location"] == "/"
    for wanted in ("1", "instances:list", "teams.views.sign_in", "http://testserver/teams"):
        assert client.get("/sign-in", {"next": wanted}).headers["Location"] == "/", wanted
    assert client.get("/sign-in", {"next": "/teams"}).headers["Location"] == "/teams"


def test_too_many_fields_in_an_address_are_refused_in_words(client: Client, alice: Any) -> None:
    client.force_login(alice)
    many = "&".join(f"a{n}=1" for n in range(1100))
    for path, status in (("/", 400), ("/account/sessions", 200)):  # which reads none of them
        page = client.get(f"{path}?{many}")
        assert page.status_code == status, path
        assert ("What was sent is too large" in page.content.decode()) == (status == 400)
