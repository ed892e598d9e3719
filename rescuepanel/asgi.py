"""Serve Django's pages and, beside them, the live stream and the terminals."""

import gc
import os

import django
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rescuepanel.settings")
django.setup(set_prefix=False)

# Models can be imported only when Django is set up.
from django.conf import settings  # noqa: E402

from rescuepanel.pages import Pages  # noqa: E402
from rescuepanel.stream import Stream  # noqa: E402
from rescuepanel.terminal import Terminals  # noqa: E402

# What is loaded by now stays; a page makes thousands of objects and leaves few of them behind.
gc.freeze()
gc.set_threshold(20_000, 20, 20)

_pages = Pages()
_events = Stream(settings.REDIS_URL)
_terminals = Terminals()


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Take web sockets to the terminals, /events to the stream, all else to Django."""
    if scope["type"] == "websocket":
        await _terminals(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/events":
        await _events(scope, receive, send)
    else:
        await _pages(scope, receive, send)  # type: ignore[arg-type]
