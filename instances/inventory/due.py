"""Which accounts to read now: sooner when somebody watches or something moves."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.db.models import F, Q

from instances import ears, events, pace
from instances.models import CloudMirror, Rescue
from instances.models.clock import now as clock_now
from teams.models import CloudAccount

#: a crowd of rescues: each server's state is known to within a second
CLOSE_PACE = timedelta(seconds=0.8)
WATCHED_PACE = timedelta(seconds=2.5)
#: while changes are heard of: a look in case that one was not
SAFETY_PACE = timedelta(seconds=30)
IDLE_PACE = timedelta(seconds=60)
FULL_EVERY = timedelta(minutes=15)
FULL_EVERY_IDLE = timedelta(hours=1)


def due_accounts() -> list[int]:
    """Return the accounts to ask for changes now."""
    now = clock_now()
    _give_mirrors()
    free = _free("lease_until", now)
    watched = _watched_and_quiet(free, now)
    # Whoever follows them looks at the row's time, as everybody does.
    CloudMirror.objects.filter(account_id__in=watched, next_at__gt=now).update(next_at=now)
    due = free.filter(Q(next_at=None) | Q(next_at__lte=now))
    return sorted(set(due.values_list("account_id", flat=True)))


def due_for_all() -> list[int]:
    """Return the accounts to read whole now; those nobody needs wait for an hour."""
    now = clock_now()
    _give_mirrors()
    due = _free("full_lease_until", now).filter(Q(full_next_at=None) | Q(full_next_at__lte=now))
    at_once = Q(full_at=None) | Q(full_next_at=None) | Q(full_at__lte=now - FULL_EVERY_IDLE)
    found = set(due.filter(at_once).values_list("account_id", flat=True))
    teams = dict(due.exclude(at_once).values_list("account_id", "account__team_id"))
    watched = events.watched_teams(set(teams.values()))
    return sorted(found | {account for account, team in teams.items() if team in watched})


def is_overdue(account_id: int) -> bool:
    """Tell whether an account with a crowd of rescues is listed later than it should be."""
    now = clock_now()
    late = _free("lease_until", now).filter(
        account_id=account_id, next_at__lte=now, changes_since__isnull=False
    )
    return late.exists() and Rescue.objects.crowded(account_id)


def pace_of(mirror: CloudMirror) -> float:
    """Return the seconds from one look at an account to the next."""
    if Rescue.objects.crowded(mirror.account_id):
        return pace.spread(CLOSE_PACE.total_seconds())
    if not _needed(mirror):
        return pace.spread(IDLE_PACE.total_seconds())
    heard = ears.heard_accounts([mirror.account_id])
    return pace.spread((SAFETY_PACE if heard else WATCHED_PACE).total_seconds())


class Hastened(Enum):
    """What became of the wish that an account be followed now."""

    NOW = "now"
    BUSY = "busy"
    NOT_NEEDED = "not needed"


def hasten(account_id: int) -> Hastened:
    """Make an account due, if somebody watches it or something moves, and its cloud is well."""
    mirror = CloudMirror.objects.select_related("account").filter(
        account_id=account_id, account__disconnected_at=None, problem=F("images_problem")
    ).first()  # fmt: skip
    if mirror is None:
        return Hastened.NOT_NEEDED
    now = clock_now()
    if not _needed(mirror):
        # Left to the idle pace: whoever begins to watch then finds it quiet, and has it read.
        slow = CloudMirror.objects.filter(pk=mirror.pk, next_at__lte=F("synced_at") + SAFETY_PACE)
        slow.update(next_at=F("synced_at") + IDLE_PACE)
        return Hastened.NOT_NEEDED
    made = _free("lease_until", now).filter(pk=mirror.pk).update(next_at=now)
    return Hastened.NOW if made else Hastened.BUSY


def _needed(mirror: CloudMirror) -> bool:
    watched = events.watched_teams([mirror.account.team_id])
    return bool(watched) or Rescue.objects.moving(mirror.account_id).exists()


def accounts_of_projects(region: str = "") -> dict[str, set[int]]:
    """Return the connected accounts by their project's id; of one region, if it is named."""
    mirrors = CloudMirror.objects.filter(account__disconnected_at=None).exclude(project_id="")
    if region:
        mirrors = mirrors.filter(account__region_name=region)
    found: dict[str, set[int]] = {}
    for project_id, account_id in mirrors.values_list("project_id", "account_id"):
        found.setdefault(project_id, set()).add(account_id)
    return found


def _give_mirrors() -> None:
    bare = CloudAccount.objects.connected().filter(mirror=None)
    CloudMirror.objects.bulk_create(
        [CloudMirror(account=account) for account in bare], ignore_conflicts=True
    )


def _free(lease: str, now: datetime) -> Any:
    free = Q(**{lease: None}) | Q(**{f"{lease}__lt": now})
    return CloudMirror.objects.filter(free, account__disconnected_at=None)


def _watched_and_quiet(free: Any, now: datetime) -> set[int]:
    """Accounts that were left to the idle pace and that somebody has begun to watch since."""
    quiet = free.filter(problem=F("images_problem"), synced_at__lt=now - WATCHED_PACE)
    teams = dict(quiet.values_list("account_id", "account__team_id"))
    watched = events.watched_teams(set(teams.values()))
    found = {account for account, team in teams.items() if team in watched}
    # Whose changes are heard of is on the slow pass, not quiet; its nudges were passed over only
    # while it was left to the idle pace.
    slow = quiet.filter(account_id__in=found, next_at__lte=F("synced_at") + SAFETY_PACE)
    return found - ears.heard_accounts(slow.values_list("account_id", flat=True))
