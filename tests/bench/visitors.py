"""Somebody who signs in and looks, without a browser."""

import re
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx

from tests.panel import PASSWORD
from tests.services import wait_until


def until_answers(browser: httpx.Client) -> None:
    """Wait for the web process."""

    def answers() -> bool:
        try:
            return browser.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, "the panel's start", 30)


def sign_in(browser: httpx.Client) -> None:
    """Sign in as alice."""
    form = browser.get("/sign-in").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    data = {"csrfmiddlewaretoken": token[1], "username": "alice@example.org", "password": PASSWORD}
    assert browser.post("/sign-in", data=data | {"next": "/"}).status_code == 302


class Plain:
    """The leanest client there is, on one connection: what it measures is the server."""

    def __init__(self, url: str, **headers: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._link = HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._path, self._headers = parts.path.rstrip("/"), headers

    def get(self, path: str) -> bytes:
        """Ask for a page; return it as it came over the wire."""
        self._link.request("GET", self._path + path, headers=self._headers)
        answer = self._link.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return body


def plain(browser: httpx.Client) -> Plain:
    """Return a plain client with the session of one that signed in."""
    cookies = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    return Plain(str(browser.base_url), **{"Cookie": cookies, "Accept-Encoding": "gzip"})
