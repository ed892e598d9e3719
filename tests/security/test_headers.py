"""Each page there is sends the headers that keep its reader safe; a new page is among them."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.test_access import ROWS, path_of, things, undone, visitor, world

__all__ = ["world"]
SENT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
MACHINE = {"healthz", "readyz", "metrics"}


def missing(answer: Any) -> list[str]:
    """Name what an answer's headers lack."""
    headers = answer.headers
    lacks = [name for name, value in SENT.items() if headers.get(name) != value]
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    lacks += [name for name, value in POLICY.items() if policy.get(name) != value]
    if "unsafe" in headers["Content-Security-Policy"] or "http" in policy["script-src"]:
        lacks.append("a policy without exceptions")
    if not re.search(r"camera=\(\)", headers.get("Permissions-Policy", "")):
        lacks.append("Permissions-Policy")
    return lacks


@pytest.mark.parametrize("name", ["anonymous", "alice", "sam", "sam for bob"])
def test_every_page_sends_the_security_headers(name: str, world: SimpleNamespace) -> None:
    client, wrong, seen = visitor(name, world), [], 0
    for row in ROWS:
        if "GET" not in row.methods:
            continue
        path = path_of(row, things(row, world))
        with undone():
            answer = client.get(path)
        seen += 1
        wrong += [f"{path} lacks {what}" for what in missing(answer)]
        script = row.address in MACHINE or "javascript" in answer.headers.get(
            "Content-Type", ""
        )  # the same for everybody
        if row.who[name] == "+" and answer.status_code == 200 and not script:
            kept = answer.headers.get("Cache-Control", "")
            if name != "anonymous" and "no-store" not in kept:
                wrong.append(f"{path} may be kept: {kept!r}")
    assert seen > 40
    assert not wrong, "\n".join(wrong)


def test_errors_send_them_too(world: SimpleNamespace) -> None:
    client = visitor("alice", world)
    for path, status in [
        ("/no-such-page", 404),
        ("/sign-out", 405),
        (f"/teams/{10**6}/trail", 404),
    ]:
        answer = client.get(path)
        assert answer.status_code == status and not missing(answer), path
