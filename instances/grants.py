"""Staff ask to read one rescue's password; the customer allows it for a while, or does not.

Whoever of the team may read the password answers, never staff in a customer's hands. What was
allowed ends with its time, its withdrawal, the impersonation or the rescue, whichever is first.
"""

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from instances import driver
from instances.models import Grant, Rescue
from instances.models.clock import now as clock_now
from instances.models.grant import LIVES
from instances.rescue import NotPossible
from teams import acting
from teams.permissions import Right, may

if TYPE_CHECKING:
    from teams.models import Impersonation, User


def ask(*, rescue: Rescue, by: "User") -> Grant:
    """Ask the customer's team for this rescue's password; asking twice is asking once."""
    access = _access_of(by)
    role = by.role_in(rescue.instance.team)
    if role is None or not may(role, Right.REVEAL):
        raise PermissionDenied(_("Your role may only look."))
    if not rescue.password_available:
        raise NotPossible(_("There is no temporary password to show."))
    mine = rescue.grants.of_hands(by)
    there = mine.waiting().first() or mine.given().first()
    if there:
        return there
    now = max(clock_now(), access.started_at)
    with transaction.atomic():
        # An unanswered question of an impersonation that is over is asked anew.
        if not mine.filter(answered_at=None).update(asked_at=now):
            try:
                with transaction.atomic():
                    Grant.objects.create(rescue=rescue, staff=access.staff, asked_at=now)
            except IntegrityError:
                return mine.get(answered_at=None)
        grant = mine.get(answered_at=None)
        _note("grant.ask", grant, by)
    return grant


def allow(*, grant: Grant, by: "User") -> None:
    """Let the staff member who asked read the password for a quarter of an hour."""
    _answer(grant, by, allowed=True)


def refuse(*, grant: Grant, by: "User") -> None:
    """Say no to the staff member who asked."""
    _answer(grant, by, allowed=False)


def _answer(grant: Grant, by: "User", *, allowed: bool) -> None:
    _must_answer(grant, by)
    now = clock_now()
    with transaction.atomic():
        waiting = Grant.objects.waiting().filter(pk=grant.pk)
        open_still = waiting.exists() and grant.rescue.password_available
        until = now + LIVES if allowed else None
        answer = {"answered_at": now, "answered_by": by, "until": until}
        mine = Grant.objects.filter(pk=grant.pk, answered_at=None)
        if not open_still or not mine.update(**answer):
            raise NotPossible(_("This question is no longer open."))
        _note("grant.allow" if allowed else "grant.refuse", grant, by)


def withdraw(*, grant: Grant, by: "User") -> None:
    """Take back what was allowed."""
    _must_answer(grant, by)
    with transaction.atomic():
        mine = Grant.objects.filter(pk=grant.pk, withdrawn_at=None, until__gt=clock_now())
        if not mine.update(withdrawn_at=clock_now()):
            raise NotPossible(_("This is no longer allowed anyway."))
        _note("grant.withdraw", grant, by)


def _access_of(by: "User") -> "Impersonation":
    access = (
        acting.running().filter(staff=by.acted_by, customer=by).first() if by.acted_by else None
    )
    if access is None:
        raise PermissionDenied(_("Only staff who act for somebody ask for a password."))
    return access


def _must_answer(grant: Grant, by: "User") -> None:
    if by.acted_by is not None:
        raise PermissionDenied(_("Staff who act for somebody may not do this."))
    if not grant.rescue.may_read_password(by):
        raise PermissionDenied(_("Only who may read this password may let staff read it."))


def _note(act: str, grant: Grant, by: "User") -> None:
    """Write the audit entry with both names and announce the change."""
    driver.record(act, grant.rescue, actor=by, staff=grant.staff.email, grant=grant.pk)
    driver.announce(grant.rescue)
