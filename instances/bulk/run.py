"""Carry a bulk action on: settle what has settled, start what may start.

``advance`` may be called by anybody at any time for any batch. Each of its steps holds the batch's
row for one short transaction, in which an item and its rescue are written together: a worker that
is killed loses nothing, and two of them start nothing twice. How many are on their way is counted
for each cloud account over all batches, with the account's row held.
"""

import logging
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instances import events, news, rescue
from instances.lifecycle import LEFT_CLEAN, STARTING, State
from instances.models import Batch, BatchItem, Instance, Rescue
from instances.models.clock import now as clock_now
from instances.models.rescue import EXITING
from teams import audit
from teams.models import CloudAccount, User
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

logger = logging.getLogger(__name__)

TURNS = 10  # of a call; the caller calls again for more
AT_A_TIME = 4  # items a turn takes up: on SQLite nobody else writes meanwhile
STUCK = (State.STUCK, State.EXIT_STUCK)
LEFT = LEFT_CLEAN | {State.RECOVERED}


def advance(batch_id: uuid.UUID) -> tuple[list[uuid.UUID], bool]:
    """Do what can be done now; return the rescues to drive, and whether there is more to do."""
    settle(batch_id)
    begun: list[uuid.UUID] = []
    for _turn in range(TURNS):
        items = _start_some(batch_id)
        if not items:
            settle(batch_id)
            return begun, False
        started = [item for item in items if item.state == BatchItem.State.STARTED]
        begun += [item.rescue_id for item in started if item.rescue_id]
    return begun, True


def due() -> list[uuid.UUID]:
    """Return the batches that something may have to be done for: lost nudges, dead workers."""
    running = Batch.objects.filter(state=Batch.State.RUNNING).values_list("pk", flat=True)
    held = Batch.objects.filter(ended_at=None, state__in=[Batch.State.PAUSED, Batch.State.STOPPED])
    return [*running[:200], *held.values_list("pk", flat=True)[:200]]


def touched_by(rescue_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the batches that wait for a rescue, where it is no longer on its way."""
    waiting = BatchItem.objects.filter(rescue=rescue_id, state=BatchItem.State.STARTED)
    items = waiting.select_related("batch", "rescue")
    return [item.batch_id for item in items if fate_of(item) is not None]


# What has settled -------------------------------------------------------------------------------


def settle(batch_id: uuid.UUID) -> None:
    """Write how those on their way ended; hold the batch after failures, or end it."""
    with transaction.atomic():
        batch = held(batch_id)
        if batch is None or batch.is_draft:
            return
        settled = False
        for item in _no_longer_moving(batch):
            item.batch = batch
            settled |= _settle(item)
        if _hold_or_end(batch) or settled:
            announce(batch)


def _no_longer_moving(batch: Batch) -> QuerySet[BatchItem]:
    """Leave out those whose rescue is surely on its way: there may be hundreds of them."""
    moving = Q(rescue__state__in=STARTING, rescue__ready_at=None)
    if not batch.is_start:
        moving = Q(rescue__state__in=EXITING)
    started = batch.items.filter(state=BatchItem.State.STARTED)
    return started.exclude(moving).select_related("rescue")


def fate_of(item: BatchItem) -> BatchItem.State | None:
    """Say how an item ended by its rescue; None while it is on its way."""
    done = item.rescue
    if done is None:
        return BatchItem.State.FAILED
    if item.batch.is_start:
        return _fate_of_start(done)
    if done.is_exiting:
        return None
    return BatchItem.State.DONE if done.state in LEFT else BatchItem.State.FAILED


def _fate_of_start(done: Rescue) -> BatchItem.State | None:
    if done.ready_at is not None:
        return BatchItem.State.DONE
    if done.is_starting:
        return None
    cancelled = done.state == State.CANCELLED
    return BatchItem.State.SKIPPED if cancelled else BatchItem.State.FAILED


def _settle(item: BatchItem) -> bool:
    fate = fate_of(item)
    if fate is None:
        return False
    item.state = fate
    if fate == BatchItem.State.SKIPPED:
        item.reasons = in_each_language(pgettext_lazy("rescue", "Cancelled"))
    item.save(update_fields=["state", "reasons"])
    return True


def _hold_or_end(batch: Batch) -> bool:
    """Change the batch's own state if its items ask for it."""
    counts = batch.counts()
    if batch.is_running and counts.waiting and troubles(batch) >= batch.stop_after:
        _become(batch, Batch.State.PAUSED)
        _told(batch, "batch.paused", failed=counts.failed)
        return True
    if counts.under_way or batch.ended_at:
        return False
    if batch.is_running and not counts.waiting:
        _become(batch, Batch.State.DONE, ended_at=clock_now())
    elif batch.state == Batch.State.STOPPED:
        _become(batch, Batch.State.STOPPED, ended_at=clock_now())
    else:
        return False
    _told(batch, "batch.done", done=counts.done, failed=counts.failed, skipped=counts.skipped)
    return True


def troubles(batch: Batch) -> int:
    """Count the failures since somebody last looked at them; what is stuck is one as well."""
    items = batch.items
    stuck = items.filter(state=BatchItem.State.STARTED, rescue__state__in=STUCK).count()
    return items.filter(state=BatchItem.State.FAILED).count() + stuck - batch.forgiven


def _become(batch: Batch, state: Batch.State, **changes: Any) -> None:
    batch.state = state
    for name, value in changes.items():
        setattr(batch, name, value)
    batch.save(update_fields=["state", *changes])


def _told(batch: Batch, act: str, **counts: int) -> None:
    news.tell_batch(act, batch, once=f"{batch.pk}:{batch.round}:{act}")
    note(act, batch, None, **counts)  # last: it holds the end of the trail until the commit


# What starts next -------------------------------------------------------------------------------


def _start_some(batch_id: uuid.UUID) -> list[BatchItem]:
    """Take up some items: each becomes a rescue, or is skipped; none: none may start now."""
    with transaction.atomic():
        batch = held(batch_id)
        if batch is None or not batch.is_running:
            return []
        items = _next_items(batch)
        if not items:
            return []
        by = batch.hands()
        if by is None or not by.may(Right.OPERATE, batch.team):
            logger.warning("batch %s stopped: the right to go on was withdrawn", batch.pk)
            _become(batch, Batch.State.STOPPED)
            note("batch.denied", batch, None)
            announce(batch)
            return []
        for item in items:
            _take_up(item, by)
        announce(batch)
    return items


def _take_up(item: BatchItem, by: User) -> None:
    try:
        with transaction.atomic():
            _begin(item, by)
    except (rescue.NotPossible, PermissionDenied) as problem:
        sentence = getattr(problem, "sentence", _("Your role may only look."))
        skip(item, sentence)
    item.save(update_fields=["state", "reasons", "rescue"])


def _next_items(batch: Batch) -> list[BatchItem]:
    """Find the first waiting items of an account with room; its row is held until the commit.

    Accounts are taken in the same order by everybody, so that nobody waits in a circle.
    """
    waiting = batch.items.filter(state=BatchItem.State.WAITING)
    for account_id in sorted(set(waiting.values_list("account_id", flat=True))):
        CloudAccount.objects.select_for_update(no_key=True).get(pk=account_id)
        on_the_way = BatchItem.objects.filter(
            account=account_id, state=BatchItem.State.STARTED
        ).count()
        room = max(0, min(batch.at_once - on_the_way, AT_A_TIME))
        items = list(waiting.filter(account=account_id).order_by("position")[:room])
        for item in items:
            item.batch = batch
        if items:
            return items
    return []


def _begin(item: BatchItem, by: User) -> None:
    """Ask for the rescue, or its end, as a click would."""
    batch = item.batch
    found = Instance.objects.operable_by(by).with_panel_data().filter(pk=item.instance_id).first()
    if found is None:
        raise rescue.NotPossible(_("The instance is no longer there."))
    if batch.is_start:
        named = f"{batch.snapshot} {found.server_id[:8]}" if batch.snapshot else ""
        item.rescue = rescue.start(
            instance=found,
            image_ref=batch.images.get(str(item.account_id), ""),
            by=by,
            idempotency_key=item.key,
            reason=batch.reason,
            hours=batch.hours,
            snapshot=named,
            batch=str(batch.pk),
        )
    else:
        item.rescue = rescue.request_exit(instance=found, by=by, batch=str(batch.pk))
    item.state = BatchItem.State.STARTED


def skip(item: BatchItem, sentence: "StrOrPromise") -> None:
    """Mark an item as not done, and keep the reason; the caller saves it."""
    item.state = BatchItem.State.SKIPPED
    item.reasons = in_each_language(sentence)


def in_each_language(sentence: "StrOrPromise") -> dict[str, str]:
    """Write a sentence out in each language: whoever reads it later may have another."""
    written = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            written[code] = str(sentence)
    return written


# ------------------------------------------------------------------------------------------------


def held(batch_id: uuid.UUID) -> Batch | None:
    """Return a batch with its row held until the commit; SQLite has one writer at a time."""
    rows = Batch.objects.select_for_update(of=("self",), no_key=True)
    rows = rows.select_related("team", "run_by", "run_by_staff", "asked_by", "acting_by")
    return rows.filter(pk=batch_id).first()


def note(act: str, batch: Batch, by: User | None, **details: Any) -> None:
    """Write an act on a batch into the audit trail, in the transaction of what it tells of."""
    target = f"{batch.team.name} ({batch.items.count()})"
    audit.record(act, team=batch.team, target=target, actor=by, batch=str(batch.pk), **details)


def announce(batch: Batch) -> None:
    """Tell the open pages that a batch changed."""
    events.changed(batch.team_id, [f"batch:{batch.pk}"])
