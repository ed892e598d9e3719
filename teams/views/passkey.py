"""Signing in with a passkey. The challenge is kept in a signed cookie, not in a session."""

from typing import Any

from allauth.account.models import Login
from allauth.mfa.webauthn.internal import auth
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _

from teams import attempts, passkeys
from teams.views.doors import open_to_all
from teams.views.sign_in import door, where_to

COOKIE = "__Host-passkey" if settings.SECURE else "passkey"
LIVES = 300
A_MINUTE = 30


@open_to_all("POST")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Begin with a challenge; end with the answer of the person's device."""
    if attempts.too_many(request, "passkey", A_MINUTE):
        return door(request, 429, _("Too many tries. Wait a minute, then try again."))
    if "credential" not in request.POST:
        return _challenge(request)
    state = _remembered(request)
    if state:
        auth.set_state(state)
    form = passkeys.Login(data=request.POST)
    if not state or not form.is_valid():
        auth.clear_state()
        response = door(request, 422, _("This passkey was not accepted. Try again."))
    else:
        key = form.cleaned_data["credential"]
        login = Login(user=key.user, redirect_url=where_to(request))
        response = perform_passwordless_login(request, key, login)
    response.delete_cookie(COOKIE)
    return response


def _challenge(request: HttpRequest) -> HttpResponse:
    response = JsonResponse(auth.begin_authentication(user=None))
    state = auth.get_state()
    auth.clear_state()
    response.set_cookie(
        COOKIE,
        signing.dumps(state, salt=COOKIE),
        max_age=LIVES,
        secure=settings.SECURE,
        httponly=True,
        samesite="Strict",
    )
    return response


def _remembered(request: HttpRequest) -> Any:
    """Return the state of the challenge this browser was given; each serves once."""
    given = request.COOKIES.get(COOKIE, "")
    try:
        state = signing.loads(given, salt=COOKIE, max_age=LIVES)
    except signing.BadSignature:
        return None
    return state if attempts.once(f"passkey:{given}", LIVES) else None
