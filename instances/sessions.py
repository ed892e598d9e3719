"""A rescue as a session: until when, in whose care, how it ended.

``mind`` is called by the clock. It reminds, and ends what a team wants ended; each of its writes
is compared and set, so that any number of sweepers tell a thing once.
"""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from instances import driver, news, rescue
from instances.lifecycle import IN_RESCUE, State
from instances.models import Rescue
from instances.models.clock import now as clock_now
from instances.rescue import NotPossible
from teams.models import Team, User
from teams.permissions import Right, roles_with

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

HOURS = (1, 2, 4, 8, 24, 72)
NOTE_WITHIN = timedelta(days=30)
NOTE_LENGTH = 5000
EXIT_AGAIN_AFTER = timedelta(minutes=10)


# Until when -------------------------------------------------------------------------------------


def duration_choices(team: Team) -> "list[tuple[str, StrOrPromise]]":
    """List how long a new rescue may last; the first is what the team decided."""
    limit = team.rescue_hours
    first: tuple[str, StrOrPromise]
    if limit is None:
        first = ("", _("As long as it takes"))
    else:
        first = ("", _("{hours} (the limit)").format(hours=_hours(limit)))
    return [first, *_offered(hours for hours in HOURS if limit is None or hours < limit)]


def extension_choices(of: Rescue, by: User) -> "list[tuple[str, StrOrPromise]]":
    """List the hours from now that somebody may give a rescue."""
    latest, now = latest_end(of, by), clock_now()
    fitting = (h for h in HOURS if latest is None or now + timedelta(hours=h) <= latest)
    return _offered(fitting)


def latest_end(of: Rescue, by: User) -> datetime | None:
    """Return the end that somebody may not go beyond; None: there is none, as for an owner."""
    team = of.instance.team
    if team.rescue_hours is None or by.may(Right.MANAGE, team):
        return None
    return of.created_at + timedelta(hours=team.rescue_hours)


def endless(of: Rescue) -> bool:
    """Tell whether it was begun outside the panel and nobody gave it an end since."""
    return of.state == State.EXTERNAL and of.until is None


def extend(*, of: Rescue, hours: int, by: User) -> None:
    """Set the end of a rescue to some hours from now, within the team's limit."""
    _must_operate(of, by)
    if of.state not in IN_RESCUE:
        raise NotPossible(_("The instance is not in rescue mode."))
    if str(hours) not in dict(extension_choices(of, by)):
        raise NotPossible(_("That is beyond the team’s time limit. Ask an owner."), field="hours")
    until = clock_now() + timedelta(hours=hours)
    _set(of, "rescue.extend", by, {"until": until}, until=until.isoformat(timespec="minutes"))


def _offered(hours: Any) -> "list[tuple[str, StrOrPromise]]":
    return [(str(number), _hours(number)) for number in hours]


def _hours(number: int) -> str:
    return ngettext("{n} hour", "{n} hours", number).format(n=number)


# In whose care ----------------------------------------------------------------------------------


def may_hand_over(of: Rescue, by: User) -> bool:
    """Tell whether somebody may give a rescue away: its holder, or an owner of the team."""
    mine = of.holder_id is None or of.holder_id == by.pk or by.may(Right.MANAGE, of.instance.team)
    return of.is_open and mine and by.may(Right.OPERATE, of.instance.team)


def colleagues(of: Rescue) -> "list[User]":
    """List those a rescue can be handed to."""
    found = User.objects.filter(
        is_active=True,
        memberships__team=of.instance.team,
        memberships__role__in=roles_with(Right.OPERATE),
    )
    others = found.exclude(pk=of.holder_id) if of.holder_id else found
    return sorted(others, key=lambda person: str(person).casefold())


def hand_over(*, of: Rescue, to: User, by: User) -> None:
    """Put a rescue into a colleague's care; both are told."""
    if not may_hand_over(of, by):
        raise PermissionDenied(_("Only who holds this rescue, or an owner, may hand it over."))
    if to not in colleagues(of):
        raise NotPossible(_("Pick one of the colleagues in the list."), field="to")
    earlier = of.holder_id
    with transaction.atomic():
        _set(of, "rescue.hand_over", by, {"holder": to}, to=str(to))
        news.tell(
            "rescue.handed_over", of, once=f"{of.pk}:handed_over:{uuid.uuid4()}",
            also=[earlier, by.pk], handed_over_by=str(by),
        )  # fmt: skip


# How it ended -----------------------------------------------------------------------------------


def may_note(of: Rescue, by: User) -> bool:
    """Tell whether somebody may write the closing note now: holder or owner, for a month."""
    recent = of.ended_at is not None and clock_now() - of.ended_at < NOTE_WITHIN
    team = of.instance.team
    holds = of.holder_id == by.pk and by.may(Right.OPERATE, team)
    return of.is_ended and recent and (holds or by.may(Right.MANAGE, team))


def write_note(*, of: Rescue, text: str, by: User) -> None:
    """Write the closing report's own words."""
    _must_operate(of, by)
    if not of.is_ended:
        raise NotPossible(_("It is still under way."))
    if not may_note(of, by):
        raise PermissionDenied(_("Only who held this rescue, or an owner, may write this."))
    _set(of, "rescue.note", by, {"closing_note": text}, characters=len(text))


# By the clock -----------------------------------------------------------------------------------


def mind() -> list[uuid.UUID]:
    """Remind of what is still in rescue, end what is over where a team wants it; return those."""
    now = clock_now()
    rows = Rescue.objects.filter(state__in=IN_RESCUE).select_related(
        "instance__account__team", "requested_by", "acting_by", "holder"
    )
    ended = []
    for row in rows.iterator(chunk_size=200):
        if _is_over(row, now):
            if _end(row, now):
                ended.append(row.pk)
        elif _wants_reminder(row, now):
            _remind(row, "rescue.still_open", now)
    return ended


def _is_over(row: Rescue, now: datetime) -> bool:
    """Tell whether the end has come and was not dealt with; afterwards reminders go on."""
    if row.until is None or row.until > now:
        return False
    told = row.reminded_at is not None and row.reminded_at >= row.until
    return row.instance.team.exits_by_itself or not told


def _end(row: Rescue, now: datetime) -> bool:
    """Ask for the exit if the team wants that, and it can be; else say that the time is over."""
    asked_lately = row.exit_requested_at and now - row.exit_requested_at < EXIT_AGAIN_AFTER
    if row.instance.team.exits_by_itself and not asked_lately:
        try:
            rescue.exit_in_time(row)
        except NotPossible:
            pass  # locked, busy, or changed under our hands: tell, and look again next time
        else:
            return True
    if row.until and (row.reminded_at is None or row.reminded_at < row.until):
        _remind(row, "rescue.time_over", now)
    elif _wants_reminder(row, now):
        _remind(row, "rescue.still_open", now)
    return False


def _wants_reminder(row: Rescue, now: datetime) -> bool:
    since = max(filter(None, (row.ready_at, row.reminded_at)), default=row.created_at)
    return now - since >= timedelta(hours=row.instance.team.remind_hours)


def _remind(row: Rescue, event: str, now: datetime) -> None:
    """Tell once: whoever sets the mark tells."""
    mine = Rescue.objects.filter(
        pk=row.pk, state=row.state, reminded_at=row.reminded_at, until=row.until
    )
    with transaction.atomic():
        if mine.update(reminded_at=now):
            row.reminded_at = now
            news.tell(event, row, once=f"{row.pk}:{event}:{now.isoformat()}")
            driver.record(event, row)
            driver.announce(row)


# ------------------------------------------------------------------------------------------------


def _must_operate(of: Rescue, by: User) -> None:
    if not by.may(Right.OPERATE, of.instance.team):
        raise PermissionDenied(_("Your role may only look."))


def _set(of: Rescue, act: str, by: User, columns: dict[str, Any], **details: Any) -> None:
    """Write columns that the driver does not touch, unless somebody wrote them since."""
    unchanged = {name: getattr(of, name) for name in columns}
    with transaction.atomic():
        mine = Rescue.objects.filter(pk=of.pk, state=of.state, **unchanged)
        if not mine.update(**columns):
            raise NotPossible(_("Something else happened at the same moment. Look again."))
        for name, value in columns.items():
            setattr(of, name, value)
        driver.record(act, of, actor=by, **details)
        driver.announce(of)
