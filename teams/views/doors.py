"""Pages for people not signed in: signing up, confirming, a new password, a second factor."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as account
from allauth.mfa.base import views as factor
from allauth.mfa.models import Authenticator
from allauth.socialaccount.providers.openid_connect import views as openid
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from requests import RequestException

from teams import attempts
from teams.adapter import invited_by, vouch
from teams.gates import View
from teams.views.sign_in import provider_name

logger = logging.getLogger(__name__)

PASSWORD_RULE = _("At least 10 characters; none that many people use.")
LABELS = {
    "email": _("E-mail"),
    "oldpassword": _("Current password"),
    "password2": _("New password, again"),
}


def in_our_words(form: Any) -> Any:
    """Take out of a form what the library puts in for its own look."""
    for name, field in form.fields.items():
        field.widget.attrs.pop("placeholder", None)
        field.label = LABELS.get(name, field.label)
        if name == "password1":
            field.help_text = PASSWORD_RULE
            field.label = _("New password") if "password2" in form.fields else _("Password")
    return form


def open_to_all(*methods: str) -> Callable[[View], View]:
    """Let everybody through with these methods; keep the answer out of every cache."""

    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def handle(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method in methods:
                return view(request, *args, **kwargs)
            response = render(request, "405.html", status=405)
            response.headers["Allow"] = ", ".join(methods)
            return response

        return handle

    return decorate


class Strict:
    """A form with errors answers 422; its fields look and speak like ours."""

    def get_form(self, *args: Any) -> Any:
        """Let the fields look and speak like ours."""
        return in_our_words(super().get_form(*args))  # type: ignore[misc]

    def form_invalid(self, form: Any) -> HttpResponse:
        """Answer with the page, the reasons in it."""
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        response.status_code = 422
        return response


class SignUp(Strict, account.SignupView):
    def get_initial(self) -> dict[str, Any]:
        token = self.request.POST.get("invitation") or self.request.GET.get("invitation") or ""
        return super().get_initial() | {"invitation": token}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        invitation = invited_by(self.request)
        token = self.get_initial()["invitation"] if invitation else ""
        more = {"invitation": invitation, "provider": provider_name(), "token": token}
        return super().get_context_data(**kwargs) | more

    def closed(self) -> HttpResponse:
        return render(self.request, "account/signup_closed.html", status=403)


class ResetPassword(Strict, account.PasswordResetView):
    def form_valid(self, form: Any) -> HttpResponse:
        for user in form.users:
            vouch(user)  # before the library takes down the address as one to confirm
        return super().form_valid(form)


class NewPassword(Strict, account.PasswordResetFromKeyView):
    pass


class SecondFactor(Strict, factor.AuthenticateView):
    def _build_forms(self) -> Any:
        posted = super()._build_forms()
        in_our_words(self.auth_form)
        return posted

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        keys = Authenticator.objects.filter(
            user=self.stage.login.user, type=Authenticator.Type.WEBAUTHN
        )
        return super().get_context_data(**kwargs) | {"has_passkey": keys.exists()}


class ConfirmAddress(account.ConfirmEmailView):
    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(*args, **kwargs)
        except Http404:
            self.object = None
            return self.render_to_response(self.get_context_data())

    def render_to_response(self, context: dict[str, Any], **more: Any) -> HttpResponse:
        gone = not context.get("can_confirm")
        response: HttpResponse = super().render_to_response(
            context, **more, status=410 if gone else 200
        )
        return response


sign_up = open_to_all("GET", "HEAD", "POST")(SignUp.as_view())
confirmation_sent = open_to_all("GET", "HEAD")(account.EmailVerificationSentView.as_view())
confirm_address = open_to_all("GET", "HEAD", "POST")(ConfirmAddress.as_view())
reset_password = open_to_all("GET", "HEAD", "POST")(ResetPassword.as_view())
reset_sent = open_to_all("GET", "HEAD")(account.password_reset_done)
new_password = open_to_all("GET", "HEAD", "POST")(NewPassword.as_view())
password_is_new = open_to_all("GET", "HEAD")(account.password_reset_from_key_done)
inactive = open_to_all("GET", "HEAD")(account.account_inactive)
second_factor = open_to_all("GET", "HEAD", "POST")(SecondFactor.as_view())


@open_to_all("POST")
def to_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send somebody to the provider: by a page, as forms may only lead to ourselves."""
    if not provider_name():
        return redirect("teams:sign_in")
    if attempts.too_many(request, "provider", 30):
        return render(request, "429.html", status=429)
    try:
        answer: HttpResponse = openid.login(request, provider_id)
    except RequestException as error:
        logger.warning("the sign-in provider cannot be reached: %s", type(error).__name__)
        return render(request, "socialaccount/authentication_error.html", status=503)
    if answer.status_code != 302:
        return answer
    context = {"there": answer.headers["Location"], "provider": provider_name()}
    return render(request, "account/to_provider.html", context)


@open_to_all("GET", "HEAD")
def from_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take up what the provider says about somebody it sent back."""
    if not provider_name():
        return redirect("teams:sign_in")
    answer: HttpResponse = openid.callback(request, provider_id)
    return answer
