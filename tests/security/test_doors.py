"""Where strangers knock: sessions, redirects, guesses, and what production's settings say."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from rescuepanel.environment import new_key
from tests.access_table import rows

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "rescue-demo"
ELSEWHERE = [
    "https://evil.example/",
    "http://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "https:evil.example",
    "http:///evil.example",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "\x00//evil.example",
    " //evil.example",
    "//evil.example\\@testserver",
    "/%5cevil.example",
    "ftp://testserver/",
]


@pytest.fixture(autouse=True)
def forget_attempts() -> Any:
    cache.clear()
    yield
    cache.clear()


def sign_in(client: Client, name: str, password: str = PASSWORD, **more: str) -> Any:
    """Fill in the sign-in page, with the field names it has."""
    given = {"login": f"{name}@example.org", "username": f"{name}@example.org"}
    return client.post("/sign-in", given | {"password": password} | more)


# Sessions ---------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(400)
def test_ten_thousand_strangers_leave_no_session(db: None) -> None:
    holes = {"int": "1", "uuid": "2f15611b-8f4e-4d49-b7f1-3a2c3c0f3e11"}
    paths = set()
    for row in rows():
        if "GET" in row.methods and row.address != "metrics":
            parts = row.address.split("/")
            filled = [
                holes.get(part[1:].partition(":")[0], "x") if "<" in part else part
                for part in parts
            ]
            paths.add("/" + "/".join(filled))
    hits = 0
    while hits < 10_000:
        for path in sorted(paths):
            status = Client().get(path).status_code
            assert status < 500 or path == "/readyz", path  # no worker runs here
            hits += 1
    assert Session.objects.count() == 0


def test_a_session_from_before_is_not_taken_over(client: Client, teams: SimpleNamespace) -> None:
    client.cookies["session"] = "a" * 32
    sign_in(client, "alice")
    assert client.get("/notifications").status_code == 200
    first, key = client.cookies["session"].value, client.session.session_key
    assert first != "a" * 32 and Session.objects.filter(session_key=key).exists()
    client.post("/sign-out")
    assert not Session.objects.filter(session_key=key).exists()
    client.cookies["session"] = first
    assert client.get("/notifications").status_code == 302


def test_signing_in_again_takes_a_new_key(client: Client, teams: SimpleNamespace) -> None:
    keys = set()
    for _turn in range(2):
        sign_in(client, "bob")
        keys.add(client.cookies["session"].value)
        client.post("/sign-out")
    assert len(keys) == 2


# Redirects --------------------------------------------------------------------------------------


def leads_elsewhere(location: str) -> bool:
    """Tell where a browser would go: backslashes and controls are slashes and nothing to it."""
    read = "".join(sign for sign in location if sign > " ").replace("\\", "/")
    there = urlsplit(read)
    return bool(there.netloc not in ("", "testserver") or there.scheme not in ("", "http", "https"))


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nothing_leads_elsewhere(wanted: str, client: Client, teams: SimpleNamespace) -> None:
    answers = [
        client.get("/sign-in", {"next": wanted}),
        client.post("/language", {"language": "fr", "next": wanted}),
        client.post("/language", {"language": "fr"}, headers={"Referer": wanted.strip("\x00")}),
        client.get("/account/sign-up", {"next": wanted}),
        sign_in(client, "alice", next=wanted),
        client.get("/sign-in", {"next": wanted}),
        client.get("/account/again", {"next": wanted}),
        client.post("/account/again", {"next": wanted, "password": PASSWORD}),
        client.post("/sign-out", {"next": wanted}),
    ]
    for answer in answers:
        assert answer.status_code < 500
        for name in ("Location", "HX-Redirect", "HX-Location"):
            assert not leads_elsewhere(answer.headers.get(name, "")), answer.headers[name]


def test_what_would_lead_elsewhere_is_seen() -> None:
    caught = [wanted for wanted in ELSEWHERE if leads_elsewhere(wanted)]
    assert len(caught) > 12 and not leads_elsewhere("/?q=web")


# Guesses ----------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_thousand_guesses_are_bounded_and_others_get_in(teams: SimpleNamespace) -> None:
    guesser = Client(REMOTE_ADDR="198.51.100.9")
    looked_at = 0
    for number in range(1000):
        answer = sign_in(guesser, "alice", f"guess-{number}")
        assert answer.status_code in (422, 429)
        looked_at += answer.status_code == 422
    assert looked_at <= 20
    elsewhere = Client(REMOTE_ADDR="203.0.113.7")
    assert sign_in(elsewhere, "bob").status_code == 302
    assert elsewhere.get("/notifications").status_code == 200


# Production -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment of a panel in production."""
    folder = tmp_path_factory.mktemp("production")
    return {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ENCRYPTION_KEYS": new_key(),
        "DATABASE_URL": f"sqlite:///{folder / 'panel.sqlite3'}",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ALLOWED_HOSTS": "panel.example.org",
    }


def manage(production: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=production, capture_output=True, text=True)


def test_the_deployment_check_has_nothing_to_say(production: dict[str, str]) -> None:
    done = manage(production, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_cookies_and_transport_in_production(production: dict[str, str]) -> None:
    names = (
        "SESSION_COOKIE_SECURE SESSION_COOKIE_HTTPONLY SESSION_COOKIE_SAMESITE SESSION_COOKIE_NAME "
        "CSRF_COOKIE_SECURE CSRF_COOKIE_SAMESITE CSRF_COOKIE_NAME LANGUAGE_COOKIE_SECURE "
        "SECURE_HSTS_SECONDS SECURE_SSL_REDIRECT DEBUG"
    ).split()
    code = (
        "import json; from django.conf import settings as s; "
        f"print(json.dumps({{name: getattr(s, name) for name in {names!r}}}))"
    )
    done = manage(production, "shell", "-v", "0", "-c", code)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert found["CSRF_COOKIE_NAME"].startswith("__Host-")
    assert found["SESSION_COOKIE_SAMESITE"] in ("Lax", "Strict")
    assert found["SECURE_HSTS_SECONDS"] >= 365 * 24 * 3600 and not found["DEBUG"]
    flags = [name for name in names if name.endswith(("SECURE", "HTTPONLY", "REDIRECT"))]
    assert {name: found[name] for name in flags} == dict.fromkeys(flags, True)


def test_a_cookie_of_the_panel_is_closed_to_scripts(client: Client, teams: SimpleNamespace) -> None:
    client.get("/sign-in")
    sign_in(client, "alice")
    for name in ("session", "csrf"):
        cookie = client.cookies[name]
        assert (
            cookie["httponly"] and cookie["samesite"] in ("Lax", "Strict") and cookie["path"] == "/"
        )
        assert not cookie["domain"]
