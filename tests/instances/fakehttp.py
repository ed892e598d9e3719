"""A cloud of a few lines for what the look-alike would never do: lie, redirect, cut, hang."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeCloud:
    """Answers by path; what is not set answers 404 as a proxy does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answers: dict[str, Any] = {}
        self.speaks("2.96")
        self.answer("/v3/auth/tokens", 201, self._token(), {"X-Subject-Token": "the-token"})
        version = {
            "id": "v3.14",
            "status": "stable",
            "links": [{"rel": "self", "href": f"{self.url}/v3"}],
        }
        self.answer("/v3", 200, {"version": version})

    def speaks(self, newest: str) -> None:
        """Set the newest microversion of its Nova."""
        self.answer("/compute/v2.1", 200, {"version": {
            "id": "v2.1", "status": "CURRENT", "version": newest, "min_version": "2.1",
            "links": [{"rel": "self", "href": f"{self.url}/compute/v2.1/"}],
        }})  # fmt: skip

    def answer(
        self, path: str, status: int, body: Any = b"", headers: Any = None, **how: Any
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, raw, headers or {}, how)

    def count(self, method: str, path: str) -> int:
        return sum(asked[:2] == (method, path) for asked in self.asked)

    def _token(self) -> dict[str, Any]:
        def service(kind: str, path: str) -> dict[str, Any]:
            one = {"interface": "public", "region_id": "R", "region": "R", "url": self.url + path}
            return {"type": kind, "name": kind, "endpoints": [one]}

        return {"token": {
            "user": {"id": "me", "name": "me", "domain": {"id": "default"}},
            "project": {"id": "ours", "name": "ours", "domain": {"id": "default"}},
            "expires_at": "2099-01-01T00:00:00Z", "issued_at": "2026-01-01T00:00:00Z",
            "methods": ["application_credential"], "roles": [],
            "catalog": [service("compute", "/compute/v2.1"), service("image", "/image")],
        }}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        cloud: FakeCloud = self.server.cloud  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        path = self.path.partition("?")[0].rstrip("/")
        cloud.asked.append((self.command, path, dict(self.headers)))
        status, body, headers, how = cloud.answers.get(path, (404, b"<h1>no</h1>", {}, {}))
        time.sleep(how.get("after", 0))
        if how.get("drop"):
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + how.get("missing", 0)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = bool(how.get("missing"))

    do_GET = do_POST = _serve

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@contextmanager
def fake_cloud() -> Iterator[FakeCloud]:
    """Serve one on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    cloud = FakeCloud(server.server_address[1])
    server.cloud = cloud  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
