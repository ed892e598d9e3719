"""What allauth asks of us: who may sign up, what is told and written down, how mail leaves."""

import logging
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings
from allauth.socialaccount.models import SocialApp, SocialLogin
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import audit, invitations, secrets
from teams.models import Invitation, User

logger = logging.getLogger(__name__)

#: mail without which one cannot go on; all others only tell of something
NEEDED = (
    "password_reset_key",
    "email_confirmation",
    "account_already_exists",
    "unknown_account",
    "new_address",
    "address_taken",
    "cloud_sign_in",
)
PROOFS = {
    "reauthenticate": gettext_lazy("use your password"),
    "mfa_reauthenticate": gettext_lazy("use a code"),
    "mfa_reauthenticate:webauthn": gettext_lazy("use a passkey"),
}


def vouch(user: User) -> None:
    """Count the address of somebody who did not sign up alone as verified."""
    if not EmailAddress.objects.filter(user=user).exists():
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)


class Adapter(DefaultAccountAdapter):
    """People with an e-mail address and a password."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Open to all if so set, else to who holds an invitation."""
        return settings.OPEN_SIGN_UP or invited_by(request) is not None

    def pre_login(self, request: HttpRequest, user: User, **more: Any) -> HttpResponse | None:
        """Refuse nobody whose account an operator made."""
        vouch(user)
        response: HttpResponse | None = super().pre_login(request, user, **more)
        return response

    def post_login(self, request: HttpRequest, user: User, **more: Any) -> HttpResponse:
        """Write the sign-in down."""
        audit.record("person.sign_in", team=None, target=user.email, actor=user, by=_ways(request))
        response: HttpResponse = super().post_login(request, user, **more)
        return response

    def reauthenticate(self, user: User, password: str) -> bool:
        """Compare the password; how often is limited by the view."""
        return user.check_password(password)

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        """Say in our words by what somebody may prove it is him or her."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        for method in methods:
            method["description"] = PROOFS.get(method["id"], method["description"])
        return methods

    def add_message(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Tell people who are signed in what changed; for a stranger it would need a session."""
        template = kwargs.get("message_template", args[1] if len(args) > 1 else "") or ""
        if request.user.is_authenticated and "logged_" not in template:
            super().add_message(request, *args, **kwargs)

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address the server saw; whom it believes is FORWARDED_ALLOW_IPS."""
        return str(request.META.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104  nobody listens there  # nosec B104

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Go back to the page about oneself."""
        return reverse("teams:profile")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail; say so when it cannot leave and one cannot go on without it."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as error:
            logger.warning("mail %s could not be sent: %s", template_prefix, type(error).__name__)
            if any(name in template_prefix for name in NEEDED):
                page = render(self.request, "account/no_mail.html", status=503)
                raise ImmediateHttpResponse(page) from error


class FactorAdapter(DefaultMFAAdapter):
    """Second factors: their secrets are sealed, their comings and goings written down."""

    def encrypt(self, text: str) -> str:
        """Seal a secret."""
        return secrets.seal(text, bound_to="mfa")

    def decrypt(self, encrypted_text: str) -> str:
        """Open a secret."""
        return secrets.unseal(encrypted_text, bound_to="mfa")

    def generate_authenticator_name(self, user: User, _kind: str) -> str:
        """Propose a name for a passkey."""
        there = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)
        return _("Passkey {number}").format(number=there.count() + 1)

    def _get_site_name(self) -> str:
        return "Rescue Panel"


class OtherAdapter(DefaultSocialAccountAdapter):
    """People who come by way of an OpenID Connect provider."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Take the provider from the settings only, not from the database."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[Any, str] | None:
        """Join an account by an address that the provider says it verified: a true ``true``."""
        for address in sociallogin.email_addresses:
            address.verified = address.verified is True
        found = super().authenticate_by_email(sociallogin)
        if found:
            vouch(found[0])
        return found

    def populate_user(
        self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]
    ) -> Any:
        """Take the name too."""
        user = super().populate_user(request, sociallogin, data)
        user.name = str(data.get("name") or "")[:150]
        return user

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Let in new people whose address is verified and who are invited, or all if so set."""
        verified = [one.email for one in sociallogin.email_addresses if one.verified is True]
        if verified and (settings.OPEN_SIGN_UP or invitations.waits_for(verified[0])):
            return True
        page = render(request, "account/signup_closed.html", {"verified": verified}, status=403)
        raise ImmediateHttpResponse(page)


def invited_by(request: HttpRequest) -> Invitation | None:
    """Return the invitation whose secret came along with a request."""
    token = request.POST.get("invitation") or request.GET.get("invitation") or ""
    return invitations.find(token) if token else None


def _ways(request: HttpRequest) -> str:
    """Name how somebody proved who he or she is."""
    records = request.session.get("account_authentication_methods", [])
    return ", ".join(dict.fromkeys(one.get("type") or one["method"] for one in records))
