"""The metadata service's answer to one request, over stdin and stdout: run by QEMU, per connection.

What is served is FOLDER/meta_data.json; what was asked for is added to FOLDER/asked.
"""

import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

folder = Path(sys.argv[1])


class Answer(BaseHTTPRequestHandler):
    def setup(self) -> None:
        self.rfile, self.wfile = sys.stdin.buffer, sys.stdout.buffer

    def do_GET(self) -> None:
        with (folder / "asked").open("a") as asked:
            asked.write(self.path + "\n")
        body = (folder / "meta_data.json").read_bytes()
        self.send_response(200 if self.path == "/openstack/latest/meta_data.json" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def finish(self) -> None:
        self.wfile.flush()

    def log_message(self, *_said: Any) -> None:
        """Say nothing: stderr is QEMU's."""


Answer(None, ("169.254.169.15", 0), None)  # type: ignore[arg-type]
