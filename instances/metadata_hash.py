"""A salted hash of the temporary password in the server's metadata, from before to after a rescue.

For machines that no config drive tells the password: the rescue image reads the hash from the
metadata service (docs/decisions/0011). Nova lets metadata be changed only while a server is active,
paused, suspended or stopped, so the hash is written before the call and removed once the server is
out of rescue. The row says that it may be there before Nova is asked, until Nova said it is not.
"""

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from instances import events
from instances.cloud import Cloud, CloudError, Gone, open_account
from instances.lifecycle import DOUBT_GRACE, Move, State
from instances.models import Instance, LeftHash, Rescue
from instances.models.clock import now as clock_now
from instances.passwords import salted
from teams import audit

if TYPE_CHECKING:
    from teams.models import CloudAccount, User

logger = logging.getLogger(__name__)

KEY = "rescue_password_hash"
#: where Nova takes a server's metadata (nova/compute/api.py, ``update_instance_metadata``); of
#: those that can be rescued, ERROR is missing
VM_STATES = frozenset({"active", "paused", "suspended", "stopped"})
#: longer than a request can be on its way
HELD = DOUBT_GRACE
NO = frozenset({"invalid", "forbidden", "conflict"})
BACK_OFF = tuple(timedelta(seconds=s) for s in (10, 10, 30, 60, 120, 300, 900))
MOST_TRIES = 100  # about a day
ON = Move(wait=0)
WAIT = Move(wait=1)


# Before the call --------------------------------------------------------------------------------


def comes_first(rescue: Rescue) -> bool:
    """Tell whether the metadata has to be seen to before Nova is asked for the rescue.

    A hash that an earlier rescue left would come before the password of this one: its removal is
    tried once more.
    """
    if rescue.calls:
        return False
    row = LeftHash.objects.filter(pk=rescue.instance_id).first()
    if rescue.by_metadata:
        return not (row and row.rescue_id == rescue.pk and row.left_at)
    if row is None or row.removed_at is not None:
        return False
    return row.tried_at is None or row.tried_at < rescue.created_at


def step(rescue: Rescue, cloud: Cloud) -> tuple[Move, str]:
    """Leave the hash, or take away an earlier one; return the rescue's move and the cloud's words.

    Raise ``CloudError`` when the cloud cannot be asked, ``CannotOpen`` when the password is lost.
    """
    row = LeftHash.objects.filter(pk=rescue.instance_id).first()
    if row and row.held_until and row.held_until > clock_now():
        return WAIT, ""
    if rescue.by_metadata:
        return _leave(rescue, row, cloud)
    if row is not None and row.move(held_until=clock_now() + HELD):
        _take(row, cloud)
    return ON, ""


def _leave(rescue: Rescue, row: LeftHash | None, cloud: Cloud) -> tuple[Move, str]:
    unsure = row is not None and row.removed_at is None
    held = _hold(rescue, row)
    if held is None:
        return WAIT, ""
    value = salted(rescue.password())
    try:
        cloud.put_metadata(rescue.instance.server_id, KEY, value)
    except CloudError as error:
        return _not_left(rescue, held, error, unsure=unsure)
    now = clock_now()
    with transaction.atomic():
        if held.move(left_at=now, held_until=None, next_at=now):
            _record("hash.left", held)
    return ON, ""


def _hold(rescue: Rescue, row: LeftHash | None) -> LeftHash | None:
    """Write that the hash may be there from now on; return None when somebody else was first."""
    until = clock_now() + HELD
    anew: dict[str, Any] = {
        "rescue": rescue, "left_at": None, "removed_at": None, "given_up_at": None, "tries": 0,
        "tried_at": None, "problem": "", "held_until": until, "next_at": until,
    }  # fmt: skip
    if row is not None:
        return row if row.move(**anew) else None
    try:
        with transaction.atomic():
            return LeftHash.objects.create(instance=rescue.instance, **anew)
    except IntegrityError:
        return None


def _not_left(
    rescue: Rescue, row: LeftHash, error: CloudError, *, unsure: bool
) -> tuple[Move, str]:
    """Stop the rescue, whose password would not be accepted; one never sent may be sent again."""
    logger.warning(
        "rescue %s: no hash left in the metadata: %s %s", rescue.pk, error.kind, error.request_id
    )
    now = clock_now()
    if error.kind not in NO:
        raise error  # while nobody knows, the row stays held: the next try waits for this one
    removed = None if unsure else now
    row.move(held_until=None, removed_at=removed, next_at=now)
    return Move(to=State.REFUSED, reason=f"hash:{error.kind}"), str(error)


# After the exit ---------------------------------------------------------------------------------


def due() -> list[int]:
    """List the servers whose metadata is to be cleared now."""
    return list(LeftHash.objects.due(clock_now()).values_list("pk", flat=True)[:200])


def remove(instance_id: int) -> None:
    """Take a hash away that no rescue needs any more; try again later when that fails."""
    rows = LeftHash.objects.select_related("instance__account__team", "rescue")
    row = rows.due(clock_now()).filter(pk=instance_id).first()
    if row is None:
        return
    try:
        cloud = open_account(row.instance.account)
        cloud.identity()  # signing in takes its own time, in which the row is not held
    except CloudError as error:
        _later(row, error)
        return
    if row.move(held_until=clock_now() + HELD):
        _take(row, cloud)


def _take(row: LeftHash, cloud: Cloud) -> None:
    try:
        cloud.drop_metadata(row.instance.server_id, KEY)
    except Gone:
        pass  # somebody else did, or the server is no more
    except CloudError as error:
        _later(row, error)
        return
    with transaction.atomic():
        if row.move(removed_at=clock_now(), held_until=None, problem=""):
            _record("hash.removed", row)


def _later(row: LeftHash, error: CloudError) -> None:
    now = clock_now()
    tries = row.tries + 1
    logger.warning(
        "rescue %s: hash not taken out of the metadata, try %s: %s %s",
        row.rescue_id, tries, error.kind, error.request_id,
    )  # fmt: skip
    wait = max(BACK_OFF[min(tries, len(BACK_OFF)) - 1], timedelta(seconds=error.retry_after))
    changes: dict[str, Any] = {
        "tries": tries, "tried_at": now, "problem": error.kind, "held_until": None,
    }  # fmt: skip
    if tries < MOST_TRIES:
        row.move(next_at=now + wait, **changes)
    else:
        _give_up(row, now, error.kind, **changes)


def _give_up(row: LeftHash, now: datetime, reason: str, **changes: Any) -> None:
    with transaction.atomic():
        if row.move(given_up_at=now, **changes):
            _record("hash.given_up", row, reason=reason)


def abandon(account: "CloudAccount", by: "User") -> None:
    """Give up what may be left in an account whose credential is destroyed."""
    left = LeftHash.objects.there().filter(instance__account=account, given_up_at=None)
    for row in left.select_related("instance__account__team", "rescue"):
        with transaction.atomic():
            if row.move(given_up_at=clock_now(), held_until=None, problem="disconnected"):
                _record("hash.given_up", row, actor=by, reason="disconnected")


def left_in(account: "CloudAccount") -> list[Instance]:
    """List the instances of an account whose metadata may still hold a hash."""
    left = LeftHash.objects.there().filter(instance__account=account, instance__deleted_at=None)
    return [row.instance for row in left.select_related("instance")[:20]]


def _record(act: str, row: LeftHash, **details: Any) -> None:
    """Write it into the audit trail, in the transaction of what it tells of; never the hash."""
    instance = row.instance
    target = f"{instance} ({instance.server_id})"
    audit.record(act, team=instance.team, target=target, rescue=str(row.rescue_id), **details)
    events.changed(instance.account.team_id, [f"rescue:{row.rescue_id}"])
