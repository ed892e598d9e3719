"""Carry bulk actions on as workers would, and play the cloud for their rescues."""

from typing import Any

from django.utils import timezone

from instances.bulk import run
from instances.models import Batch, BatchItem, Instance, Rescue


def advance(batch: Batch) -> Batch:
    """Carry it on, as often as a worker would."""
    more = True
    while more:
        _begun, more = run.advance(batch.pk)
    batch.refresh_from_db()
    return batch


def states(batch: Batch) -> dict[str, int]:
    """Count the items by state."""
    found: dict[str, int] = {}
    for state in batch.items.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def on_the_way(batch: Batch) -> list[BatchItem]:
    items = batch.items.filter(state="started").order_by("position")
    return list(items.select_related("rescue", "instance"))


def becomes(item: BatchItem, state: str) -> None:
    """Let the cloud do its part for one."""
    now = timezone.now()
    facts: dict[str, Any] = {"state": state}
    if state == "READY":
        facts |= {"ready_at": now, "accepted_at": now}
        Instance.objects.filter(pk=item.instance_id).update(status="RESCUE", vm_state="rescued")
    elif state not in ("STUCK", "WAITING", "EXIT_STUCK"):
        facts |= {"ended_at": now, "next_at": None}
        Instance.objects.filter(pk=item.instance_id).update(status="ACTIVE", vm_state="active")
    Rescue.objects.filter(pk=item.rescue_id).update(**facts)


def all_become(batch: Batch, state: str) -> None:
    for item in on_the_way(batch):
        becomes(item, state)
