"""Headers every answer carries, and the request's number in the logs."""

import gzip
import json
import logging
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory

from rescuepanel.logs import HIDDEN, logging_settings, redact
from rescuepanel.middleware import Compressed, RequestId


def test_every_answer_forbids_foreign_and_inline_code(client: Client) -> None:
    headers = client.get("/healthz").headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("proxy-made-0001", True), ("evil\tid!", False), ("", False), ("x" * 65, False)],
)
def test_a_request_keeps_a_plain_number_and_gets_one_else(given: str, kept: bool) -> None:
    seen: dict[str, Any] = {}

    def view(_request: HttpRequest) -> HttpResponse:
        seen.update(structlog.contextvars.get_contextvars())
        return HttpResponse()

    request = RequestFactory().get("/", headers={"X-Request-ID": given})
    answer = RequestId(view)(request)
    assert answer.headers["X-Request-ID"] == seen["request_id"]
    assert (seen["request_id"] == given) is kept
    assert len(seen["request_id"]) >= 8
    assert "request_id" not in structlog.contextvars.get_contextvars()


@pytest.mark.parametrize(
    "line",
    [
        'REQ: curl -d \'{"rescue": {"adminPass": "canary-7f"}}\'',
        "RESP BODY: {'adminPass': 'canary-7f'}",
        "X-Auth-Token: canary-7f",
        "X-Subject-Token=canary-7f; next",
        "Authorization: Bearer canary-7f",
        "admin_pass=canary-7f&x=1",
        '"password" : "canary-7f \\" canary-7f"',
        "application_credential_secret: canary-7f",
        "Cookie: session=canary-7f",
    ],
)
def test_secrets_are_hidden_in_free_text(line: str) -> None:
    assert "canary-7f" not in redact(line)
    assert HIDDEN in redact(line)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "word", ["x", "password", "password=", "password ", 'a="', "token='\\'", "/", "?a&"]
)
def test_a_very_long_line_costs_no_more_than_its_length(word: str) -> None:
    """Its square would be hours: anybody may send an address that is logged."""
    assert redact("GET /?q=" + word * (300_000 // len(word))).startswith("GET /")


def test_secrets_are_hidden_in_structures() -> None:
    event = {"auth": {"password": "canary", "user": "bob"}, "list": [("token=canary",)]}
    assert "canary" not in json.dumps(redact(event))
    assert redact(event)["auth"]["user"] == "bob"


def test_plain_words_stay_readable() -> None:
    line = "rescue 7 accepted; the password was sealed, 3 tokens left"
    assert redact(line) == line


def test_talkative_libraries_stay_at_info_when_all_else_debugs() -> None:
    loggers = logging_settings("DEBUG")["loggers"]
    for name in ("openstack", "keystoneauth", "urllib3", "paramiko"):
        assert loggers[name]["level"] == "INFO"
    assert logging_settings("ERROR")["loggers"]["openstack"]["level"] == "ERROR"


def test_a_log_line_is_json_without_secrets() -> None:
    formatter_settings = logging_settings("INFO")["formatters"]["line"]
    make = formatter_settings.pop("()")
    formatter = make(**formatter_settings)
    record = logging.LogRecord(
        "cloud", logging.INFO, __file__, 1, "sent %s", ({"adminPass": "canary"},), None
    )
    line = formatter.format(record)
    assert json.loads(line)["logger"] == "cloud"
    assert "canary" not in line


@pytest.mark.parametrize(
    ("response", "compressed"),
    [
        (HttpResponse("a page " * 200), True),
        (StreamingHttpResponse(iter([b"a line of an export\n"] * 200)), False),
    ],
    ids=["page", "stream"],
)
def test_pages_are_compressed_and_streams_are_not(response: Any, compressed: bool) -> None:
    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip"})
    answered = Compressed(lambda _request: response)(request)
    assert answered.headers.get("Content-Encoding", "") == ("gzip" if compressed else "")


def test_compressed_pages_of_the_same_length_differ_in_theirs() -> None:
    """Against BREACH: the length says little of what is in the page, and it opens as ever."""
    lengths = set()
    for _turn in range(40):
        request = RequestFactory().get("/", headers={"Accept-Encoding": "br, gzip"})
        page = Compressed(lambda _request: HttpResponse("a page " * 200))(request)
        assert gzip.decompress(page.content) == b"a page " * 200
        assert page.headers["Content-Length"] == str(len(page.content))
        assert page.headers["Vary"] == "Accept-Encoding"
        lengths.add(len(page.content))
    assert len(lengths) > 10


@pytest.mark.parametrize("asked", ["", "br", "gzipped"])
def test_who_does_not_ask_for_it_gets_the_page_as_it_is(asked: str) -> None:
    request = RequestFactory().get("/", headers={"Accept-Encoding": asked})
    page = Compressed(lambda _request: HttpResponse("a page " * 200))(request)
    assert page.content == b"a page " * 200 and page.headers["Vary"] == "Accept-Encoding"
