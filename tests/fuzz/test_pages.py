# ruff: noqa: F811  fixtures come by import
"""Every address of the panel with what no honest browser sends: no error of ours, no dawdling."""

import json
import re
from io import BytesIO
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tests.fuzz.rounds import Findings, dice_of, rounds
from tests.fuzz.words import EVIL
from tests.test_access import PEOPLE, ROWS, content, things, undone, visitor, world  # noqa: F401

#: what only other pages' forms, scripts and links send
NAMES = [
    "q",
    "status",
    "sort",
    "page",
    "next",
    "account",
    "region",
    "team",
    "act",
    "who",
    "since",
    "until",
    "from",
    "to",
    "image",
    "idempotency_key",
    "reason",
    "hours",
    "snapshot",
    "way",
    "chosen",
    "kind",
    "instances",
    "all",
    "login",
    "username",
    "password",
    "code",
    "credential",
    "email",
    "action",
    "select_across",
    "_selected_action",
    "o",
    "p",
    "e",
    "_changelist_filters",
    "_popup",
    "language",
    "state",
    "error",
    "proof",
    "device",
    "writable",
    "fingerprint",
    "permitted",
    "regions",
]
HEADERS = [
    "HX-Request",
    "HX-Target",
    "HX-Trigger",
    "HX-Current-URL",
    "HX-Prompt",
    "HX-Boosted",
    "HX-History-Restore-Request",
    "HX-Trigger-Name",
    "Accept",
    "Accept-Language",
    "Accept-Encoding",
    "Referer",
    "Origin",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Real-IP",
    "X-Request-ID",
    "X-CSRFToken",
    "Cookie",
    "Range",
    "If-Modified-Since",
    "If-None-Match",
    "If-Match",
    "Last-Event-ID",
    "Authorization",
    "Upgrade",
    "Host",
    "Sec-Fetch-Site",
    "TE",
    "Via",
]
NUMBERS = [
    "0",
    "-1",
    "1",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "9" * 30,
    "9" * 5000,
    "1e3",
    "٣",
    "1.5",
    "",
    "on",
    "true",
]
LINES = [
    "clouds:\n  a: &a [*a]\n",
    "clouds: " + "[" * 5000,
    "a: &a x\nb: *a\n" * 50,
    "!!python/object:os.system x",
    "export OS_AUTH_URL=$(id)\n" * 30,
    "export OS_PASSWORD='\n",
    "{" * 3000,
    "clouds: {a: {auth: 3}}",
    "ssh-ed25519 " + "A" * 9000,
    "ssh-rsa !!!",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    "? \n" * 900,
    "clouds: {a: {auth: {auth_url: 'http://[::1'}}}",
    "https://[",
    "http://\x00",
    "//",
    "http://a:99999/",
    "javascript:alert(1)",
    "http://127.0.0.1:9/",
    "https://user:pw@127.0.0.1:9/v3?a#b",
]
TYPES = [
    "application/json",
    "text/plain",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded; charset=utf-7",
    "application/x-www-form-urlencoded; charset=none",
    "image/png",
    "x",
    "",
]
BODIES = [
    b"",
    b"--x\r\n",
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 5000,
    b"%ff%fe=%00&a=%",
    b"=&" * 2000,
    b"a=1&" * 900,
    b"{" * 9000,
    b"\x00" * 900,
    b"[" * 90_000,
    json.dumps({"a": "b" * 900}).encode(),
    b'--x\r\nContent-Disposition: form-data; name=a; filename="../../x\x00"\r\n\r\n!!!\r\n--x--',
]


class Visitor:
    """Somebody who sends anything to one address after the other."""

    def __init__(self, world: Any, found: Findings, dice: Random) -> None:
        self.world, self.found, self.dice = world, found, dice
        self.fields: dict[str, list[str]] = {}

    def visit(self, row: Any, seed: str) -> None:
        able = [name for name in PEOPLE if row.who[name] == "+"] or ["anonymous"]
        client = visitor(self.dice.choice(able), self.world)
        self._signed_in_just_now(client)
        for method in sorted(row.methods & {"GET", "POST"}):
            for _time in range(2 if method == "GET" else 4):
                self._send(client, row, method, seed)

    def _signed_in_just_now(self, client: Client) -> None:
        if client.cookies:
            session = client.session
            session["account_authentication_methods"] = [
                {
                    "method": "password",
                    "at": timezone.now().timestamp(),
                    "email": "alice@example.org",
                }
            ]
            session.save()

    def _send(self, client: Client, row: Any, method: str, seed: str) -> None:
        path, honest = self._path(row)
        given: dict[str, Any] = {"headers": self._headers()}
        if method == "POST":
            given |= self._body(row) if honest else {"data": self._form(row)}
        if self.dice.random() < 0.6:
            given["query_params"] = self._form(row)
        sent = lambda: f"{method} {path[:300]} {str(given)[:1500]}"  # noqa: E731
        with self.found.step(f"{method} {row.address} ({seed})", sent), undone():
            answer = client.generic if "raw" in given else getattr(client, method.lower())
            raw = given.pop("raw", None)
            told = answer("POST", path, raw, **given) if raw is not None else answer(path, **given)
            text = content(told)
            if told.status_code >= 500 and row.address != "readyz":
                self.found.wrong(f"{told.status_code} of {method} {row.address}", sent())
            if b"<script>window.pwned" in text and "html" in told.headers.get("Content-Type", ""):
                self.found.wrong(f"a script in {method} {row.address}", sent())
            if method == "GET" and honest and told.status_code == 200:
                names = re.findall(r'name="([\w-]+)"', text.decode(errors="replace"))
                self.fields[row.address] = list(dict.fromkeys(names))

    def _path(self, row: Any) -> tuple[str, bool]:
        """Fill the address in: with what is there, or, now and then, with anything."""
        keys = [str(getattr(thing, "pk", thing)) for thing in things(row, self.world)]
        honest = self.dice.random() < 0.8
        holes = re.findall(r"<[^>]+>", row.address)
        path = row.address
        for hole, key in zip(holes, keys, strict=True):
            if not honest:
                key = self.dice.choice(
                    (key, quote(self._word()[:3000].encode(errors="replace"), safe=""))
                )
            path = path.replace(hole, key, 1)
        return f"/{path}", honest

    def _word(self) -> str:
        kind = self.dice.randrange(8)
        if kind < 3:
            return self.dice.choice(EVIL)
        if kind < 5:
            return self.dice.choice(NUMBERS)
        if kind < 7:
            return self.dice.choice(LINES)
        return "".join(chr(self.dice.randrange(0x110000)) for _n in range(self.dice.randrange(40)))

    def _value(self) -> str:
        """A word, or something that is there: the key of one of the world's things."""
        if self.dice.random() < 0.3:
            thing = self.dice.choice(list(vars(self.world).values()))
            return str(getattr(thing, "pk", thing))[:200]
        return self._word().encode(errors="replace").decode()

    def _form(self, row: Any) -> dict[str, Any]:
        names = self.fields.get(row.address) or NAMES
        chosen = self.dice.sample(names, self.dice.randrange(len(names) + 1))
        chosen += self.dice.sample(NAMES, 2)
        form: dict[str, Any] = {name: self._value() for name in chosen}
        if form and self.dice.random() < 0.2:
            name = self.dice.choice(list(form))
            form[name] = [self._value() for _n in range(self.dice.choice((0, 2, 300)))]
        return form

    def _body(self, row: Any) -> dict[str, Any]:
        kind = self.dice.random()
        if kind < 0.15:
            return {"raw": self.dice.choice(BODIES), "content_type": self.dice.choice(TYPES)}
        form = self._form(row)
        if kind < 0.4:
            for name in self.dice.sample([*form, "clouds_file", "openrc_file", "file"], 2):
                data = self._word().encode(errors="surrogatepass")
                form[name] = file = BytesIO(data)
                file.name = self._word()[:300].encode(errors="replace").decode() or "f"
        return {"data": form}

    def _headers(self) -> dict[str, str]:
        chosen = self.dice.sample(HEADERS, self.dice.choice((0, 0, 1, 3)))
        headers = {
            name: self._word()[:4000].encode("latin-1", "replace").decode("latin-1")
            for name in chosen
        }
        if self.dice.random() < 0.5:
            headers["HX-Request"] = "true"
        return headers


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no name be looked up: the panel tells nobody what was typed in here."""
    import socket

    real = socket.getaddrinfo

    def here_only(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("127.0.0.1", "localhost", "::1"):
            return real(host, *given, **more)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", here_only)


@pytest.mark.long
@pytest.mark.apart
@pytest.mark.timeout(36_000)
def test_what_no_honest_browser_sends(world: Any, lonely: None, settings: Any) -> None:
    import logging

    settings.OPEN_SIGN_UP = True
    logging.disable(logging.CRITICAL)
    found = Findings()
    for seed in rounds(at_least=1):
        somebody = Visitor(world, found, dice_of(seed))
        for row in ROWS:
            cache.clear()  # what counts tries and asks to come back later
            somebody.visit(row, seed)
    logging.disable(logging.NOTSET)
    found.settle("Forms, addresses and headers")
