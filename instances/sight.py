"""What is known of a rescue's server, and as of when.

There are two sources. A look of the rescue's own asks the cloud for the server and what was done
to it. Where many servers of an account are at work, one listing shows them all, and the mirror
tells of each what that listing showed. Of a server that is still at work there is nothing to look
for yet; of one that rests the listing's word is believed, but what was done to it, which tells
whose doing it was, is asked for all the same. Whatever else the mirror says, an own look follows.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from instances import events, lifecycle, pace
from instances.cloud import Cloud, Gone, Server
from instances.lifecycle import Call, Phase, State
from instances.models import CloudMirror, Instance, Rescue
from instances.models.clock import now as clock_now
from instances.models.mirror import facts_of
from instances.models.rescue import AT_WORK
from instances.observed import Seen

TASKS = {Call.RESCUE: "rescuing", Call.UNRESCUE: "unrescuing"}
#: where listings are enough: before a call of these, and while the host has it
LISTENED_FOR = AT_WORK | {State.REQUESTED, State.EXIT_REQUESTED}
RESTS_BEFORE = {
    Call.RESCUE: frozenset({"active", "stopped"}),
    Call.UNRESCUE: frozenset({"rescued"}),
}
RESTS_AFTER = {Call.RESCUE: frozenset({"rescued"}), Call.UNRESCUE: frozenset({"active", "stopped"})}
#: older than this, a listing does not tell whether a server rests; what was done to it is read anew
FRESH = timedelta(seconds=10)
#: before a call it may be older: Nova itself refuses one that comes at the wrong time
FRESH_ENOUGH_TO_ASK = timedelta(seconds=30)
#: the clocks of a cloud's machines
CLOCKS_DIFFER = timedelta(seconds=10)
#: no listing for so long: whoever follows the account is not there, each looks for itself
ABANDONED = timedelta(seconds=15)
SOON = timedelta(seconds=1)
#: whatever the listings say: whether its host has begun, only an own look tells, and that matters
#: from when on it should have
LOOK_FIRST, LOOK_AGAIN = lifecycle.HOST_SILENT_AFTER, timedelta(seconds=60)
UNTIL_HEARD = 15.0  # seconds; whoever lists wakes those whose server changed, so this is for safety


@dataclass(frozen=True)
class Sight:
    """What a server was like at some moment, or later."""

    seen: Seen
    as_of: datetime
    #: the mirror told the server's state
    from_mirror: bool = False
    server: Server | None = None
    #: seconds in which there is nothing to decide: others listen for this server
    wait: float = 0.0


def of(rescue: Rescue, cloud: Cloud) -> Sight:
    """Return what is known of a rescue's server, from the mirror if that is enough."""
    phase = lifecycle.phase_of(State(rescue.state))
    if phase is not None and rescue.state in LISTENED_FOR:
        shared = _shared(rescue, phase, cloud)
        if shared is not None:
            return shared
    began = clock_now()
    server, seen = _own(rescue, phase, cloud)
    return Sight(seen, began, server=server)


def until_heard(account_id: int) -> float:
    """Return for how long to leave a server to its account's listings; 0: look for oneself."""
    if not Rescue.objects.crowded(account_id):
        return 0.0
    recent = clock_now() - ABANDONED
    listed = CloudMirror.objects.filter(account_id=account_id, listed_at__gt=recent).exists()
    return pace.spread(UNTIL_HEARD) if listed else 0.0


def _own(rescue: Rescue, phase: Phase | None, cloud: Cloud) -> tuple[Server | None, Seen]:
    """Ask the cloud no more than the next decision needs: most looks find it still at work."""
    if phase is None:
        return cloud.look(rescue.instance.server_id)
    waited = clock_now() - (rescue.called_at or rescue.asked_at)
    started = rescue.host_started_at is not None or phase.call is Call.UNRESCUE
    brief = rescue.state == phase.waiting and started and waited < lifecycle.HOST_SILENT_AFTER
    return cloud.look(
        rescue.instance.server_id,
        briefly_while=TASKS.get(phase.call, "") if brief else "",
        events=rescue.state != phase.requested,
    )


def _shared(rescue: Rescue, phase: Phase, cloud: Cloud) -> Sight | None:
    """Return what the account's listings show; None when an own look is due."""
    account_id = rescue.instance.account_id
    if not Rescue.objects.crowded(account_id):
        return None
    # One statement: the rows were written before the mirror said that they were listed.
    row = Instance.objects.filter(pk=rescue.instance_id, deleted_at=None).values(
        "vm_state", "task_state", "locked", "seen_at", "cloud_updated_at",
        "account__mirror__listed_at", "account__mirror__listed_cloud_at",
    ).first()  # fmt: skip
    if row is None:
        return None
    now, listed_at = clock_now(), row["account__mirror__listed_at"]
    listed_by_cloud = row["account__mirror__listed_cloud_at"]
    if listed_at is None:
        return None
    seen = Seen(row["vm_state"], row["task_state"], row["locked"])
    as_of = max(listed_at, row["seen_at"])
    if rescue.state == phase.requested:
        seen = replace(seen, quiet_since=_quiet_since(row["cloud_updated_at"], listed_by_cloud))
        return _before_call(rescue, phase, cloud, Sight(seen, as_of, from_mirror=True))
    if now - listed_at > ABANDONED:
        _ask_for_listing(account_id, now)  # it may only have been idle
        return None
    return _at_work(rescue, phase, cloud, Sight(seen, as_of, from_mirror=True))


def _before_call(rescue: Rescue, phase: Phase, cloud: Cloud, listed: Sight) -> Sight | None:
    """Believe that a server rests: Nova itself refuses the call if it does not any more."""
    seen, age = listed.seen, clock_now() - listed.as_of
    rests = seen.idle and not seen.locked and seen.vm_state in RESTS_BEFORE[phase.call]
    if not rests or rescue.calls or age > FRESH_ENOUGH_TO_ASK:
        return None
    return listed if seen.quiet_since and age <= FRESH else _with_actions(rescue, cloud, listed)


def _quiet_since(stamped: datetime | None, listed: datetime | None) -> datetime | None:
    """Return from when on nothing was done to a server, by its cloud's clock.

    Whatever is done to a server stamps it, by the clock of whichever machine of the cloud does it.
    """
    if not stamped or not listed or stamped > listed - 2 * CLOCKS_DIFFER:
        return None
    return listed - CLOCKS_DIFFER


def _at_work(rescue: Rescue, phase: Phase, cloud: Cloud, listed: Sight) -> Sight | None:
    now, called_at, seen = clock_now(), rescue.called_at, listed.seen
    if called_at is None or (now > called_at + LOOK_FIRST and _long_ago(rescue.looked_at, now)):
        return None
    old = listed.as_of <= called_at or now - listed.as_of > FRESH
    if old:
        _ask_for_listing(rescue.instance.account_id, now)
    if old or seen.task_state == TASKS[phase.call]:
        return replace(listed, wait=pace.spread(UNTIL_HEARD))
    rests = seen.idle and seen.vm_state in RESTS_AFTER[phase.call]
    return _with_actions(rescue, cloud, listed) if rests else None


def _long_ago(looked_at: datetime | None, now: datetime) -> bool:
    return looked_at is None or now - looked_at > LOOK_AGAIN


def _with_actions(rescue: Rescue, cloud: Cloud, listed: Sight) -> Sight | None:
    try:
        actions = cloud.actions(rescue.instance.server_id)
    except Gone:
        return None
    return replace(listed, seen=replace(listed.seen, actions=actions, quiet_since=None))


def _ask_for_listing(account_id: int, now: datetime) -> None:
    soon = now + SOON
    late = CloudMirror.objects.filter(account_id=account_id, problem="", next_at__gt=soon)
    late.update(next_at=now)


def outdated(rescue: Rescue, seen: Seen) -> bool:
    """Tell whether the mirror has heard of another state of the server meanwhile, but at work."""
    row = Instance.objects.filter(pk=rescue.instance_id, deleted_at=None)
    row = row.exclude(task_state__in=TASKS.values())
    states = row.values_list("vm_state", "task_state").first()
    return states is not None and states != (seen.vm_state, seen.task_state)


def mirror(instance: Instance, server: Server | None, as_of: datetime) -> None:
    """Write what a look showed into the mirror, and tell the pages when it differs."""
    if server is None:
        facts: dict[str, Any] = {"deleted_at": as_of, "seen_at": as_of}
    elif server.name is None:
        return  # its cell is down: what we knew is better than what Nova says
    else:
        facts = facts_of(server, image_names={server.image_id: instance.image_name}, seen_at=as_of)
    shown = ("status", "task_state", "locked", "deleted_at", "fault")
    differs = any(name in facts and getattr(instance, name) != facts[name] for name in shown)
    # Not over what a listing that began later has shown.
    Instance.objects.filter(pk=instance.pk, seen_at__lte=as_of).update(**facts)
    for name, value in facts.items():
        setattr(instance, name, value)
    if differs:
        events.changed(instance.account.team_id, [f"instance:{instance.pk}"])
