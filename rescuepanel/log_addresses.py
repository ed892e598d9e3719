"""Take what may be a secret out of the addresses in log lines."""

import re
import sys
import uuid
from urllib.parse import quote, unquote

from django.conf import settings
from django.urls import Resolver404, resolve

HIDDEN = "[hidden]"
#: a word of an address is shorter than this, a token longer
LONG = 30
_ADDRESS = re.compile(
    r"""(?P<site>https?://[^/\s"'?]+)?(?P<path>/[^\s"'?]*)(?P<query>\?[^\s"']*)?"""
)


def hide_in_addresses(text: str) -> str:
    """Return a line with the texts that its addresses carry replaced; numbers and ids stay."""
    return _ADDRESS.sub(_hidden, text) if "/" in text else text


def _hidden(found: "re.Match[str]") -> str:
    query = found["query"] or ""
    if query:
        query = "?" + "&".join(map(_without_value, query[1:].split("&")))
    return (found["site"] or "") + _hidden_in_path(found["path"]) + query


def _without_value(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals or len(name) > LONG:
        return HIDDEN
    return pair if value.isdecimal() or not value else f"{name}={HIDDEN}"


def _hidden_in_path(path: str) -> str:
    plain = unquote(path)
    free = {text for text in _captured(plain) if not _is_id(text)}
    parts = plain.split("/")
    free |= {part for part in parts if len(part) > LONG and not _is_id(part)}
    if not free:
        return path
    for text in sorted(free, key=len, reverse=True):
        plain = plain.replace(text, HIDDEN)
    return quote(plain, safe="/[]:@!$&()*+,;=~")


def _captured(path: str) -> list[str]:
    """Return what the urlconf takes out of a path as free text: tokens are among it."""
    if settings.ROOT_URLCONF not in sys.modules:  # a worker, or a page not yet asked for
        return []
    try:
        captured = resolve(path).kwargs
    except Resolver404:
        return []
    return [value for value in captured.values() if isinstance(value, str) and value]


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return text.isdecimal()
    return "-" in text
