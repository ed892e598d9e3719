"""Bend an answer of a cloud: one JSON value, its text, its type, its status or its headers."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fuzz.words import EVIL

DEEP = "@@deep@@", "[" * 20_000 + "]" * 20_000
DEEP_OBJECT = "@@deep-object@@", '{"a":' * 900 + "1" + "}" * 900
DIGITS = "@@digits@@", "9" * 5000
NUMBER = "@@number@@", "1e400"
RAW = (DEEP, DEEP_OBJECT, DIGITS, NUMBER)
DATES = (
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-13-45T99:99:99Z",
    "now",
    "2026-01-01",
    "20260101T000000",
    1767225600,
    "2026-01-01T00:00:00.123456789Z",
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63),
    2**200,
    1e308,
    -0.5,
    float("nan"),
    float("inf"),
    "",
    [],
    {},
    [[]],
    {"": None},
    [None],
    {"a": {"b": []}},
    *(raw[0] for raw in RAW),
    *DATES,
)


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def bend(answer: Answer, dice: Random) -> Answer:
    """Return an answer that is wrong in one to three ways; the same dice, the same answer."""
    for _time in range(dice.choice((1, 1, 1, 2, 3))):
        answer = dice.choice(WAYS)(answer, dice)
    return answer


def _value(answer: Answer, dice: Random) -> Answer:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _cut(answer, dice)
    holder = {"": document}
    places = list(_places(holder))
    where, key = dice.choice(places[1:] or places)
    dice.choice(CHANGES)(where, key, dice)
    text = json.dumps(holder.get(""), ensure_ascii=dice.random() < 0.5)
    for mark, raw in RAW:
        text = text.replace(f'"{mark}"', raw)
    return Answer(answer.status, text.encode(errors="surrogatepass"), answer.headers)


def _places(node: Any) -> Any:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def _odd(where: Any, key: Any, dice: Random) -> None:
    where[key] = dice.choice(ODD)


def _text(where: Any, key: Any, dice: Random) -> None:
    where[key] = dice.choice(EVIL)


def _less(where: Any, key: Any, dice: Random) -> None:
    del where[key]


def _wrapped(where: Any, key: Any, dice: Random) -> None:
    where[key] = dice.choice(([where[key]], {"x": where[key]}, str(where[key]), [where[key]] * 3))


def _again(where: Any, key: Any, dice: Random) -> None:
    """The same id twice, the same element many times."""
    if isinstance(where, list):
        where.extend([where[key]] * dice.choice((1, 300)))
    else:
        where[dice.choice(EVIL[:60])] = where[key]


CHANGES: tuple[Callable[[Any, Any, Random], None], ...] = (
    _odd,
    _odd,
    _text,
    _less,
    _wrapped,
    _again,
)


def _cut(answer: Answer, dice: Random) -> Answer:
    keep = dice.randrange(len(answer.body) + 1)
    return Answer(answer.status, answer.body[:keep], answer.headers)


def _noise(answer: Answer, dice: Random) -> Answer:
    body = bytearray(answer.body or b"{}")
    for _time in range(dice.randrange(1, 20)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return Answer(answer.status, bytes(body), answer.headers)


def _other_body(answer: Answer, dice: Random) -> Answer:
    body = dice.choice(
        (
            b"",
            b"null",
            b"[]",
            b"{}",
            b"0",
            b'"text"',
            b"<html><script>window.pwned=1</script></html>",
            b"\xff\xfe\x00",
            b"\xef\xbb\xbf{}",
            DEEP[1].encode(),
            b'{"error": {"message": null}}',
            b'{"badRequest": {"message": "<script>window.pwned=1</script>", "code": 400}}',
            b" " * 1_000_000,
        )
    )
    return Answer(answer.status, body, answer.headers)


def _status(answer: Answer, dice: Random) -> Answer:
    status = dice.choice(
        (
            200,
            201,
            202,
            204,
            300,
            302,
            307,
            400,
            401,
            403,
            404,
            409,
            413,
            418,
            429,
            500,
            502,
            503,
            504,
            599,
        )
    )
    headers = answer.headers | ({"Location": "http://127.0.0.1:9/"} if 300 <= status < 400 else {})
    return Answer(status, b"" if status == 204 else answer.body, headers)


def _header(answer: Answer, dice: Random) -> Answer:
    name, value = dice.choice(
        (
            ("Content-Type", "text/html"),
            ("Content-Type", ""),
            ("Content-Type", "application/json; charset=x"),
            ("Content-Encoding", "gzip"),
            ("Content-Encoding", "br"),
            ("Retry-After", "9" * 400),
            ("Retry-After", "-1"),
            ("Retry-After", "Sun, 99 Foo 99999 99:99:99"),
            ("Date", "tomorrow"),
            ("Date", "Fri, 31 Dec 9999 23:59:59 GMT"),
            ("Date", ""),
            ("x-openstack-request-id", ""),
            ("x-openstack-request-id", "r" * 5000),
            ("x-openstack-request-id", "<script>\xe9"),
            ("X-Subject-Token", ""),
            ("X-Subject-Token", "t" * 20_000),
            ("Set-Cookie", "a=b; Path=/"),
            ("OpenStack-API-Version", "compute 9999.1"),
            ("Content-Length", "5"),
            ("Content-Length", "999999"),
            ("Location", "javascript:alert(1)"),
            ("Vary", "*"),
        )
    )
    others = {k: v for k, v in answer.headers.items() if k.lower() != name.lower()}
    return Answer(answer.status, answer.body, others | {name: value})


WAYS: tuple[Callable[[Answer, Random], Answer], ...] = (
    _value,
    _value,
    _value,
    _value,
    _value,
    _cut,
    _noise,
    _other_body,
    _status,
    _header,
)
