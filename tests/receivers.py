"""Real receivers of what the panel sends: an HTTP server and a mail server, each in a thread."""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came in, and what is answered: a status, or seconds of silence before it."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    status: int = 200
    silent: float = 0
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve a receiver of webhooks on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Post(self.path, headers, body))
            time.sleep(receiver.silent)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"x" * 5000)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_args: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield receiver
    server.shutdown()
    server.server_close()


def verifies(post: Post, secret: str) -> bool:
    """Check a signature as a receiver would, by https://www.standardwebhooks.com alone."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode()
    expected = base64.b64encode(hmac.new(key, signed + post.body, hashlib.sha256).digest())
    given = [one.split(",", 1) for one in post.headers["webhook-signature"].split()]
    fresh = abs(time.time() - int(post.headers["webhook-timestamp"])) < 300
    return fresh and any(v == "v1" and hmac.compare_digest(s.encode(), expected) for v, s in given)


@dataclass
class Sink:
    """A mail server that keeps what comes, or refuses it."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    refuses: bool = False

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuses:
            return "451 come again later"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append(cast(EmailMessage, mail))
        return "250 taken"


@contextmanager
def taking_mail() -> Iterator[Sink]:
    """Serve a mail sink on a free port."""
    sink = Sink()
    from tests.services import free_port

    sink.port = free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port)
    controller.start()
    yield sink
    controller.stop()
