"""Settings come from the environment; a wrong one is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from rescuepanel import environment as env
from tests.services import ROOT

GOOD = {
    "SECRET_KEY": "x" * 40,
    "ENCRYPTION_KEYS": env.new_key(),
    "DATABASE_URL": "sqlite:////tmp/never-opened.sqlite3",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def start(**changed: str) -> "subprocess.CompletedProcess[str]":
    """Import the settings in a process of its own."""
    bare = {"PATH": os.environ["PATH"]}
    wanted = {name: value for name, value in (GOOD | changed).items() if value != "-"}
    code = "from rescuepanel import settings as s; print(s.SECURE, s.DEMO, len(s.ENCRYPTION_KEYS))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=bare | wanted,
        capture_output=True,
        text=True,
        check=False,
    )


def test_good_settings_start_in_secure_mode() -> None:
    assert start().stdout.split() == ["True", "False", "1"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECRET_KEY", "-", "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "SECRET_KEY is too short"),
        ("ENCRYPTION_KEYS", "-", "ENCRYPTION_KEYS is not set"),
        ("ENCRYPTION_KEYS", "c2hvcnQ=", "ENCRYPTION_KEYS must hold"),
        ("ENCRYPTION_KEYS", " , ", "ENCRYPTION_KEYS is empty"),
        ("DATABASE_URL", "-", "DATABASE_URL is not set"),
        ("DATABASE_URL", "mysql://root@db/panel", "DATABASE_URL must look like"),
        ("DATABASE_URL", "nonsense", "DATABASE_URL must look like"),
        ("REDIS_URL", "-", "REDIS_URL is not set"),
        ("REDIS_URL", "http://redis", "REDIS_URL must start with"),
        ("LANGUAGE_CODE", "tlh", "LANGUAGE_CODE must be one of en, fr"),
        ("DEBUG", "maybe", "DEBUG must be 1 or 0"),
        ("EMAIL_URL", "pigeon://roof", "EMAIL_URL must look like"),
        ("ALLOWED_HOSTS", "https://panel.example.org", "ALLOWED_HOSTS must hold bare host names"),
        ("ALLOWED_HOSTS", "panel.example.org:8000", "ALLOWED_HOSTS must hold bare host names"),
        ("CSRF_TRUSTED_ORIGINS", "panel.example.org", "CSRF_TRUSTED_ORIGINS must hold origins"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example/", "CSRF_TRUSTED_ORIGINS must hold origins"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be one of"),
        ("KEYSTONE_SIGN_IN_URL", "keystone.example.org", "KEYSTONE_SIGN_IN_URL must be Keystone's"),
        ("KEYSTONE_SIGN_IN_URL", "https://k.example/v2.0", "KEYSTONE_SIGN_IN_URL must be Keystone"),
        ("KEYSTONE_SIGN_IN_URL", "https://a:pw@k.example/v3", "KEYSTONE_SIGN_IN_URL must be Key"),
        ("KEYSTONE_SIGN_IN_URL", "http://10.2.0.1:5000/v3", "KEYSTONE_SIGN_IN_URL must begin with"),
        ("SECRET_KEY_FILE", "/no/such/file", "Both SECRET_KEY and SECRET_KEY_FILE"),
    ],
)
def test_a_bad_setting_stops_the_start_by_name(name: str, value: str, words: str) -> None:
    done = start(**{name: value})
    assert done.returncode != 0
    assert words in done.stderr.splitlines()[-1]


def test_hosts_may_be_addresses_and_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "panel.example.org, .example.net,[::1],192.0.2.7,*")
    assert env.hosts("ALLOWED_HOSTS")[1:3] == [".example.net", "[::1]"]


def test_the_sentence_about_keys_does_not_repeat_them() -> None:
    assert "c2hvcnQ" not in start(ENCRYPTION_KEYS="c2hvcnQ").stderr


def test_every_name_can_be_a_file(tmp_path: Path) -> None:
    for name, value in GOOD.items():
        (tmp_path / name).write_text(value + "\n")
    files = {f"{name}_FILE": str(tmp_path / name) for name in GOOD}
    assert start(**dict.fromkeys(GOOD, "-"), **files).stdout.split() == ["True", "False", "1"]


def test_a_missing_file_is_named() -> None:
    assert (
        "SECRET_KEY_FILE: /no/such cannot be read"
        in start(SECRET_KEY="-", SECRET_KEY_FILE="/no/such").stderr
    )


def test_the_demo_makes_and_keeps_its_own_keys(tmp_path: Path) -> None:
    def key() -> str:
        return env.kept(tmp_path / "demo" / "key", env.new_key)

    first = key()
    assert first == key()
    assert (tmp_path / "demo" / "key").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["key"]


def test_several_keys_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = env.new_key(), env.new_key().rstrip("=")
    monkeypatch.setenv("ENCRYPTION_KEYS", f"{first}, {second}")
    keys = env.encryption_keys()
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]


def test_mail_with_tls_and_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "EMAIL_URL", "smtp+tls://post:p%40ss@mail.example.org?from=panel@example.org"
    )
    mail = env.email()
    assert (mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"], mail["EMAIL_USE_SSL"]) == (587, True, False)
    assert (mail["EMAIL_HOST_PASSWORD"], mail["DEFAULT_FROM_EMAIL"]) == (
        "p@ss",
        "panel@example.org",
    )


def test_a_url_no_parser_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://host:notaport/x")
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        env.database()


def test_a_keystone_is_read_whole_and_by_default_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("URL", "NAME", "DOMAIN"):
        monkeypatch.delenv(f"KEYSTONE_SIGN_IN_{name}", raising=False)
    assert env.keystone_sign_in(plain_http=False) == {}
    url = "https://cloud.example.org:5000/identity/v3"
    monkeypatch.setenv("KEYSTONE_SIGN_IN_URL", f"{url}/")
    expected = {"url": url, "name": "OpenStack", "domain": "Default"}
    assert env.keystone_sign_in(plain_http=False) == expected
    monkeypatch.setenv("KEYSTONE_SIGN_IN_DOMAIN", "two\nlines")
    with pytest.raises(ImproperlyConfigured, match="KEYSTONE_SIGN_IN_DOMAIN"):
        env.keystone_sign_in(plain_http=False)


def test_plain_http_to_keystone_is_for_permitted_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSTONE_SIGN_IN_URL", "http://10.2.0.1:5000/v3")
    assert env.keystone_sign_in(plain_http=True)["url"] == "http://10.2.0.1:5000/v3"


def test_the_address_of_notifications_is_checked_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert env.amqp_url("NOVA_NOTIFICATIONS_URL") == ""
    monkeypatch.setenv("NOVA_NOTIFICATIONS_URL", "amqps://panel:hidden@rabbit.example.org//")
    assert env.amqp_url("NOVA_NOTIFICATIONS_URL").startswith("amqps://")
    for wrong in ("http://panel:hidden@rabbit", "amqp://", "rabbit:hidden"):
        monkeypatch.setenv("NOVA_NOTIFICATIONS_URL", wrong)
        with pytest.raises(ImproperlyConfigured, match="must look like amqps://") as refused:
            env.amqp_url("NOVA_NOTIFICATIONS_URL")
        assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "seconds"), [("", 60), ("?conn_max_age=0", 0), ("?sslmode=require", 60)]
)
def test_a_connection_is_kept_unless_the_address_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, asked: str, seconds: int
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgres://panel:secret@db/panel{asked}")
    found = env.database()
    assert found["CONN_MAX_AGE"] == seconds and found["CONN_HEALTH_CHECKS"]
    assert "conn_max_age" not in found["OPTIONS"]
    assert ("sslmode" in found["OPTIONS"]) is ("sslmode" in asked)
    assert found["OPTIONS"]["options"] == "-c jit=off"
