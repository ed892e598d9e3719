"""Drive a rescue: one look, one decision, one move, written by compare-and-set.

``step`` may be called by anybody at any time for any rescue: the row's lease and version make
sure that a move is made once. The password is committed before Nova is called; no transaction
is open while the cloud is asked.
"""

import logging
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from instances import events, lifecycle, metadata_hash, news, pace, passwords, sight, snapshots
from instances.cloud import Accepted, Cloud, CloudError, open_account
from instances.lifecycle import (
    BROKEN,
    IN_RESCUE,
    LEFT_CLEAN,
    SETTLED,
    STARTING,
    Call,
    Move,
    Phase,
    State,
)
from instances.models import Instance, Rescue, Snapshot
from instances.models.clock import now as clock_now
from instances.models.rescue import AT_WORK, PASSWORD_LIVES
from instances.observed import Act, Seen
from teams import audit
from teams.permissions import Right
from teams.secrets import CannotOpen

logger = logging.getLogger(__name__)

SHORT = 5.0  # seconds; who waits longer hears of a change meanwhile
BACK_OFF = (2.0, 5.0, 10.0, 20.0)  # seconds between looks at a cloud that does not answer
CALL_LEASE = lifecycle.DOUBT_GRACE

AUDITED = {
    State.READY: "rescue.ready",
    State.CLOSED: "rescue.closed",
    State.RECOVERED: "rescue.recovered",
} | {
    state: f"rescue.{state.value.lower()}"
    for state in SETTLED - {State.CLOSED, State.RECOVERED, State.CANCELLED}
}


def step(rescue_id: uuid.UUID) -> float | None:
    """Make the next move of a rescue.

    Return the seconds until the one after it, or None: it is settled, somebody else has it, or
    it waits to hear of the server.
    """
    rescue = Rescue.objects.claim(rescue_id)
    if rescue is None:
        return None
    if _right_was_withdrawn(rescue):
        return _write(rescue, Move(to=State.DENIED))
    try:
        cloud = open_account(rescue.instance.account)
        found = sight.of(rescue, cloud)
    except CloudError as error:
        return _unseen(rescue, error)
    if found.wait:
        return _listen(rescue, found)
    seen = found.seen
    if not found.from_mirror:
        sight.mirror(rescue.instance, found.server, found.as_of)
    if rescue.pending_snapshot is not None and not seen.gone:
        return _snapshot_first(rescue, rescue.pending_snapshot, cloud, seen)
    move = lifecycle.decide(rescue.case(clock_now()), seen)
    if move.call is Call.RESCUE and metadata_hash.comes_first(rescue):
        return _hash_first(rescue, cloud)
    if move.call is not None:
        return _call(rescue, cloud, move.call, seen)
    wait = _write(rescue, _in_time(rescue, move), seen, looked_at=found.as_of)
    return _unless_heard(rescue, seen, wait)


def _in_time(rescue: Rescue, move: Move) -> Move:
    """Look more often when such rescues here are usually done, and more rarely before."""
    if move.to is not None or move.wait != lifecycle.LOOK_EVERY or rescue.state != State.WAITING:
        return move
    waited = (clock_now() - rescue.created_at).total_seconds()
    return replace(move, wait=pace.towards(rescue.usual_seconds, waited, lifecycle.LOOK_EVERY))


def _listen(rescue: Rescue, found: sight.Sight) -> float | None:
    """Leave a rescue as it is until the account's listings show that its server changed."""
    if not rescue.move(next_at=clock_now() + timedelta(seconds=found.wait)):
        return None
    return _unless_heard(rescue, found.seen, found.wait)


def _unless_heard(rescue: Rescue, seen: Seen, wait: float | None) -> float | None:
    """Look again at once if the server changed before it was known that we only listen."""
    listens = rescue.state not in SETTLED and (wait is None or wait > SHORT)
    if not listens or not sight.outdated(rescue, seen):
        return wait
    mine = Rescue.objects.filter(pk=rescue.pk, version=rescue.version, lease_until=None)
    return 0.0 if mine.update(next_at=clock_now()) else None


def _snapshot_first(rescue: Rescue, taken: Snapshot, cloud: Cloud, seen: Seen) -> float | None:
    """Take the snapshot that was asked for; the time to start in begins anew with each look."""
    until = clock_now() + 2 * CALL_LEASE  # it is looked for before it is asked for
    if not rescue.move(keep_lease=until, next_at=until):
        return None
    try:
        move = snapshots.step(taken, cloud, seen)
    except CloudError as error:
        return _unseen(rescue, error)
    return _write(rescue, move, asked_at=clock_now(), failure_text=taken.failure_text)


def _hash_first(rescue: Rescue, cloud: Cloud) -> float | None:
    """See to the server's metadata before the rescue; the password is committed before its hash."""
    until = clock_now() + CALL_LEASE
    password = _sealed_password(rescue)
    if not rescue.move(keep_lease=until, next_at=until, sealed_password=password):
        return None
    try:
        move, words = metadata_hash.step(rescue, cloud)
    except CloudError as error:
        return _unseen(rescue, error)
    except CannotOpen:
        move, words = Move(to=State.FAILED_CLEAN, reason="key_gone"), ""
    return _write(rescue, move, failure_text=words)


def _sealed_password(rescue: Rescue) -> str:
    """Return the password of this rescue, sealed: the same however often it is asked for."""
    if rescue.sealed_password:
        return rescue.sealed_password
    return rescue.sealed(passwords.kept(rescue) or passwords.make_password())


def _right_was_withdrawn(rescue: Rescue) -> bool:
    by = rescue.requested_by
    asked = rescue.state == State.REQUESTED
    return asked and not (by and by.may(Right.OPERATE, rescue.instance.team))


def _unseen(rescue: Rescue, error: CloudError) -> float | None:
    logger.warning(
        "rescue %s: cloud not seen: %s %s %s",
        rescue.pk, error.kind, error.request_id, type(error).__name__,
    )  # fmt: skip
    move = lifecycle.decide_unseen(rescue.case(clock_now()))
    waited = (clock_now() - rescue.asked_at).total_seconds()
    wait = pace.spread(next((w for w in BACK_OFF if waited < 4 * w), BACK_OFF[-1]))
    wait = pace.no_sooner(error.retry_after) or wait
    return _write(rescue, Move(to=move.to, wait=wait, reason=move.reason), obstacle=error.kind)


# A call -----------------------------------------------------------------------------------------


def _call(rescue: Rescue, cloud: Cloud, call: Call, seen: Seen) -> float | None:
    """Save everything that lets a lost answer be understood, then ask Nova, once."""
    phase = next(phase for phase in lifecycle.PHASES if phase.call is call)
    try:
        prepared = _prepared(rescue, cloud, call, seen)
    except CloudError as error:
        return _unseen(rescue, error)
    if not rescue.move(phase.calling, **prepared):
        return None
    events.changed(rescue.instance.account.team_id, [f"rescue:{rescue.pk}"])
    try:
        answer = _ask(rescue, cloud, call)
    except CloudError as error:
        logger.info("rescue %s: %s answered %s %s", rescue.pk, call, error.kind, error.request_id)
        return _no(rescue, phase, error)
    except CannotOpen:  # sealed for an earlier call, with a key that is gone since
        return _write(rescue, Move(to=State.FAILED_CLEAN, reason="key_gone"))
    return _accepted(rescue, phase, answer, seen)


def _prepared(rescue: Rescue, cloud: Cloud, call: Call, seen: Seen) -> dict[str, Any]:
    now = clock_now()
    user_id, _project_id = cloud.identity()
    prepared: dict[str, Any] = {
        "keep_lease": now + CALL_LEASE,
        "next_at": now + CALL_LEASE,
        "called_at": now,
        "calls": rescue.calls + 1,
        "cloud_user_id": user_id,
        "conflict": False,
        "request_id": "",
        "obstacle": "",
    }
    if rescue.calls == 0:
        # Only the first call of a doubt sets the baseline: a resend looks for either's trace.
        prepared["baseline"] = [act.request_id for act in seen.actions]
        prepared["quiet_since"] = seen.quiet_since
    if call is Call.RESCUE and rescue.calls == 0:
        prepared |= {
            "vm_state_before": seen.vm_state,
            "sealed_password": _sealed_password(rescue),
        }
    return prepared


def _ask(rescue: Rescue, cloud: Cloud, call: Call) -> Accepted:
    server_id = rescue.instance.server_id
    if call is Call.RESCUE:
        return cloud.rescue(server_id, image_ref=rescue.image_ref, password=rescue.password())
    return cloud.unrescue(server_id) if call is Call.UNRESCUE else cloud.hard_reboot(server_id)


def _accepted(rescue: Rescue, phase: Phase, answer: Accepted, seen: Seen) -> float | None:
    changes: dict[str, Any] = {"request_id": answer.request_id, "calls": rescue.calls}
    if phase.call is Call.RESCUE:
        changes["accepted_at"] = clock_now()
        other = answer.password and answer.password != rescue.password()
        if other and not rescue.by_metadata:  # whose machine knows ours alone
            changes["sealed_password"] = rescue.sealed(answer.password)
    move = lifecycle.after_call(phase, "accepted", _case(rescue))
    if listens := sight.until_heard(rescue.instance.account_id):
        move = replace(move, wait=listens)
    return _unless_heard(rescue, seen, _write(rescue, move, **changes))


def _no(rescue: Rescue, phase: Phase, error: CloudError) -> float | None:
    move = lifecycle.after_call(phase, error.kind, _case(rescue))
    if error.retry_after:
        move = Move(to=move.to, wait=error.retry_after, reason=move.reason)
    changes: dict[str, Any] = {"conflict": error.kind == "conflict", "failure_text": str(error)}
    if move.to == phase.in_doubt and rescue.calls == 1:
        # Nova is through with the only call: an action of another id is not ours.
        changes["request_id"] = error.request_id
    if error.kind in ("limited", "credentials", "refused"):  # not even looked at: it does not count
        changes |= {"calls": rescue.calls - 1, "obstacle": error.kind}
    return _write(rescue, move, **changes)


def _case(rescue: Rescue) -> lifecycle.Case:
    return rescue.case(clock_now())


# Writing a move ---------------------------------------------------------------------------------


def _write(rescue: Rescue, move: Move, seen: Seen | None = None, **changes: Any) -> float | None:
    """Save a move with what was learned; return the wait until the next one."""
    before = (rescue.state, rescue.obstacle, rescue.host_started_at)
    changes = _changes(rescue, move, changes | _learned(rescue, move, seen))
    try:
        with transaction.atomic():
            if not rescue.move(move.to, **changes):
                return None
            _record_move(rescue, move, State(before[0]))
            if (rescue.state, rescue.obstacle, rescue.host_started_at) != before:
                announce(rescue)
    except IntegrityError:
        logger.warning("rescue %s: another one is open on its server", rescue.pk)
        return None
    if rescue.state in SETTLED or rescue.next_at is None:
        return None
    return move.wait


def _changes(rescue: Rescue, move: Move, changes: dict[str, Any]) -> dict[str, Any]:
    """Add the columns that follow from the move itself; a reason belongs to one move only."""
    now = clock_now()
    changes.setdefault("obstacle", move.reason if move.reason == "host_silent" else "")
    changes["next_at"] = None if move.wait is None else now + timedelta(seconds=move.wait)
    if move.to is None:
        return changes
    changes["failure_code"] = move.reason
    if not move.reason:
        changes.setdefault("failure_text", "")
    if move.to == State.READY:
        changes["ready_at"] = rescue.ready_at or now
        if not rescue.host_started_at:  # it was done before we saw it begin
            changes.setdefault("host_started_at", now)
    if move.to in IN_RESCUE and not move.reason:
        changes["next_at"] = None
    return changes


def _record_move(rescue: Rescue, move: Move, came_from: State) -> None:
    if move.to in LEFT_CLEAN:
        passwords.destroy_kept(rescue.instance)
    news.moved(rescue, came_from)
    # Last: from here to the commit nobody else can write into the trail.
    if move.to in IN_RESCUE and came_from not in STARTING:
        record("rescue.exit_failed", rescue, reason=move.reason)
    elif move.to in AUDITED:
        record(AUDITED[move.to], rescue, reason=move.reason)


def _learned(rescue: Rescue, move: Move, seen: Seen | None) -> dict[str, Any]:
    """Return what the server's actions tell beyond the move itself."""
    if seen is None:
        return {}
    learned: dict[str, Any] = {}
    if rescue.state == State.EXTERNAL and not rescue.request_id:
        newest = next((act for act in seen.actions if act.action == Call.RESCUE), None)
        if newest:
            learned["request_id"] = newest.request_id
    if move.to in BROKEN or move.to == State.FAILED_CLEAN:
        learned["failure_text"] = rescue.instance.fault
    phase = lifecycle.phase_of(State(rescue.state))
    act = _our_action(rescue, seen, phase) if phase else None
    if act is None or phase is None:
        return learned
    if not rescue.request_id:
        learned["request_id"] = act.request_id
    if phase.call is Call.RESCUE:
        if act.host_started_at and not rescue.host_started_at:
            learned["host_started_at"] = clock_now()
        if rescue.accepted_at is None and move.to == phase.waiting:
            learned["accepted_at"] = clock_now()
    return learned


def _our_action(rescue: Rescue, seen: Seen, phase: Phase) -> Act | None:
    """Find the action of our call; not somebody else's, while ours may be on its way."""
    act = lifecycle.new_action(_case(rescue), seen, phase.call)
    theirs = act and phase.call is Call.RESCUE and act.user_id != rescue.cloud_user_id
    return None if theirs else act


def record(act: str, rescue: Rescue, **who_and_details: Any) -> None:
    """Write an act on a rescue into the audit trail, in the transaction of what it tells of."""
    instance = rescue.instance
    target = f"{instance} ({instance.server_id})"
    audit.record(act, team=instance.team, target=target, rescue=str(rescue.pk), **who_and_details)


def announce(rescue: Rescue) -> None:
    """Tell the open pages that a rescue and its instance changed."""
    topics = [f"rescue:{rescue.pk}", f"machine:{rescue.pk}", f"instance:{rescue.instance_id}"]
    events.changed(rescue.instance.account.team_id, topics)


# Housekeeping -----------------------------------------------------------------------------------


def due() -> list[uuid.UUID]:
    """Return the open rescues whose time has come (lost nudges, dead workers, long waits)."""
    return list(Rescue.objects.due(clock_now()).values_list("pk", flat=True)[:500])


def destroy_old_passwords() -> int:
    """Destroy passwords older than a day; return how many."""
    old = Rescue.objects.with_password_older_than(clock_now() - PASSWORD_LIVES)
    destroyed = 0
    for rescue in old.select_related("instance__account__team")[:200]:
        with transaction.atomic():
            if rescue.move(sealed_password="", next_at=rescue.next_at):
                record("password.destroyed", rescue, reason="age")
                announce(rescue)
                destroyed += 1
    return destroyed


def wake(instance_ids: set[int]) -> list[uuid.UUID]:
    """Make the rescues due that rest, or wait for their host, and whose server changed."""
    listens = Q(next_at=None) | Q(state__in=AT_WORK | {State.STUCK, State.EXIT_STUCK})
    heard = Rescue.objects.open().filter(listens, instance_id__in=instance_ids)
    # That its host has begun, which was known to follow, decides nothing yet.
    heard = heard.exclude(state__in=AT_WORK, instance__task_state__in=sight.TASKS.values())
    woken = list(heard.values_list("pk", flat=True))
    Rescue.objects.filter(listens, pk__in=woken).update(next_at=clock_now())
    return woken


def adopt(account_id: int) -> list[uuid.UUID]:
    """Make an EXTERNAL rescue for each server in rescue that has none open; return them."""
    now = clock_now()
    orphans = Instance.objects.filter(
        account_id=account_id, vm_state="rescued", deleted_at=None
    ).exclude(rescues__state__in=lifecycle.OPEN)
    adopted = []
    for instance in orphans.select_related("account__team"):
        rescue = Rescue(
            instance=instance, state=State.EXTERNAL, fallback=State.EXTERNAL,
            created_at=instance.in_rescue_since or now, asked_at=now, next_at=now,
            ready_at=instance.in_rescue_since or now,
        )  # fmt: skip
        try:
            with transaction.atomic():
                rescue.save(force_insert=True)
                record("rescue.external", rescue, reason="")
                announce(rescue)
        except IntegrityError:
            continue
        adopted.append(rescue.pk)
    return adopted
