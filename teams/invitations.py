"""Invitations into a team: a link by mail, for one address, once, for a week.

Only a hash of the link's secret is kept. Two functions are for other pages: ``find`` says what
a link is good for, ``accept`` uses it up.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import audit
from teams.membership import must
from teams.models import Invitation, Membership, Team, User
from teams.permissions import Right, Role
from teams.refusals import Refused

logger = logging.getLogger(__name__)

LIVES = timedelta(days=7)
PENDING_PER_TEAM, SENT_PER_DAY = 20, 40
Link = Callable[[str], str]

ENDED = {
    "accepted": gettext_lazy("This invitation was used already. Each works once."),
    "withdrawn": gettext_lazy(
        "This invitation was withdrawn. Ask an owner of the team for another."
    ),
    "expired": gettext_lazy("This invitation has expired. Ask an owner of the team for another."),
}


@dataclass(frozen=True)
class Sent:
    """An invitation, and its link in case that the mail could not be sent."""

    invitation: Invitation
    link: str
    mailed: bool


def invite(*, team: Team, email: str, role: Role, by: User, link: Link, language: str = "") -> Sent:
    """Invite an address into a team; ``link`` makes the address of a token's page."""
    must(by, Right.MANAGE, team)
    email, token = email.strip().lower(), secrets.token_urlsafe(32)
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        _must_fit(team, email)
        made = _create(team, email, role, by, token)
    return _post(made, link(token), language)


def resend(*, invitation: Invitation, by: User, link: Link, language: str = "") -> Sent:
    """Send a new link for an invitation; the one before no longer works."""
    must(by, Right.MANAGE, invitation.team)
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=invitation.team_id)
        old = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if old.accepted_at or old.withdrawn_at:
            raise Refused(ENDED["accepted" if old.accepted_at else "withdrawn"])
        _must_not_flood(old.team)
        Invitation.objects.filter(pk=old.pk).update(withdrawn_at=timezone.now())
        made = _create(old.team, old.email, Role(old.role), by, token, again=True)
    return _post(made, link(token), language)


def withdraw(*, invitation: Invitation, by: User) -> None:
    """Take an invitation back; its link no longer works."""
    must(by, Right.MANAGE, invitation.team)
    waiting = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None)
    with transaction.atomic():
        if not waiting.update(withdrawn_at=timezone.now()):
            raise Refused(_("This invitation is no longer open."))
        audit.record("invitation.withdraw", team=invitation.team, target=invitation.email, actor=by)


def find(token: str) -> Invitation | None:
    """Return the invitation that a link is good for now."""
    found = look_up(token)
    return found if found and found.is_open else None


def waits_for(email: str) -> bool:
    """Tell whether an invitation for this address is open."""
    waiting = Invitation.objects.filter(
        email__iexact=email, accepted_at=None, withdrawn_at=None, expires_at__gt=timezone.now()
    )
    return waiting.exists()


def look_up(token: str) -> Invitation | None:
    """Return the invitation of a link, also one that no longer works."""
    related = Invitation.objects.select_related("team", "invited_by")
    return related.filter(token_hash=hash_of(token)).first()


def accept(token: str, user: User) -> Membership:
    """Let somebody into the team; raise ``Refused`` when the link is not good, or not theirs."""
    found = look_up(token)
    if found is None:
        raise Refused(_("This invitation does not exist."))
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=found.team_id)
        invitation = Invitation.objects.select_for_update().get(pk=found.pk)
        if not invitation.is_open:
            raise Refused(ENDED[invitation.state])
        if user.acted_by is not None or user.email.lower() != invitation.email:
            raise Refused(foreign(invitation, user))
        membership, joined = Membership.objects.get_or_create(
            team=team, user=user, defaults={"role": invitation.role}
        )
        invitation.accepted_at, invitation.accepted_by = timezone.now(), user
        invitation.save(update_fields=["accepted_at", "accepted_by"])
        if joined:
            audit.record(
                "member.join", team=team, target=user.email, actor=user, role=invitation.role
            )
    return membership


def foreign(invitation: Invitation, user: User) -> str:
    """Say that an invitation is for another address than the one signed in with."""
    return _("This invitation is for {theirs}. You are signed in as {yours}.").format(
        theirs=invitation.email, yours=user.email
    )


def hash_of(token: str) -> str:
    """Return what is kept of a link's secret."""
    return hashlib.sha256(token.encode()).hexdigest()


def _create(
    team: Team, email: str, role: Role, by: User, token: str, *, again: bool = False
) -> Invitation:
    made = Invitation.objects.create(
        team=team,
        email=email,
        role=role,
        token_hash=hash_of(token),
        invited_by=by,
        expires_at=timezone.now() + LIVES,
    )
    audit.record("member.invite", team=team, target=email, actor=by, role=role, again=again)
    return made


def _must_fit(team: Team, email: str) -> None:
    if team.memberships.filter(user__email=email).exists():
        raise Refused(_("This person is in the team already."), field="email")
    pending = team.invitations.open()
    if pending.filter(email=email).exists():
        sentence = _("This address is invited already. You can send it a new link below.")
        raise Refused(sentence, field="email")
    if pending.count() >= PENDING_PER_TEAM:
        sentence = _("{n} invitations are open. Withdraw one, or wait until one is accepted.")
        raise Refused(sentence.format(n=PENDING_PER_TEAM))
    _must_not_flood(team)


def _must_not_flood(team: Team) -> None:
    today = timezone.now() - timedelta(days=1)
    if team.invitations.filter(created_at__gt=today).count() >= SENT_PER_DAY:
        sentence = _("The team sent {n} invitations within a day. Go on tomorrow.")
        raise Refused(sentence.format(n=SENT_PER_DAY))


def _post(invitation: Invitation, link: str, language: str) -> Sent:
    """Send the mail; a mail server that is away costs the inviter a copied link, no more."""
    with translation.override(language or translation.get_language()):
        about = {"invitation": invitation, "link": link}
        subject = _("{team} invites you to Rescue Panel").format(team=invitation.team.name)
        text = render_to_string("teams/mail/invitation.txt", about)
    try:
        one_line = " ".join(subject.split())
        send_mail(one_line, text, settings.DEFAULT_FROM_EMAIL, [invitation.email])
    except Exception as error:  # smtplib, sockets, TLS: whatever it is, the link can be copied
        logger.warning("invitation %s not mailed: %s", invitation.pk, type(error).__name__)
        return Sent(invitation, link, mailed=False)
    return Sent(invitation, link, mailed=True)
