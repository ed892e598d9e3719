"""Staff acting for a customer: begin, stop, and whether it is still in force.

The session stays the staff member's own and holds no more than the row's number; the row says
for whom, why and until when. It ends by itself, and at once when either account or the staff
right is taken away.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.dispatch import Signal
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from teams import audit, outbox
from teams.models import Impersonation, Team, User

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase
    from django.db.models import QuerySet
    from django.http import HttpRequest

KEY = "acting"
#: sent after each begin and end, with ``impersonation``
changed = Signal()


def may_act(user: Any) -> bool:
    """Tell whether somebody is of the staff that may act for customers; operators are not."""
    return bool(user.is_authenticated and user.is_active and user.is_staff) and not (
        user.is_superuser or user.acted_by
    )


def may_be_acted_for(customer: User, staff: User) -> bool:
    """Tell whether staff may act for this person: nobody with powers of his or her own."""
    powerful = customer.is_staff or customer.is_superuser
    return customer.is_active and not powerful and customer.pk != staff.pk


def in_force(impersonation: Impersonation) -> bool:
    """Tell whether an impersonation holds at this moment."""
    return (
        impersonation.ended_at is None
        and impersonation.until > timezone.now()
        and may_act(impersonation.staff)
        and may_be_acted_for(impersonation.customer, impersonation.staff)
    )


def running() -> "QuerySet[Impersonation]":
    """List the impersonations whose time has not run out and that nobody ended."""
    now = timezone.now()
    listed = Impersonation.objects.filter(ended_at=None, until__gt=now, staff__is_active=True)
    return listed.filter(
        staff__is_staff=True, staff__is_superuser=False, customer__is_active=True
    ).select_related("staff", "customer")


# Beginning and ending -----------------------------------------------------------------------------


def begin(request: "HttpRequest", customer: User, reason: str) -> Impersonation:
    """Let the staff member of this request act for a customer from the next request on.

    Raise ``PermissionDenied`` for whoever may not, or for whom nobody may.
    """
    now = timezone.now()
    with transaction.atomic():
        both = User.objects.select_for_update(no_key=True).in_bulk([request.user.pk, customer.pk])
        staff, customer = both[request.user.pk], both[customer.pk]
        if not may_act(request.user) or not may_act(staff):
            raise PermissionDenied(_("Only staff may do this, for one person at a time."))
        if not may_be_acted_for(customer, staff):
            raise PermissionDenied(_("Nobody can act for this person."))
        for earlier in staff.impersonations.filter(ended_at=None).select_related("customer"):
            end(earlier, by=staff)
        impersonation = Impersonation.objects.create(
            staff=staff,
            customer=customer,
            reason=reason,
            started_at=now,
            until=now + timedelta(minutes=settings.IMPERSONATION_MINUTES),
        )
        _record("staff.begin", impersonation, actor=_hands(impersonation), reason=reason)
        _write_to(impersonation)
    request.session[KEY] = impersonation.pk
    _rename(request.session)
    return impersonation


def stop(request: "HttpRequest") -> None:
    """Give the staff member of this request back to himself or herself."""
    impersonation = getattr(request, "impersonation", None)
    if impersonation is not None:
        end(impersonation, by=impersonation.staff)
    _forget(request)


def end(impersonation: Impersonation, *, by: User | None) -> bool:
    """End an impersonation once; ``by`` None: its time ran out, or a right was taken away."""
    now = timezone.now()
    ended_at = now if by else min(now, impersonation.until)
    with transaction.atomic():
        mine = Impersonation.objects.filter(pk=impersonation.pk, ended_at=None)
        if not mine.update(ended_at=ended_at):
            return False
        impersonation.ended_at = ended_at
        if by is not None and by.pk == impersonation.customer_id:
            _record("staff.end", impersonation, actor=by, ended="customer")
        else:
            how = "staff" if by else "by itself"
            _record("staff.end", impersonation, actor=_hands(impersonation), ended=how)
    return True


def end_lapsed() -> int:
    """End what is not in force any more and was not noticed by a request; count it."""
    listed = Impersonation.objects.filter(ended_at=None).select_related("staff", "customer")
    return sum(end(one, by=None) for one in listed if not in_force(one))


def _forget(request: "HttpRequest") -> None:
    if request.session.pop(KEY, None) is not None:
        _rename(request.session)


def _rename(session: "SessionBase") -> None:
    """Give the session another key, and the list of the staff member's own sessions too."""
    old = session.session_key
    session.cycle_key()
    UserSession.objects.filter(session_key=old).update(session_key=session.session_key)


def _write_to(impersonation: Impersonation) -> None:
    """Tell the customer by mail; who is in no team has nothing that staff could touch."""
    customer, team = impersonation.customer, impersonation.customer.teams.first()
    if team is not None:
        facts = {
            "team": outbox.team_facts(team),
            "staff": str(impersonation.staff),
            "reason": impersonation.reason,
            "until": impersonation.until.isoformat(),
            "url": settings.PANEL_URL + reverse("teams:staff_access"),
        }
        outbox.tell_people(team, "staff.begin", facts, [customer])


def _record(act: str, impersonation: Impersonation, *, actor: User, **details: Any) -> None:
    """Write it into the trail of each team of the customer, so that each sees it."""
    teams: list[Team | None] = [*Team.objects.filter(memberships__user=impersonation.customer)]
    for team in teams or [None]:
        audit.record(
            act,
            team=team,
            target=impersonation.customer.email,
            actor=actor,
            staff=impersonation.staff.email,
            impersonation=impersonation.pk,
            **details,
        )
    transaction.on_commit(lambda: changed.send(Impersonation, impersonation=impersonation))


# In each request ----------------------------------------------------------------------------------


def current(session: "SessionBase", staff: Any) -> Impersonation | None:
    """Return the impersonation in force in a session of this staff member."""
    found = _of(session, staff)
    return found if found is not None and in_force(found) else None


def person(session: "SessionBase", user: Any) -> tuple[Any, Impersonation | None]:
    """Return who a session acts as, and by which impersonation; nobody when that is over."""
    found = _of(session, user)
    if found is None:
        return user, None
    return (_hands(found), found) if in_force(found) else (None, found)


def take_up(request: "HttpRequest") -> Impersonation | None:
    """Make this request the customer's when staff act; return an impersonation found over."""
    found = _of(request.session, request.user)
    if found is None:
        return None
    if not in_force(found):
        end(found, by=None)
        _forget(request)
        return found
    request.user = _hands(found)
    request.impersonation = found  # type: ignore[attr-defined]
    return None


def _of(session: "SessionBase", user: Any) -> Impersonation | None:
    pk = session.get(KEY)
    if pk is None or not user.is_authenticated:
        return None
    return theirs(user).filter(pk=pk).first()


def theirs(staff: Any) -> "QuerySet[Impersonation]":
    """List a staff member's impersonations, newest first."""
    listed = Impersonation.objects.filter(staff_id=staff.pk)
    return listed.select_related("staff", "customer").order_by("-started_at")


def of_people(customer: Any) -> "QuerySet[Impersonation]":
    """List when staff acted for somebody, or for members of teams that he or she owns."""
    owned = Team.objects.filter(memberships__user=customer, memberships__role="owner")
    concerned = Q(customer=customer) | Q(customer__memberships__team__in=owned)
    listed = Impersonation.objects.filter(concerned).select_related("staff", "customer")
    return listed.distinct().order_by("-started_at")


def _hands(impersonation: Impersonation) -> User:
    """Return the customer in the hands of the staff member; a copy, for this use alone."""
    customer = User.objects.get(pk=impersonation.customer_id)
    customer.acted_by = impersonation.staff
    return customer
