"""Read settings from the environment; say in one sentence which one is wrong."""

import base64
import binascii
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def text(name: str, default: str | None = None) -> str:
    """Return NAME, or the content of the file NAME_FILE names, or the default."""
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value is not None and path:
        raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set: set one of them.")
    if path:
        value = _content(name, path)
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(
            f"{name} is not set: set {name}, or {name}_FILE to the path of a file holding it."
        )
    return default


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read ({error}).") from error


def flag(name: str, default: bool = False) -> bool:
    """Return NAME as yes or no."""
    value = text(name, "1" if default else "0").lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")
    return value in _TRUE


def number(name: str, default: int, least: int, most: int) -> int:
    """Return NAME as a whole number between two bounds."""
    value = text(name, str(default))
    if not value.isascii() or not value.isdecimal() or not least <= int(value) <= most:
        raise ImproperlyConfigured(
            f"{name} must be a whole number from {least} to {most}, not {value!r}."
        )
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """Return the comma-separated list in NAME."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def hosts(name: str) -> list[str]:
    """Return the host names in NAME: bare, as Django compares them."""
    for word in (found := words(name)):
        if "/" in word or re.search(r"[^\]]:\d+$", word):
            raise ImproperlyConfigured(
                f"{name} must hold bare host names like panel.example.org, not {word!r}."
            )
    return found


def origins(name: str) -> list[str]:
    """Return the origins in NAME: scheme and host."""
    for word in (found := words(name)):
        if not re.fullmatch(r"https?://[^/]+", word):
            raise ImproperlyConfigured(
                f"{name} must hold origins like https://panel.example.org, not {word!r}."
            )
    return found


def origin(name: str, known_hosts: list[str], *, secure: bool) -> str:
    """Return the origin in NAME; by default that of the first known host that is a name."""
    first = next((host.lstrip(".") for host in known_hosts if host != "*"), "localhost")
    value = text(name, f"{'https' if secure else 'http'}://{first}").rstrip("/")
    if not re.fullmatch(r"https?://[^/\s]+", value):
        raise ImproperlyConfigured(
            f"{name} must be an origin like https://panel.example.org, not {value!r}."
        )
    return value


def address(name: str) -> str:
    """Return the http address in NAME, or nothing; it may hold a key, so no sentence repeats it."""
    value = text(name, "")
    if value and not re.fullmatch(r"https?://[^/\s]+[^\s]*", value):
        raise ImproperlyConfigured(
            f"{name} must be an address that begins with https:// or http://."
        )
    return value


def networks(name: str, default: str = "") -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks in NAME, written as CIDR."""
    found = []
    for word in words(name, default):
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} must hold networks like 10.20.0.0/16, not {word!r}."
            ) from error
    return found


def choice(name: str, default: str, allowed: Mapping[str, Any] | list[str]) -> str:
    """Return NAME if it is one of the allowed values."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def secret_key(default: str | None = None) -> str:
    """Return SECRET_KEY, refused when too short to be a secret."""
    value = text("SECRET_KEY", default)
    if len(value) < 32:
        raise ImproperlyConfigured("SECRET_KEY is too short: use at least 32 random characters.")
    return value


def encryption_keys(default: str | None = None) -> list[bytes]:
    """Return ENCRYPTION_KEYS decoded; the first encrypts, all decrypt."""
    keys = [_key(word) for word in text("ENCRYPTION_KEYS", default).split(",") if word.strip()]
    if not keys:
        raise ImproperlyConfigured("ENCRYPTION_KEYS is empty: give at least one key.")
    return keys


def _key(word: str) -> bytes:
    word = word.strip()
    try:
        key = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        # The value is a secret: the sentence never repeats it.
        raise ImproperlyConfigured(
            "ENCRYPTION_KEYS must hold base64url keys of 32 bytes each, separated by commas."
        )
    return key


def new_key() -> str:
    """Make one key for ENCRYPTION_KEYS."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return the secret kept in the file, made and kept (for its owner only) on first use."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(make(), encoding="ascii")
    try:
        # Several processes start at once: the first to link its draft wins, all read the same.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")


CONNECTION_KEPT = 60  # seconds; ?conn_max_age= in the address says otherwise
#: PostgreSQL compiles a statement that it thinks costly: a second of a processor for one that joins
#: a dozen small tables and takes a millisecond, as long as nobody has counted their rows.
NO_COMPILING = "-c jit=off"


def database(default: str | None = None) -> dict[str, Any]:
    """Return Django's database settings for DATABASE_URL."""
    url = text("DATABASE_URL", default)
    try:
        # A connection is kept for the next page or task, and looked at before it is used again.
        settings: dict[str, Any] = dict(dj_database_url.parse(url, conn_health_checks=True))
        options = settings.pop("OPTIONS", {})
        settings["CONN_MAX_AGE"] = int(options.pop("conn_max_age", CONNECTION_KEPT))
    except ValueError as error:
        raise ImproperlyConfigured(_DATABASE_HELP) from error
    if settings.get("ENGINE") == "django.db.backends.sqlite3":
        settings["OPTIONS"] = _SQLITE
    elif settings.get("ENGINE") == "django.db.backends.postgresql":
        settings["OPTIONS"] = {"connect_timeout": 3, "options": NO_COMPILING, **options}
    else:
        raise ImproperlyConfigured(_DATABASE_HELP)
    return settings


_DATABASE_HELP = (
    "DATABASE_URL must look like sqlite:///path/to/file or postgres://user:password@host/name."
)
_SQLITE = {
    # Takes the write lock at BEGIN: two writers wait for each other instead of failing half-way.
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def redis_url(default: str | None = None) -> str:
    """Return REDIS_URL as redis-py understands it (redis://, rediss:// or unix:///path)."""
    value = text("REDIS_URL", default)
    if not value.startswith(("redis://", "rediss://", "unix:///")):
        raise ImproperlyConfigured("REDIS_URL must start with redis://, rediss:// or unix:///.")
    return value


def metrics_token() -> str:
    """Return METRICS_TOKEN, refused when too short to be a secret; empty: none is asked for."""
    value = text("METRICS_TOKEN", "")
    if value and (len(value) < 20 or not value.isascii()):
        raise ImproperlyConfigured(
            "METRICS_TOKEN is too short: use at least 20 random characters of ASCII."
        )
    return value


def broker_url(url: str) -> str:
    """Return a redis-py address in the spelling kombu expects."""
    return "redis+socket://" + url.removeprefix("unix://") if url.startswith("unix://") else url


def amqp_url(name: str) -> str:
    """Return the address of a RabbitMQ in NAME; empty: none."""
    value = text(name, "")
    if value and not (value.startswith(("amqp://", "amqps://")) and urlsplit(value).hostname):
        # The value holds a password: the sentence never repeats it.
        raise ImproperlyConfigured(f"{name} must look like amqps://user:password@host:5671/vhost.")
    return value


def openid_connect() -> dict[str, Any]:
    """Return allauth's settings for the provider that the OIDC_ variables name; none: no such."""
    issuer = text("OIDC_ISSUER", "").rstrip("/")
    client, secret = text("OIDC_CLIENT_ID", ""), text("OIDC_CLIENT_SECRET", "")
    if not issuer and not client and not secret:
        return {}
    if not re.fullmatch(r"https?://[^/\s]+[^\s]*", issuer) or not client or not secret:
        raise ImproperlyConfigured(
            "OIDC_ISSUER (https://…), OIDC_CLIENT_ID and OIDC_CLIENT_SECRET must be set together."
        )
    app = {
        "provider_id": "oidc",
        "name": text("OIDC_NAME", "OpenID Connect"),
        "client_id": client,
        "secret": secret,
        "settings": {"server_url": issuer},
    }
    return {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}


def keystone_sign_in(*, plain_http: bool) -> dict[str, str]:
    """Return address, name and domain of the Keystone that lets people in; none: no such."""
    url = text("KEYSTONE_SIGN_IN_URL", "").rstrip("/")
    name = text("KEYSTONE_SIGN_IN_NAME", "OpenStack")
    domain = text("KEYSTONE_SIGN_IN_DOMAIN", "Default")
    if not url:
        return {}
    # The value may hold a password by mistake: the sentence never repeats it.
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?/v3", url) or len(url) > 300:
        raise ImproperlyConfigured(
            "KEYSTONE_SIGN_IN_URL must be Keystone's v3 address,"
            " like https://keystone.example.org/v3."
        )
    if url.startswith("http:") and not plain_http:
        raise ImproperlyConfigured(
            "KEYSTONE_SIGN_IN_URL must begin with https://;"
            " plain http is for hosts in CLOUD_PRIVATE_NETWORKS alone."
        )
    for setting, value in (("NAME", name), ("DOMAIN", domain)):
        if len(value) > 64 or not value.isprintable():
            raise ImproperlyConfigured(
                f"KEYSTONE_SIGN_IN_{setting} must be one line of at most 64 characters."
            )
    return {"url": url, "name": name, "domain": domain}


def email(default: str = "console:") -> dict[str, Any]:
    """Return mail settings for EMAIL_URL: smtp://, smtps://, smtp+tls://, file:, console:."""
    url = urlsplit(text("EMAIL_URL", default))
    if url.scheme == "file" and url.path:
        folder = {"EMAIL_FILE_PATH": unquote(url.path)}
        return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend"} | folder
    if url.scheme == "console":
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    if url.scheme not in {"smtp", "smtps", "smtp+tls"} or not url.hostname:
        raise ImproperlyConfigured(
            "EMAIL_URL must look like smtp+tls://user:password@host:587/?from=panel@example.org."
        )
    mail = {
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or (465 if url.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_SSL": url.scheme == "smtps",
        "EMAIL_USE_TLS": url.scheme == "smtp+tls",
        "EMAIL_TIMEOUT": 10,
    }
    sender = parse_qs(url.query).get("from")
    return mail | ({"DEFAULT_FROM_EMAIL": sender[0]} if sender else {})
