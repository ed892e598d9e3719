"""Changing one's e-mail address: asked for with the password, confirmed by a link at the new one.

Nothing is kept meanwhile, so that nobody can hold an address that is not his or hers. The link
is signed, for one account, and worth nothing to anybody who is not signed in to it; it ends
after a day, with its use, and with another password.
"""

from datetime import timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from teams import attempts, audit
from teams.models import Team, User
from teams.refusals import Refused

LIVES = timedelta(days=1)
ASKED, WITHIN = 5, 60 * 60
SALT = "new-address"


def ask(user: User, wanted: str) -> str:
    """Return the key of the link that moves an account to an address; empty if it is taken.

    Tell nobody which of the two it was, but the address itself.
    """
    if wanted == user.email.lower():
        raise Refused(_("This is your address already."), field="email")
    if attempts.too_often(f"new-address:{user.pk}", ASKED, WITHIN):
        raise Refused(_("You asked for too many mails. Try again in an hour."))
    if _taken(wanted, user):
        return ""
    return signing.dumps([user.pk, user.email, wanted, _mark(user)], salt=SALT)


def found(user: User, key: str) -> str:
    """Return the address that a link moves this account to."""
    try:
        pk, old, wanted, mark = signing.loads(key, salt=SALT, max_age=LIVES)
    except (signing.BadSignature, ValueError, TypeError):
        pk = old = wanted = mark = None
    if (old, mark) != (user.email, _mark(user)) or pk != user.pk:
        raise Refused(
            _(
                "This link has expired, was used already, or is for another account."
                " Ask for a new one on your profile."
            )
        )
    return str(wanted)


def change(user: User, key: str) -> str:
    """Move an account to the address of a link; return the one it had."""
    wanted, old = found(user, key), user.email
    try:
        with transaction.atomic():
            if _taken(wanted, user):
                raise Refused(_("Another account uses this address by now."))
            _move(user, wanted)
            _record(user, old)
    except IntegrityError:  # somebody else was faster
        raise Refused(_("Another account uses this address by now.")) from None
    finally:
        user.refresh_from_db(fields=["email"])
    changed: dict[str, Any] = {"from_email": old, "to_email": wanted}
    get_adapter().send_notification_mail("account/email/email_changed", user, changed, email=old)
    return old


def _move(user: User, wanted: str) -> None:
    User.objects.filter(pk=user.pk).update(email=wanted)
    EmailAddress.objects.filter(Q(user=user) | Q(email=wanted)).delete()
    EmailAddress.objects.create(user=user, email=wanted, verified=True, primary=True)


def _record(user: User, old: str) -> None:
    """Write it into the trail of each team, whose owners know the person by the address."""
    teams: list[Team | None] = [*Team.objects.filter(memberships__user=user)]
    user.refresh_from_db(fields=["email"])
    for team in teams or [None]:
        audit.record(
            "person.address_changed",
            team=team,
            target=user.email,
            actor=user,
            old=old,
            new=user.email,
        )


def _taken(wanted: str, user: User) -> bool:
    others = User.objects.filter(email__iexact=wanted).exclude(pk=user.pk)
    theirs = EmailAddress.objects.filter(email__iexact=wanted, verified=True).exclude(user=user)
    return others.exists() or theirs.exists()


def _mark(user: User) -> str:
    """Return what changes with the password."""
    return user.get_session_auth_hash()[:16]
