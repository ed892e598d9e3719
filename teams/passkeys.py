"""What browsers send of passkeys: anything at all, until it is checked."""

from collections.abc import Callable
from typing import Any

from allauth.mfa.webauthn import forms as keys
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


class AddPasskey(keys.AddWebAuthnForm):
    """Each key is a passkey: it stays in the device and asks for the person."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("passwordless", None)
        self.fields["name"].label = _("Name")
        self.fields["name"].max_length = 100
        self.fields["name"].widget.attrs["maxlength"] = "100"

    def clean(self) -> Any:
        """Check the new key."""
        return _or_refused(super().clean)


class Login(keys.LoginWebAuthnForm):
    def clean_credential(self) -> Any:
        """Find the key and whose it is."""
        return _or_refused(super().clean_credential)


class SecondFactor(keys.AuthenticateWebAuthnForm):
    def clean_credential(self) -> Any:
        """Find the key among the person's."""
        return _or_refused(super().clean_credential)


class Again(keys.ReauthenticateWebAuthnForm):
    def clean_credential(self) -> Any:
        """Find the key among the person's."""
        return _or_refused(super().clean_credential)


def _or_refused(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except ValidationError:
        raise
    except Exception as error:
        # The libraries raise whatever a malformed answer or a wrong signature leads to.
        raise ValidationError(_("This passkey was not accepted. Try again.")) from error
