"""Somebody who signs in and looks, without a browser."""

import re

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
