"""Signing up: with an invitation, whose address then counts as verified, or openly if so set."""

from typing import Any

from allauth.account.forms import SignupForm
from allauth.account.models import EmailAddress
from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from teams import audit, invitations
from teams.models import Invitation, User


class SignUp(SignupForm):
    """Name, e-mail and password; with an invitation the e-mail is the invited one."""

    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    invitation = forms.CharField(required=False, widget=forms.HiddenInput)
    field_order = ("name", "email", "password1", "invitation")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        token = self.data.get("invitation") or self.initial.get("invitation") or ""
        self.invited: Invitation | None = invitations.find(token) if token else None
        self.fields["email"].label = _("E-mail")
        if self.invited:
            self.fields["email"].initial = self.invited.email
            self.fields["email"].disabled = True

    def save(self, request: HttpRequest) -> User:
        """Make the account; the invitation, mailed to the address, verifies it and lets them in."""
        with transaction.atomic():
            user: User = super().save(request)
            audit.record(
                "person.sign_up",
                team=None,
                target=user.email,
                actor=user,
                invited=bool(self.invited),
            )
            if self.invited:
                EmailAddress.objects.filter(user=user).update(verified=True)
                invitations.accept(self.cleaned_data["invitation"], user)
        return user

    def custom_signup(self, request: HttpRequest, user: User) -> None:
        """Keep the name."""
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])
