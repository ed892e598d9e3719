"""Who is behind a connection that passes by Django's middlewares: by the session, as for a page."""

from typing import Any

from asgiref.typing import HTTPScope, WebSocketScope
from django.conf import settings
from django.http.cookie import parse_cookie

from teams import acting
from teams.models import Impersonation
from teams.session_cookie import key_in
from teams.session_store import SessionStore
from teams.sessions import person_behind


def session_key_of(scope: HTTPScope | WebSocketScope) -> str:
    """Return the key of the session that the browser's cookie is for; nothing for no good one."""
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    cookie = parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    return key_in(cookie) or ""


def whose(session_key: str) -> tuple[Any, Impersonation | None]:
    """Return who a session acts as, and by which impersonation; nobody when it is over.

    Never write or prolong the session.
    """
    if not session_key:
        return None, None
    session = SessionStore(session_key)
    user = person_behind(session)
    return acting.person(session, user) if user else (None, None)
