"""What is told outside of a rescue: which move is news, and what may be said of it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings

from instances.lifecycle import IN_RESCUE, STARTING, State
from instances.models.clock import now as clock_now
from instances.story import FAILED
from teams import outbox

if TYPE_CHECKING:
    from instances.models import Batch, Rescue

UNTOLD = frozenset({State.CANCELLED})
BY_THE_CLOCK = frozenset({"rescue.still_open", "rescue.time_over"})
DIGEST_EVERY = timedelta(hours=1)


def moved(rescue: "Rescue", came_from: State) -> None:
    """Tell of a move just written, if it is news; in its transaction."""
    event = event_of(State(rescue.state), came_from)
    if event:
        tell(event, rescue, once=f"{rescue.pk}:{rescue.version}:{event}")


def event_of(state: State, came_from: State) -> str:
    """Name the news in a move; empty when it is none."""
    if state == came_from or state in UNTOLD:
        return ""
    if state in IN_RESCUE:
        return "rescue.ready" if came_from in STARTING else "rescue.exit_failed"
    if state in FAILED:
        return "rescue.failed"
    over = state in (
        State.CLOSED, State.RECOVERED, State.ENDED_OUTSIDE, State.ENDED_BY_CLOUD, State.GONE,
    )  # fmt: skip
    return "rescue.exited" if over else ""


def tell(event: str, rescue: "Rescue", *, once: str, **more: Any) -> None:
    """Tell a rescue's team of an event, and the people whose rescue it is."""
    concerned = {rescue.requested_by_id, rescue.holder_id, *more.pop("also", ())} - {None}
    facts = facts_of(rescue) | more
    batch = _batch_behind(event, rescue)
    outbox.tell(
        rescue.instance.team, event, facts, once=once, concerned=concerned, by_mail=batch is None
    )
    if batch is not None and _is_digested(batch, rescue):
        # By the clock, to hundreds at the same time: one mail an hour says how many there are.
        hour = int((clock_now() - batch.created_at) / DIGEST_EVERY)
        tell_batch("batch.open", batch, once=f"{batch.pk}:open:{hour}", also=concerned)


def _batch_behind(event: str, rescue: "Rescue") -> "Batch | None":
    """Return the bulk action that news is of; None where one person did one thing by hand."""
    item = rescue.batch_items.order_by("-pk").select_related("batch__team", "batch__run_by").first()
    if item is None or event == "rescue.handed_over":
        return None
    by_hand = event not in BY_THE_CLOCK and rescue.exit_requested_by_id
    return None if by_hand and item.state != "started" else item.batch


def _is_digested(batch: "Batch", rescue: "Rescue") -> bool:
    """Tell whether no mail at the batch's end will hold it."""
    return not batch.items.filter(rescue=rescue, state="started").exists()


def tell_batch(event: str, batch: "Batch", *, once: str, also: Iterable[int] = ()) -> None:
    """Write to the people concerned how a bulk action stands; webhooks hear of each rescue."""
    counts = batch.counts()
    facts = {
        "batch": str(batch.pk),
        "url": f"{settings.PANEL_URL}/batches/{batch.pk}",
        "kind": batch.kind,
        "state": batch.state,
        "team": outbox.team_facts(batch.team),
        "reason": batch.reason,
        "asked_by": str(batch.asked_by or ""),
        "total": counts.total,
        "done": counts.done,
        "inside": counts.inside,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "waiting": counts.waiting,
    }
    concerned = {pk for pk in (batch.asked_by_id, batch.run_by_id, *also) if pk}
    outbox.tell_by_mail(batch.team, event, facts, once=once, concerned=concerned)


def facts_of(rescue: "Rescue") -> dict[str, Any]:
    """Return what a message may say of a rescue: no secret, no address of a machine."""
    instance = rescue.instance
    return {
        "rescue": str(rescue.pk),
        "url": f"{settings.PANEL_URL}/rescues/{rescue.pk}",
        "state": str(rescue.state).lower(),
        "team": outbox.team_facts(instance.team),
        "instance": {
            "name": str(instance),
            "server_id": instance.server_id,
            "region": instance.account.region_name,
            "account": instance.account.name,
        },
        "image": rescue.image_name,
        "reason": rescue.reason,
        "asked_by": str(rescue.requested_by or ""),
        "acted_by_staff": str(rescue.acting_by or ""),
        "holder": str(rescue.holder or ""),
        "ended_by": str(rescue.exit_requested_by or "") if rescue.ended_at else "",
        "asked_at": _stamp(rescue.created_at),
        "ready_at": _stamp(rescue.ready_at),
        "until": _stamp(rescue.until),
        "ended_at": _stamp(rescue.ended_at),
        "problem": rescue.failure_code,
    }


def _stamp(moment: Any) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
