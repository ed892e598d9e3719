"""The temporary password: how it is made, kept while a host may still hold it, and salted."""

import secrets

from django.db.models import F
from passlib.hash import sha512_crypt

from instances.lifecycle import KEPT_AFTER_END
from instances.models import Instance, Rescue
from instances.models.rescue import RescueQuerySet
from teams.secrets import CannotOpen

#: same place on QWERTY, AZERTY and QWERTZ, for it may be typed in a console; no vowels, no words
PASSWORD_LETTERS = "bcdfghjknprstvx"  # noqa: S105
PASSWORD_LENGTH = 33  # 129 bits
#: the default of crypt(3): against 129 random bits more of them would not help
ROUNDS = 5000


def make_password() -> str:
    """Return a new temporary password."""
    return "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(PASSWORD_LENGTH))


def salted(password: str) -> str:
    """Return a salted hash of a password, as /etc/shadow takes it."""
    return str(sha512_crypt.using(rounds=ROUNDS).hash(password))


def kept(rescue: Rescue) -> str:
    """Return the password of a broken rescue before this one, which the host may still hold.

    Nova does not rewrite a config drive that a failed rescue left behind.
    """
    last = _kept_rows(rescue.instance).order_by("-created_at").first()
    try:
        return last.password() if last else ""
    except CannotOpen:
        return ""


def destroy_kept(instance: Instance) -> None:
    """Destroy what broken rescues kept: a clean exit took the old config drive away."""
    _kept_rows(instance).update(sealed_password="", version=F("version") + 1)


def _kept_rows(instance: Instance) -> RescueQuerySet:
    return instance.rescues.filter(state__in=KEPT_AFTER_END).exclude(sealed_password="")
