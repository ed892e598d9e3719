"""What is told outside of a rescue: which move is news, and what may be said of it."""

from typing import TYPE_CHECKING, Any

from django.conf import settings

from instances.lifecycle import IN_RESCUE, STARTING, State
from instances.story import FAILED
from teams import outbox

if TYPE_CHECKING:
    from instances.models import Rescue

UNTOLD = frozenset({State.CANCELLED})


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
    outbox.tell(rescue.instance.team, event, facts, once=once, concerned=concerned)


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
