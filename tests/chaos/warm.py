"""It has everything imported and forks the panel's processes: ``python -m tests.chaos.warm``.

A cold start of a worker costs two seconds of a core, a fork a fifth of it: so a thousand kills fit
into half an hour. A child is what the command would have made: it runs Celery's or uvicorn's own
entry, in a session of its own. Reads one JSON object a line: ``role``, ``command``, ``log``,
``exposed`` (to the points at which it may die); answers with the child's process id. Ends, without
its children, at the end of its input.
"""

import json
import os
import random
import signal
import sys
import time
from typing import Any

import django

django.setup()

import uvicorn  # noqa: E402

import rescuepanel.asgi  # noqa: E402
import rescuepanel.urls  # noqa: E402, F401
from rescuepanel.celery import app  # noqa: E402
from tests.chaos import canaries, doom  # noqa: E402

app.loader.import_default_modules()


def become(role: str, command: list[str], log: str, *, exposed: bool) -> None:
    """Be the process that was asked for, to its end."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND)
    for given, wanted in ((null, 0), (out, 1), (out, 2)):
        os.dup2(given, wanted)
    random.seed()
    if exposed:
        doom.begin(role)
    sys.argv = ["panel", *command]
    if role == "web":
        uvicorn.run(
            "rescuepanel.asgi:application", port=int(command[0]), lifespan="off",
            access_log=False, timeout_graceful_shutdown=3,
        )  # fmt: skip
    else:
        app.start(command)


def spawn(asked: dict[str, Any]) -> int:
    """Fork a child; return its process id."""
    with open(asked["log"], "ab"):
        pass
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        become(asked["role"], asked["command"], asked["log"], exposed=asked["exposed"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Take orders until there are none."""
    doom.install()
    canaries.take_out(os.environ.get("CHAOS_WITHOUT", ""))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead leave no zombies
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.monotonic()
        pid = spawn(json.loads(line))
        print(json.dumps({"pid": pid, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()
