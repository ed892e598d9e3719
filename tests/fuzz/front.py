"""Stand between the panel and a cloud, and bend some of what the cloud answers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import httpx

from tests.fuzz.warp import Answer, bend

HOP = {"transfer-encoding", "content-length", "connection", "server", "date"}


class Front:
    """``dice`` and ``share`` say which answers are bent; nothing is while ``share`` is 0."""

    def __init__(self, behind: str) -> None:
        self.behind = httpx.Client(base_url=behind, timeout=30)
        self.dice, self.share = Random(0), 0.0
        self.bent: list[str] = []
        self.rewrite: Callable[[str, Answer], Answer] | None = None
        self._lock = threading.Lock()

    def begin(self, seed: object, share: float) -> None:
        """Bend this share of the answers, the same ones for the same seed."""
        self.dice, self.share, self.bent = Random(str(seed)), share, []

    def calm(self) -> None:
        """Hand everything on as it is."""
        self.share = 0.0

    def handle(self, handler: BaseHTTPRequestHandler) -> Answer:
        length = int(handler.headers.get("Content-Length") or 0)
        asked = {k: v for k, v in handler.headers.items() if k.lower() != "accept-encoding"}
        body = handler.rfile.read(length)
        try:
            answer = self.behind.request(handler.command, handler.path, content=body, headers=asked)
        except httpx.HTTPError:  # an absurd token, sent back to us
            return Answer(400, b"")
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in HOP}
        told = Answer(answer.status_code, answer.content, headers)
        if self.rewrite:
            return self.rewrite(handler.path, told)
        with self._lock:
            if self.dice.random() >= self.share:
                return told
            bent = bend(told, self.dice)
            self.bent.append(f"{handler.command} {handler.path}: {bent.status} {bent.body[:300]!r}")
            return bent


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def answer(self) -> None:
        told = self.front.handle(self)
        with suppress(OSError):
            self.send_response(told.status)
            names = {name.lower() for name in told.headers}
            for name, value in told.headers.items():
                self.send_header(name, value)
            if "content-length" not in names:
                self.send_header("Content-Length", str(len(told.body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(told.body)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_PATCH = answer

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@contextmanager
def before(keystone: str) -> Iterator[tuple[Front, str]]:
    """Stand before a cloud; yield the front and the Keystone address to give to the panel."""
    front = Front(keystone.removesuffix("/identity/v3"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Handler,), {"front": front}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield front, f"http://127.0.0.1:{server.server_address[1]}/identity/v3"
    finally:
        server.shutdown()
        server.server_close()
