"""Sessions: who is behind one, how long it lasts, and how it ends."""

import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import get_user, logout
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from teams.models import User
from teams.session_store import SessionStore

SINCE, SEEN = "since", "seen"
NOTED_EVERY = 60  # seconds
#: a request that the page makes by itself: nobody need be there
BY_ITSELF = "X-Refresh"

Answer = Callable[[HttpRequest], HttpResponseBase]


def person_behind(session: SessionBase) -> User | None:
    """Return who is signed in with a session that has not run out; never prolong it."""
    if run_out(session):
        return None
    request = HttpRequest()
    request.session = session
    user = get_user(request)
    return user if isinstance(user, User) else None


def run_out(session: SessionBase) -> bool:
    """Tell whether nobody was there for half an hour, or the session is half a day old."""
    now = time.time()
    since, seen = session.get(SINCE, now), session.get(SEEN, now)
    return bool(now - seen > settings.SESSION_IDLE or now - since > settings.SESSION_COOKIE_AGE)


@receiver(user_logged_in)
def begin(request: HttpRequest, **_kwargs: Any) -> None:
    """Note when a session began."""
    request.session[SINCE] = request.session[SEEN] = int(time.time())


class Sessions:
    """End sessions that have run out; note that somebody is there."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            if run_out(request.session):
                logout(request)
            elif BY_ITSELF not in request.headers:
                _note(request)
        return self.get_response(request)


def _note(request: HttpRequest) -> None:
    session, now = request.session, int(time.time())
    session.get(SINCE) or session.update({SINCE: now})
    if now - session.get(SEEN, 0) >= NOTED_EVERY:
        session[SEEN] = now
        UserSession.objects.filter(session_key=session.session_key).update(
            last_seen_at=timezone.now()
        )


def of(user: User) -> list[UserSession]:
    """Return the sessions of a person that are still good, the one last used first."""
    kept = []
    for one in UserSession.objects.purge_and_list(user):
        if run_out(SessionStore(one.session_key)):
            one.end()
        else:
            kept.append(one)
    return sorted(kept, key=lambda one: one.last_seen_at, reverse=True)
