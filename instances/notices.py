"""What a notification of Nova's tells: which server of which project changed, nothing more.

A message comes from outside and may be anything: it is looked at within limits, and what it says
of a server's state is not believed, the cloud is asked.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST = 256 * 1024  # bytes; Nova's own are 2 to 8 kB
IDENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
EVENT = re.compile(r"instance(\.[a-z_]{1,40}){1,4}")
#: sent for every server now and then, changed or not
NO_CHANGE = frozenset({"instance.exists"})


class NotUnderstood(Exception):
    """The message is not one of Nova's; the text says why, never what it held."""


@dataclass(frozen=True)
class Notice:
    """A server of a project was changed, or only spoken of."""

    event: str
    project_id: str
    server_id: str

    @property
    def changes(self) -> bool:
        return self.event not in NO_CHANGE


def read(body: bytes | str) -> Notice | None:
    """Return what a message tells; None when it does not tell of a server."""
    if len(body) > LONGEST:
        raise NotUnderstood("too long")
    message = _object(body)
    if "oslo.message" in message:
        message = _object(message["oslo.message"])
    event = message.get("event_type")
    if not isinstance(event, str):
        raise NotUnderstood("no event_type")
    if not EVENT.fullmatch(event):
        return None
    data = _within(_within(message, "payload"), "nova_object.data")
    return Notice(event, _ident(data, "tenant_id"), _ident(data, "uuid"))


def _object(text: Any) -> dict[str, Any]:
    if not isinstance(text, bytes | str):
        raise NotUnderstood("no text")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("no JSON") from None
    if not isinstance(found, dict):
        raise NotUnderstood("no object")
    return found


def _within(message: dict[str, Any], name: str) -> dict[str, Any]:
    found = message.get(name)
    if not isinstance(found, dict):
        raise NotUnderstood(f"no {name}")
    return found


def _ident(data: dict[str, Any], name: str) -> str:
    found = data.get(name)
    if not isinstance(found, str) or not IDENT.fullmatch(found):
        raise NotUnderstood(f"no {name}")
    return found
