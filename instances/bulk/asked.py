"""What people ask of a bulk action: draft, begin, stop, resume, try again, exit, put away."""

from collections import Counter
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from instances import rescue
from instances.bulk import run
from instances.lifecycle import IN_RESCUE, OPEN
from instances.models import Batch, BatchItem, Instance
from instances.models.clock import now as clock_now
from instances.models.mirror import InstanceQuerySet
from instances.rescue import NotPossible
from teams.models import User
from teams.permissions import Right

MOST = 500  # instances in one bulk action
AGAIN = [BatchItem.State.FAILED, BatchItem.State.SKIPPED]


def draft(*, kind: str, chosen: InstanceQuerySet, by: User) -> Batch:
    """Keep what somebody chose until it is reviewed; nothing is done yet.

    One bulk action is one team's: of several teams it takes the one with most of the instances.
    """
    mine = chosen.filter(pk__in=Instance.objects.operable_by(by)).order_by("name", "pk")
    found = list(mine.values_list("pk", "account_id", "account__team_id"))
    if not found:
        raise NotPossible(_("Nothing is selected that you may act on."))
    team_id, number = Counter(team for _pk, _account, team in found).most_common(1)[0]
    of_team = [(pk, account) for pk, account, team in found if team == team_id]
    now = clock_now()
    Batch.objects.filter(state=Batch.State.DRAFT, asked_by=by).delete()
    with transaction.atomic():
        batch = Batch.objects.create(
            team_id=team_id, kind=kind, asked_by=by, acting_by=by.acted_by, created_at=now,
            over_limit=max(0, number - MOST), of_other_teams=len(found) - number,
        )  # fmt: skip
        BatchItem.objects.bulk_create(
            BatchItem(batch=batch, instance_id=pk, account_id=account, position=position)
            for position, (pk, account) in enumerate(of_team[:MOST], 1)
        )
    return batch


def begin(*, batch: Batch, by: User, **choices: Any) -> Batch:
    """Set a drafted batch going; one that was begun already is returned as it is.

    ``choices`` are reason, hours, snapshot, images, at_once and stop_after.
    """
    _must(batch, by)
    with transaction.atomic():
        held = _held(batch)
        if not held.is_draft:
            return held
        if held.is_start and held.team.reason_required and not choices.get("reason"):
            raise NotPossible(_("Say why: the team wants a reason or a ticket."), field="reason")
        if not _leave_out_impossible(held):
            raise NotPossible(_("None of them can be done now."))
        _set_going(held, by, begun_at=clock_now(), **choices)
        run.note(
            f"batch.{held.kind}", held, by, reason=held.reason, images=held.images,
            at_once=held.at_once, stop_after=held.stop_after,
        )  # fmt: skip
    return held


def why_not(kind: str, instance: Instance) -> Any:
    """Say why an action cannot be done with an instance now; empty when it can."""
    ask = rescue.why_not_start if kind == Batch.Kind.START else rescue.why_not_exit
    return ask(instance)


def _leave_out_impossible(batch: Batch) -> int:
    """Skip what cannot be done now, as the review said; return how many are left."""
    items = list(batch.items.order_by("position"))
    rows = Instance.objects.with_panel_data().filter(pk__in=[item.instance_id for item in items])
    instances = {row.pk: row for row in rows}
    for item in items:
        if reason := why_not(batch.kind, instances[item.instance_id]):
            run.skip(item, reason)
    skipped = [item for item in items if item.state == BatchItem.State.SKIPPED]
    BatchItem.objects.bulk_update(skipped, ["state", "reasons"], batch_size=200)
    return len(items) - len(skipped)


def stop(*, batch: Batch, by: User) -> None:
    """Start no more of them; those on their way go on."""
    _must(batch, by)
    with transaction.atomic():
        held = _held(batch)
        if held.state not in (Batch.State.RUNNING, Batch.State.PAUSED):
            raise NotPossible(_("It is not under way any more."))
        held.state = Batch.State.STOPPED
        held.save(update_fields=["state"])
        _noted("batch.stop", held, by)


def resume(*, batch: Batch, by: User) -> None:
    """Go on with those that wait; the failures until now are looked past."""
    _must(batch, by)
    with transaction.atomic():
        held = _held(batch)
        waiting = held.items.filter(state=BatchItem.State.WAITING)
        if held.state not in (Batch.State.PAUSED, Batch.State.STOPPED) or not waiting.exists():
            raise NotPossible(_("There is nothing left to go on with."))
        _set_going(held, by, forgiven=run.troubles(held) + held.forgiven)
        _noted("batch.resume", held, by)


def retry(*, batch: Batch, by: User) -> None:
    """Try those again that failed or were skipped, each as a rescue of its own."""
    _must(batch, by)
    with transaction.atomic():
        held = _held(batch)
        items = list(held.items.filter(state__in=AGAIN))
        if held.is_draft or not items:
            raise NotPossible(_("None of them failed or was skipped."))
        for item in items:
            item.state, item.reasons = BatchItem.State.WAITING, {}
            item.attempt += 1
        BatchItem.objects.bulk_update(items, ["state", "reasons", "attempt"], 200)
        _set_going(held, by, forgiven=run.troubles(held) + held.forgiven)
        _noted("batch.retry", held, by, again=len(items))


def exit_all(*, batch: Batch, by: User) -> Batch:
    """Draft the exit of all that this batch brought into rescue and that are still in it."""
    _must(batch, by)
    inside = batch.items.filter(rescue__state__in=IN_RESCUE).values("instance")
    return draft(kind=Batch.Kind.EXIT, chosen=Instance.objects.filter(pk__in=inside), by=by)


def put_away(*, batch: Batch, by: User) -> None:
    """Put a batch's notification away for whoever clicks; one that matters stays in sight."""
    if batch.ended_at is None or batch.items.filter(rescue__state__in=OPEN).exists():
        raise NotPossible(_("It is still under way."))
    batch.put_away_by.add(by.acted_by or by)


# ------------------------------------------------------------------------------------------------


def _must(batch: Batch, by: User) -> None:
    if not by.may(Right.OPERATE, batch.team):
        raise PermissionDenied(_("Your role may only look."))


def _held(batch: Batch) -> Batch:
    held = run.held(batch.pk)
    if held is None:
        raise NotPossible(_("It is no longer there. Choose again."))
    return held


def _set_going(batch: Batch, by: User, **changes: Any) -> None:
    changes |= {
        "state": Batch.State.RUNNING, "run_by": by, "run_by_staff": by.acted_by,
        "round": batch.round + 1, "ended_at": None,
    }  # fmt: skip
    for name, value in changes.items():
        setattr(batch, name, value)
    batch.save(update_fields=list(changes))
    batch.put_away_by.clear()
    run.announce(batch)


def _noted(act: str, batch: Batch, by: User, **details: int) -> None:
    run.note(act, batch, by, **details)
    run.announce(batch)
