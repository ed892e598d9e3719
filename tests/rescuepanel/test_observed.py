"""What a Sentry and an OpenTelemetry collector get, off the wire: places and ids, no secret."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from rescuepanel import reports
from tests.rescuepanel.test_environment import start
from tests.services import ROOT

CANARY = b"canarybird"
RESCUE = b"2f15611b-8f4e-4d49-b7f1-3a2c3c0f3e11"


class Receiver:
    """An HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        kept = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                zipped = self.headers.get("Content-Encoding") == "gzip"
                kept.append(gzip.decompress(body) if zipped else body)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_given: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give somewhere to report to."""
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


def run(**settings: str) -> None:
    command = [sys.executable, "-m", "tests.rescuepanel.observed_app"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr[-2000:]


def test_a_sentry_learns_where_and_never_what(receiver: Receiver) -> None:
    run(SENTRY_DSN=f"http://key@{receiver.address}/1")
    got = b"\n".join(receiver.bodies)
    for word in (b"ValueError", b"KeyError", b"RuntimeError", b"failing_view", b"failing_task"):
        assert word in got, f"not reported: {word!r}"
    assert b"click-0001" in got and RESCUE in got and b"rescue %s: said %s" in got
    assert CANARY not in got
    for word in (b"ready-made", b'"cookies"', b'"vars"', b'"request":', b'"user"', b"breadcrumbs"):
        assert word not in got


def test_a_collector_learns_what_ran_and_how_it_ended(receiver: Receiver) -> None:
    run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.address}")
    got = b"\n".join(receiver.bodies)
    for word in (b"fails", b"tests.fails", b"FAILURE", b"click-0001", RESCUE, b"rescue-panel"):
        assert word in got, f"not told: {word!r}"
    assert CANARY not in got


def test_a_report_keeps_nothing_it_does_not_know() -> None:
    event = {
        "event_id": "1", "level": "error", "something_new": "canary", "extra": {"a": "canary"},
        "logger": "urllib3", "logentry": {"message": "canary", "params": ["canary"]},
        "exception": {"values": [{
            "type": "E", "module": "m", "value": "canary", "mechanism": {"data": "canary"},
            "stacktrace": {"frames": [{"function": "f", "lineno": 1, "vars": {"a": "canary"}}]},
        }]},
    }  # fmt: skip
    kept = reports.harmless(event, None)
    assert "canary" not in repr(kept)
    assert kept["exception"]["values"][0]["stacktrace"]["frames"] == [
        {"function": "f", "lineno": 1}
    ]


@pytest.mark.parametrize(
    ("name", "library"),
    [("SENTRY_DSN", "sentry_sdk"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry")],
)
def test_without_its_library_a_setting_says_what_to_install(
    name: str, library: str, tmp_path: Any
) -> None:
    (tmp_path / f"{library}.py").write_text("raise ImportError\n")
    said = start(**{name: "https://key@example.org/1", "PYTHONPATH": str(tmp_path)}).stderr
    assert f"{name} needs" in said.splitlines()[-1]


def test_a_bad_address_is_named_and_not_repeated() -> None:
    said = start(SENTRY_DSN="key-of-ours@sentry").stderr
    assert "SENTRY_DSN must be an address" in said and "key-of-ours" not in said.splitlines()[-1]
