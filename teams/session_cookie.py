"""The cookie of a session: the key of its row, signed, so that who reads the rows has no cookie."""

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse

from teams.session_store import SessionStore

SALT = "teams.session_cookie"


def cookie_of(session_key: str) -> str:
    """Return what a browser is given for a session."""
    return Signer(salt=SALT).sign(session_key)


def key_in(cookie: str) -> str | None:
    """Return the key of the session that a cookie is for; None when we did not sign it."""
    try:
        return Signer(salt=SALT).unsign(cookie)
    except BadSignature:
        return None


class Sessions(SessionMiddleware):
    """Django's sessions, with signed cookies."""

    def process_request(self, request: HttpRequest) -> None:
        """Take the session of a cookie that is ours."""
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        request.session = SessionStore(key_in(cookie))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Sign the cookie that Django set; take none away that this request did not end.

        Of a session that ended elsewhere the browser may hold the next one's cookie by now: staff
        who begin or stop acting get a new session while answers for their page are on their way.
        """
        response = super().process_response(request, response)
        name = settings.SESSION_COOKIE_NAME
        set_now = response.cookies.get(name)
        if set_now is not None and set_now.value:
            response.cookies[name] = cookie_of(set_now.value)
        elif set_now is not None and not request.session.modified:
            del response.cookies[name]
        return response
