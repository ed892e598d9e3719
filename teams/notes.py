"""Write down what people change about how they sign in."""

from typing import Any

from allauth.account import signals as account
from allauth.account.models import EmailAddress
from allauth.mfa import signals as factor
from allauth.socialaccount import signals as social
from django.dispatch import receiver

from teams import audit


@receiver(account.password_changed)
@receiver(account.password_set)
def password_changed(user: Any, **_kwargs: Any) -> None:
    """Note a password changed by who knew the old one."""
    audit.record("person.password_changed", team=None, target=user.email, actor=user)


@receiver(account.password_reset)
def password_reset(user: Any, **_kwargs: Any) -> None:
    """Note a password reset by mail, which also shows whose the address is."""
    EmailAddress.objects.filter(user=user, email__iexact=user.email).update(verified=True)
    audit.record("person.password_reset", team=None, target=user.email, actor=user)


@receiver(account.email_confirmed)
def address_confirmed(email_address: Any, **_kwargs: Any) -> None:
    """Note an address confirmed by its link."""
    user = email_address.user
    audit.record("person.address_confirmed", team=None, target=user.email, actor=user)


@receiver(factor.authenticator_added)
@receiver(factor.authenticator_reset)
def factor_added(user: Any, authenticator: Any, **_kwargs: Any) -> None:
    """Note a second factor that came, or recovery codes made anew."""
    kind = authenticator.type
    audit.record("person.factor_added", team=None, target=user.email, actor=user, kind=kind)


@receiver(factor.authenticator_removed)
def factor_removed(user: Any, authenticator: Any, **_kwargs: Any) -> None:
    """Note a second factor that went."""
    kind = authenticator.type
    audit.record("person.factor_removed", team=None, target=user.email, actor=user, kind=kind)


@receiver(social.social_account_added)
def provider_joined(sociallogin: Any, **_kwargs: Any) -> None:
    """Note an account that can be entered by way of the provider from now on."""
    user = sociallogin.user
    audit.record("person.provider_joined", team=None, target=user.email, actor=user)
