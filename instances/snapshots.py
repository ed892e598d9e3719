"""Take the snapshot that a rescue waits for: asked of Nova once, followed in Glance to its end.

The driver calls ``step`` while it holds the rescue's lease. A lost answer is settled by looking
for an image of that name that was not there before.
"""

from datetime import datetime, timedelta
from typing import Any

from instances import events
from instances.cloud import Cloud, CloudError, Image
from instances.lifecycle import DOUBT_GRACE, Move, State
from instances.models import Snapshot
from instances.models.clock import now as clock_now
from instances.observed import Seen
from teams import audit

#: where Nova takes one (nova/compute/api.py, ``snapshot``)
VM_STATES = frozenset({"active", "stopped", "paused", "suspended"})
NO = frozenset({"invalid", "forbidden", "gone", "conflict"})
UNHEARD = frozenset({"limited", "credentials", "refused"})
IDLE_WITHIN, THERE_WITHIN = timedelta(minutes=10), timedelta(minutes=1)
AT_MOST = timedelta(hours=1)
MOST_CALLS = 2
WAIT = Move(wait=2)


def step(snapshot: Snapshot, cloud: Cloud, seen: Seen) -> Move:
    """Make the next move and return the rescue's: it waits, goes on, or is not started.

    Raise ``CloudError`` when the cloud cannot be asked.
    """
    now = clock_now()
    if snapshot.state == Snapshot.State.WANTED:
        return _call(snapshot, cloud, seen, now)
    image = _new_image(snapshot, cloud)
    if snapshot.state == Snapshot.State.CALLING:
        return _doubt(snapshot, image, seen, now)
    return _follow(snapshot, image, seen, now)


def _call(snapshot: Snapshot, cloud: Cloud, seen: Seen, now: datetime) -> Move:
    if seen.vm_state not in VM_STATES:
        return _fail(snapshot, "vm_state")
    if not seen.idle:
        too_long = now - snapshot.begun_at > IDLE_WITHIN
        return _fail(snapshot, "busy") if too_long else WAIT
    there = [image.image_id for image in cloud.images(name=snapshot.name)]
    calls = snapshot.calls + 1
    before = snapshot.baseline or there  # a resend looks for either call's image
    if not snapshot.move(Snapshot.State.CALLING, baseline=before, called_at=now, calls=calls):
        return WAIT
    try:
        cloud.create_image(snapshot.rescue.instance.server_id, snapshot.name)
    except CloudError as error:
        if error.kind in NO and calls == 1:
            return _fail(snapshot, error.kind, str(error))
        if error.kind in UNHEARD:
            snapshot.move(Snapshot.State.WANTED, calls=calls - 1)
        return WAIT
    snapshot.move(Snapshot.State.WAITING)
    events.changed(snapshot.rescue.instance.account.team_id, [f"rescue:{snapshot.pk}"])
    return WAIT


def _new_image(snapshot: Snapshot, cloud: Cloud) -> Image | None:
    """Find the image that was not there before; never one of another server."""
    server = snapshot.rescue.instance.server_id
    for image in cloud.images(name=snapshot.name):
        ours = image.properties.get("instance_uuid", server) == server
        if ours and image.image_id not in snapshot.baseline:
            return image
    return None


def _doubt(snapshot: Snapshot, image: Image | None, seen: Seen, now: datetime) -> Move:
    if image is not None:
        snapshot.move(Snapshot.State.WAITING)
        return WAIT
    if not seen.idle or now - (snapshot.called_at or now) < DOUBT_GRACE:
        return WAIT
    if snapshot.calls >= MOST_CALLS:
        return _fail(snapshot, "unsure")
    snapshot.move(Snapshot.State.WANTED)
    return WAIT


def _follow(snapshot: Snapshot, image: Image | None, seen: Seen, now: datetime) -> Move:
    waited = now - (snapshot.called_at or now)
    if image is not None and image.status == "active" and seen.idle:
        snapshot.move(Snapshot.State.DONE, image_id=image.image_id, ended_at=now)
        _tell(snapshot, "snapshot.done", image=image.image_id)
        return Move(wait=0.2)
    if image is not None and image.status in ("killed", "deleted"):
        return _fail(snapshot, "broken")
    if image is None and seen.idle and waited > THERE_WITHIN:
        return _fail(snapshot, "broken")  # Nova deletes the image of a snapshot that failed
    return _fail(snapshot, "too_long") if waited > AT_MOST else WAIT


def _fail(snapshot: Snapshot, problem: str, words: str = "") -> Move:
    snapshot.move(Snapshot.State.FAILED, problem=problem, failure_text=words, ended_at=clock_now())
    _tell(snapshot, "snapshot.failed", reason=problem)
    return Move(to=State.REFUSED, reason=f"snapshot:{problem}")


def _tell(snapshot: Snapshot, act: str, **details: Any) -> None:
    """Write down how it ended, and tell the open pages."""
    rescue, instance = snapshot.rescue, snapshot.rescue.instance
    target = f"{instance} ({instance.server_id})"
    audit.record(
        act, team=instance.team, target=target, rescue=str(rescue.pk), name=snapshot.name, **details
    )
    events.changed(instance.account.team_id, [f"rescue:{rescue.pk}"])
