"""What the notification panel shows somebody: a card an instance, and what can be done about it."""

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.core.cache import caches
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext as _

from instances.lifecycle import BROKEN, OPEN, State
from instances.models import Batch, BatchItem, BootCheck, Grant, Machine, Rescue
from instances.models.batch import Counts
from teams.models import Team
from teams.permissions import Right, may

if TYPE_CHECKING:
    from teams.models import User

PANEL_HOLDS = 12
BATCHES_HELD = 4
LINES_HELD = 12
NOTHING_KEPT = 10.0  # seconds
WORTH_ANOTHER_TRY = frozenset({State.FAILED_CLEAN, State.REFUSED, State.EXPIRED})


@dataclass(frozen=True)
class Button:
    key: str
    label: str
    url: str
    method: str = "get"
    main: bool = False


@dataclass(frozen=True)
class Card:
    rescue: Rescue
    shows_password: bool
    #: the password appears by itself, in the browser of the one who asked
    reveals: bool
    buttons: list[Button]
    #: the person asked for it: its page hears of each change at once, however many look on
    mine: bool = False
    #: how far the panel gets into the machine, once it tried
    machine: Machine | None = None
    #: whether the machine was seen to start again, once it was left
    boot: BootCheck | None = None
    #: what staff asked for and this person may answer or withdraw
    grants: list[Grant] = field(default_factory=list)
    #: staff who act for this person may ask for the password, and did already
    asks: bool = False
    asked: Grant | None = None


@dataclass(frozen=True)
class BatchCard:
    """A bulk action, with the first of its rescues folded under it."""

    batch: Batch
    counts: Counts
    lines: list[BatchItem]
    may_put_away: bool
    mine: bool


def panel_for(user: "User", revision: str = "") -> dict[str, Any]:
    """Gather what the notification panel shows somebody.

    ``revision`` is another one after each change in what the person sees: while it is the same,
    a panel that was found empty stays so, and is not asked for again.
    """
    who = (user.pk, user.acted_by and user.acted_by.pk)
    empty = f"nothing:{hashlib.sha256(repr((who, revision)).encode()).hexdigest()}"
    if revision and caches["lists"].get(empty):
        return {"cards": [], "batches": [], "told": 0}
    cards, batches = cards_for(user), batches_for(user)
    if revision and not cards and not batches:
        caches["lists"].set(empty, True, NOTHING_KEPT)
    return {"cards": cards, "batches": batches, "told": len(cards) + len(batches)}


def batches_for(user: "User") -> list[BatchCard]:
    """List the bulk actions that somebody follows: one card each, however many rescues it has."""
    return [_batch_card(batch, user) for batch in Batch.objects.in_panel_of(user)[:BATCHES_HELD]]


def _batch_card(batch: Batch, user: "User") -> BatchCard:
    held = BatchItem.State
    telling = batch.items.filter(state__in=[held.STARTED, held.FAILED, held.DONE])
    ranked = telling.annotate(
        rank=models.Case(
            models.When(state=held.FAILED, then=0), models.When(state=held.STARTED, then=1),
            default=2, output_field=models.IntegerField(),
        )
    )  # fmt: skip
    lines = ranked.select_related("instance", "rescue__snapshot").order_by("rank", "-position")
    inside = batch.items.filter(rescue__state__in=OPEN).exists()
    return BatchCard(
        batch=batch,
        counts=batch.counts(),
        lines=list(lines[:LINES_HELD]),
        may_put_away=batch.ended_at is not None and not inside,
        mine=user.pk in (batch.asked_by_id, batch.run_by_id),
    )


def cards_for(user: "User") -> list[Card]:
    """List the newest rescue of each instance that somebody follows."""
    followed = Rescue.objects.in_panel_of(user)
    # What a bulk action did with a machine, or did again, is told in the bulk action's card.
    in_batch = BatchItem.objects.filter(
        instance=models.OuterRef("instance"), rescue__created_at__gte=models.OuterRef("created_at")
    )
    told = followed.exclude(models.Exists(in_batch))
    newest: dict[int, uuid.UUID] = {}
    for pk, instance_id in told.values_list("pk", "instance_id")[: 2 * PANEL_HOLDS]:
        # A later rescue of the same machine takes the place of what was told of an earlier one.
        newest.setdefault(instance_id, pk)
    if not newest:
        return []
    operable = set(Team.objects.of(user, Right.OPERATE).values_list("pk", flat=True))
    shown = Rescue.objects.filter(pk__in=list(newest.values())[:PANEL_HOLDS]).with_all_told()
    return [
        _card(rescue, user, may_operate=rescue.instance.account.team_id in operable)
        for rescue in shown.order_by("-created_at")
    ]


def _card(rescue: Rescue, user: "User", *, may_operate: bool) -> Card:
    return Card(
        rescue=rescue,
        shows_password=may_operate and rescue.shows_password_to(user),
        reveals=may_operate and rescue.reveals_automatically_for(user),
        buttons=_buttons(rescue) if may_operate else [],
        mine=user.pk in (rescue.requested_by_id, rescue.exit_requested_by_id),
        machine=getattr(rescue, "machine", None),
        boot=getattr(rescue, "boot_check", None),
        **leave_of(rescue, user),
    )


def leave_of(rescue: Rescue, user: "User") -> dict[str, Any]:
    """Find what was asked and answered about letting staff read the password."""
    if not rescue.password_available or not user.may(Right.OPERATE, rescue.instance.team):
        return {}
    asked = rescue.grants.alive().order_by("-asked_at", "-pk")
    if user.acted_by:
        role = user.role_in(rescue.instance.team)
        asks = role is not None and may(role, Right.REVEAL)
        return {"asks": asks, "asked": asked.of_hands(user).first()}
    if not rescue.may_read_password(user):
        return {}
    return {"grants": [one for one in asked if one.state in ("waiting", "given")]}


def _buttons(rescue: Rescue) -> list[Button]:
    """List what one can do about a rescue from its notification."""
    instance = [rescue.instance_id]
    if rescue.state == State.REQUESTED:
        url = reverse("instances:cancel", args=[rescue.pk])
        return [Button("cancel", _("Cancel"), url, method="post")]
    if rescue.is_ready:
        url = reverse("instances:exit_rescue", args=instance)
        return [Button("exit", _("Exit rescue mode"), url, main=True)]
    if rescue.state in BROKEN:
        url = reverse("instances:hard_reboot", args=instance)
        return [Button("reboot", _("Hard reboot"), url, main=True)]
    if rescue.state in WORTH_ANOTHER_TRY:
        url = reverse("instances:start_rescue", args=instance)
        return [Button("again", _("Try again"), url)]
    boot: BootCheck | None = getattr(rescue, "boot_check", None)
    if boot is not None and boot.state == BootCheck.State.FAULT:
        url = reverse("instances:start_rescue", args=instance)
        return [Button("again", _("Start in rescue mode again"), url)]
    return []
