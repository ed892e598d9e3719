"""Help tests sign people in: a provider as a process, codes of an app, mail that was caught."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from typing import Any

import httpx
from aiosmtpd.controller import Controller

from tests.services import free_port, listens, stop, wait_until

CLIENT, SECRET = "rescue-panel", "not-secret"


def settings_for(issuer: str) -> dict[str, Any]:
    """Return what OIDC_ISSUER and its like make of a provider."""
    app = {
        "provider_id": "oidc",
        "name": "Example ID",
        "client_id": CLIENT,
        "secret": SECRET,
        "settings": {"server_url": issuer},
    }
    return {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}


@contextmanager
def running_provider() -> Iterator[str]:
    """Run an OpenID Connect provider that believes everybody; yield its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: listens(port), "the provider", 20)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def know(provider: str, subject: str, **claims: Any) -> None:
    """Tell the provider about somebody."""
    httpx.put(f"{provider}/users/{subject}", json=claims).raise_for_status()


class Letterbox:
    """A mail server that keeps what it is handed."""

    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.server = Controller(self, hostname="127.0.0.1", port=free_port())

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def text(self, number: int = -1) -> str:
        return str(self.letters[number].get_content())

    def link(self, number: int = -1) -> str:
        """Return the path of the link in a mail."""
        return link_in(self.text(number))


def link_in(text: str) -> str:
    """Return the path of the first link to a page of an account."""
    found = re.search(r"https?://[^/\s]+(/account/[^\s]+)", text)
    assert found, text
    return found[1]


@contextmanager
def letterbox() -> Iterator[Letterbox]:
    """Run a mail server."""
    box = Letterbox()
    box.server.start()
    try:
        yield box
    finally:
        box.server.stop()
