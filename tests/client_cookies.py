"""Let Django's test client, which writes session cookies itself, sign them as the panel does."""

from typing import Any

import pytest


def sign(patch: pytest.MonkeyPatch) -> None:
    """Sign what the client writes, and read what is signed."""
    from django.conf import settings
    from django.test.client import ClientMixin

    from teams.session_cookie import cookie_of, key_in
    from teams.session_store import SessionStore

    def session(self: Any) -> SessionStore:
        name = settings.SESSION_COOKIE_NAME
        if name in self.cookies:
            return SessionStore(key_in(self.cookies[name].value))
        store = SessionStore()
        store.save()
        self.cookies[name] = cookie_of(store.session_key or "")
        return store

    write = ClientMixin._set_login_cookies  # type: ignore[attr-defined]

    def write_signed(self: Any, request: Any) -> None:
        write(self, request)
        self.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(request.session.session_key)

    patch.setattr(ClientMixin, "session", property(session))
    patch.setattr(ClientMixin, "_set_login_cookies", write_signed)
