"""Serve Django's pages and, beside them, the live stream and the terminals."""

import os

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rescuepanel.settings")

_pages = get_asgi_application()

# Models can be imported only when Django is set up.
from django.conf import settings  # noqa: E402

from rescuepanel.stream import Stream  # noqa: E402
from rescuepanel.terminal import Terminals  # noqa: E402

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
