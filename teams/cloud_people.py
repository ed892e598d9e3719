"""Signing in on the word of a cloud's Keystone: who its user is here, and how that begins.

Keystone proves a name, never an e-mail address. So a user who comes for the first time names an
address and gets a link there; only the link and the cloud's password together make an account,
or open one that has the address: for who is signed in to it. Nothing is kept meanwhile, so that
nobody can hold an address that is not his or hers.
"""

from dataclasses import astuple, dataclass
from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import attempts, audit, invitations
from teams.models import CloudPerson, User
from teams.refusals import Refused

PROOF_LIVES, LINK_LIVES = timedelta(minutes=15), timedelta(days=1)
PROOF, LINK = "cloud-user", "cloud-address"
ASKED, WITHIN = 5, 60 * 60
ENDED = gettext_lazy("This link has expired or was used already. Sign in with your cloud again.")
FOREIGN = gettext_lazy(
    "This link is for another account. Sign out, then follow it once more and sign in"
    " to the account it was sent to."
)


@dataclass(frozen=True)
class CloudUser:
    """A user of one Keystone, proven by it."""

    keystone: str
    user_id: str
    name: str
    domain: str


def is_known(keystone: str, user_id: str) -> bool:
    """Tell whether this user has an account here."""
    return CloudPerson.objects.filter(keystone=keystone, user_id=user_id).exists()


def person_of(user: CloudUser) -> User | None:
    """Return whose account it is; note what the user is called by now."""
    rows = CloudPerson.objects.filter(keystone=user.keystone, user_id=user.user_id)
    row = rows.select_related("person").first()
    if row is None:
        return None
    if (row.name, row.domain) != (user.name, user.domain):
        rows.update(name=user.name, domain=user.domain)
    return row.person


def called(keystone: str, name: str, domain: str) -> User | None:
    """Return whose account was last entered under this name, for what is said of failed tries."""
    rows = CloudPerson.objects.filter(keystone=keystone, name__iexact=name, domain__iexact=domain)
    row = rows.select_related("person").first()
    return row.person if row else None


# The first time ---------------------------------------------------------------------------------


def proof_of(user: CloudUser) -> str:
    """Write down for a while, signed, that Keystone has proven somebody."""
    return signing.dumps(astuple(user), salt=PROOF)


def proven(proof: str) -> CloudUser:
    """Return whom Keystone has proven a while ago."""
    try:
        user = CloudUser(*signing.loads(proof, salt=PROOF, max_age=PROOF_LIVES))
    except (signing.BadSignature, ValueError, TypeError):
        user = None
    if user is None or user.keystone != settings.KEYSTONE_SIGN_IN.get("url"):
        raise Refused(_("That took too long. Sign in once more."))
    return user


def link_for(user: CloudUser, email: str) -> str:
    """Return the key of the link that is to be mailed; empty if nobody may begin with this address.

    Tell nobody which of the two it was, but the address itself.
    """
    asked = (f"cloud-user:{user.keystone}:{user.user_id}", f"cloud-address:{email}")
    counted = [attempts.too_often(what, ASKED, WITHIN) for what in asked]
    if any(counted):
        raise Refused(_("You asked for too many mails. Try again in an hour."))
    if not _may_begin(email):
        return ""
    return signing.dumps([user.keystone, user.user_id, email], salt=LINK)


def address_in(key: str) -> str:
    """Return the address that a link was mailed to."""
    return _read(key)[1]


def owner_of(email: str) -> User | None:
    """Return who has an account with this address."""
    return User.objects.filter(email__iexact=email).first()


def must_be(owner: User | None, by: User | None) -> None:
    """Refuse a link to who is signed in to another account than the one it is for."""
    if owner != by:
        raise Refused(FOREIGN)


def begin(user: CloudUser, key: str, by: User | None) -> User:
    """Make an account for a cloud's user, or join the one ``by`` is signed in to."""
    user_id, email = _read(key)
    if user_id != user.user_id:
        raise Refused(_("This link was asked for by another user of the cloud."))
    try:
        with transaction.atomic():
            if not _may_begin(email):
                raise Refused(_("The invitation of this address has ended. Ask for another."))
            must_be(owner_of(email), by)
            return _join(user, by or _made(user, email))
    except IntegrityError:  # somebody else was faster
        raise Refused(ENDED) from None


def _read(key: str) -> tuple[str, str]:
    try:
        keystone, user_id, email = signing.loads(key, salt=LINK, max_age=LINK_LIVES)
    except (signing.BadSignature, ValueError, TypeError):
        raise Refused(ENDED) from None
    if keystone != settings.KEYSTONE_SIGN_IN.get("url") or is_known(keystone, user_id):
        raise Refused(ENDED)
    return user_id, email


def _may_begin(email: str) -> bool:
    return bool(settings.OPEN_SIGN_UP or invitations.waits_for(email) or owner_of(email))


def _made(user: CloudUser, email: str) -> User:
    person = User.objects.create_user(email, None, name=user.name[:150])
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    invited = invitations.waits_for(email)
    audit.record("person.sign_up", team=None, target=person.email, actor=person, invited=invited)
    return person


def _join(user: CloudUser, person: User) -> User:
    CloudPerson.objects.create(
        keystone=user.keystone,
        user_id=user.user_id,
        person=person,
        name=user.name,
        domain=user.domain,
    )
    audit.record(
        "person.provider_joined",
        team=None,
        target=person.email,
        actor=person,
        account=f"{user.name} ({user.domain})",
    )
    return person


# The end ------------------------------------------------------------------------------------------


def leave(user: CloudPerson, by: User) -> None:
    """Undo a join; raise ``Refused`` when nothing else lets the person in.

    A provider of OpenID Connect is not left like this: it joins anew by the address it vouches for.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)  # one at a time
        others = CloudPerson.objects.filter(person=by).exclude(pk=user.pk)
        passkeys = Authenticator.objects.filter(user=by, type=Authenticator.Type.WEBAUTHN)
        if not (by.has_usable_password() or others.exists() or passkeys.exists()):
            raise Refused(_("It is the only way into your account. Set a password first."))
        audit.record(
            "person.provider_left", team=None, target=by.email, actor=by, account=str(user)
        )
        user.delete()
