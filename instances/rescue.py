"""The rescue, as people use it: what may be done now, start, exit, cancel, reboot, reveal.

Each use case writes its row and its audit entry in one transaction and returns; the steps that
talk to the cloud are in ``driver``. Whoever calls a use case nudges the driver afterwards.
"""

import shlex
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from instances import choices, driver, wording
from instances.choices import ImageChoice, Note, Picker, exit_notes, picker_for
from instances.lifecycle import (
    IN_RESCUE,
    RESCUABLE_VM_STATES,
    State,
    phase_of,
)
from instances.models import Dismissal, Instance, Rescue, Snapshot
from instances.models.clock import now as clock_now
from instances.snapshots import VM_STATES as SNAPSHOT_STATES
from teams.permissions import Right
from teams.secrets import CannotOpen

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from teams.models import Team, User

__all__ = [
    "ImageChoice",
    "MenuAction",
    "NotPossible",
    "Note",
    "Picker",
    "actions_for",
    "cancel",
    "cli_command",
    "dismiss",
    "exit_in_time",
    "exit_notes",
    "hard_reboot",
    "menu",
    "picker_for",
    "request_exit",
    "reveal_password",
    "start",
    "until_of",
]


class NotPossible(Exception):
    """What was asked cannot be done now; ``sentence`` says why, in the person's words."""

    def __init__(self, sentence: "StrOrPromise", *, field: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field


@dataclass(frozen=True)
class MenuAction:
    """An entry of an instance's menu; with a ``reason`` it is there but cannot be used."""

    key: str
    label: "StrOrPromise"
    reason: "StrOrPromise" = ""

    @property
    def enabled(self) -> bool:
        return not self.reason


# What may be done now ---------------------------------------------------------------------------


def actions_for(instance: Instance, user: "User") -> list[MenuAction]:
    """List the menu of an instance for somebody."""
    return menu(instance, may_operate=user.may(Right.OPERATE, instance.team))


def menu(instance: Instance, *, may_operate: bool) -> list[MenuAction]:
    """List the menu of an instance for all who may, or may not, operate it."""
    role = "" if may_operate else _("Your role may only look.")
    listed = [
        MenuAction("start_rescue", _("Start in rescue mode"), role or why_not_start(instance)),
        MenuAction("exit_rescue", _("Exit rescue mode"), role or why_not_exit(instance)),
    ]
    if (instance.broken_rescue and not instance.open_rescue) or _rebooting(instance):
        reason = role or why_not_reboot(instance)
        listed.append(MenuAction("hard_reboot", _("Hard reboot"), reason))
    return listed


def why_not_start(instance: Instance) -> "StrOrPromise":
    """Say why the instance cannot be put in rescue mode now; empty when it can."""
    rescue = instance.open_rescue
    if rescue and rescue.is_starting:
        return format_lazy(
            _("Already being put in rescue mode by {name}."), name=rescue.requested_by
        )
    if rescue and rescue.state not in IN_RESCUE:
        return format_lazy(_("A task is under way: {task}."), task=rescue.headline)
    if rescue or instance.in_rescue:
        return _("The instance is already in rescue mode.")
    return _held(instance) or (
        "" if instance.vm_state in RESCUABLE_VM_STATES and instance.launched_at
        else wording.not_now(instance.vm_state)
    )  # fmt: skip


def why_not_exit(instance: Instance) -> "StrOrPromise":
    """Say why the instance cannot leave rescue mode now; empty when it can."""
    rescue = instance.open_rescue
    if rescue and rescue.is_exiting:
        return _("Already leaving rescue mode.")
    if rescue and rescue.is_starting:
        return _("Rescue mode is still starting.")
    if not instance.in_rescue:
        return _("The instance is not in rescue mode.")
    return _held(instance)


def why_not_reboot(instance: Instance) -> "StrOrPromise":
    """Say why the way back from a broken rescue is closed now; empty when it is open."""
    if instance.open_rescue:
        return format_lazy(_("A task is under way: {task}."), task=instance.open_rescue.headline)
    if not instance.broken_rescue:
        return _("There is no failed rescue to come back from.")
    return _held(instance)


def _held(instance: Instance) -> "StrOrPromise":
    if instance.locked:
        return _("The instance is locked: unlock it first.")
    if instance.task_state:
        return format_lazy(_("A task is under way: {task}."), task=instance.status_label)
    return ""


def _rebooting(instance: Instance) -> bool:
    rescue = instance.open_rescue
    phase = phase_of(State(rescue.state)) if rescue else None
    return phase is not None and phase.call == "reboot"


def cli_command(instance: Instance, image_ref: str) -> str:
    """Return the ``openstack`` line that does the same; names are quoted for a shell."""
    return f"openstack server rescue --image {shlex.quote(image_ref)} {instance.server_id}"


# Use cases --------------------------------------------------------------------------------------


def start(
    *,
    instance: Instance,
    image_ref: str,
    by: "User",
    idempotency_key: uuid.UUID,
    reason: str = "",
    hours: int | None = None,
    snapshot: str = "",
    batch: str = "",
) -> Rescue:
    """Ask for a rescue; the same key again returns the rescue it made.

    ``hours`` is how long it should last, within the team's limit; ``snapshot`` names one that
    is taken first; ``batch`` is the id of the bulk action it is part of.

    Raise ``PermissionDenied`` for a role that may only look and ``NotPossible`` with the reason
    when the instance or the image does not allow it now.
    """
    _must(by, Right.OPERATE, instance)
    earlier = Rescue.objects.filter(idempotency_key=idempotency_key).first()
    if earlier:
        return _same_request(earlier, instance, by)
    obstacle = why_not_start(instance)
    if obstacle:
        raise NotPossible(obstacle)
    if instance.team.reason_required and not reason:
        raise NotPossible(_("Say why: the team wants a reason or a ticket."), field="reason")
    choice = choices.choice_of(instance, image_ref)
    if choice is None:
        raise NotPossible(_("Pick one of the images in the list."), field="image")
    if not choice.suitable:
        sentence = format_lazy(_("This image cannot be used: {reason}."), reason=choice.reason)
        raise NotPossible(sentence, field="image")
    if snapshot and instance.vm_state not in SNAPSHOT_STATES:
        raise NotPossible(
            _("The cloud takes no snapshot of an instance in this state."), field="snapshot"
        )
    now = clock_now()
    rescue = Rescue(
        instance=instance,
        requested_by=by,
        acting_by=by.acted_by,
        holder=by,
        reason=reason,
        until=until_of(instance.team, hours, now),
        idempotency_key=idempotency_key,
        image_ref=choice.ref,
        image_name=choice.name,
        access=choice.access,
        access_user=choice.user,
        by_metadata=choice.by_metadata,
        created_at=now,
        asked_at=now,
        next_at=now,
    )
    try:
        with transaction.atomic():
            rescue.save(force_insert=True)
            told = {"image": choice.name, "image_ref": choice.ref, "reason": reason}
            if snapshot:
                Snapshot.objects.create(rescue=rescue, name=snapshot, begun_at=now)
                told |= {"snapshot": snapshot}
            if batch:
                told |= {"batch": batch}
            _note("rescue.start", rescue, by, **told)
    except IntegrityError:
        return _beaten(instance, idempotency_key, by)
    return rescue


def _same_request(earlier: Rescue, instance: Instance, by: "User") -> Rescue:
    if earlier.instance_id != instance.pk or earlier.requested_by_id != by.pk:
        raise NotPossible(_("This form was already used. Open it again."))
    return earlier


def _beaten(instance: Instance, idempotency_key: uuid.UUID, by: "User") -> Rescue:
    """Another request was saved between our check and our row: ours twice, or somebody else's."""
    earlier = Rescue.objects.filter(idempotency_key=idempotency_key).first()
    if earlier:
        return _same_request(earlier, instance, by)
    fresh = Instance.objects.with_panel_data().get(pk=instance.pk)
    raise NotPossible(why_not_start(fresh) or _("A task is under way. Try again."))


def request_exit(*, instance: Instance, by: "User", **details: str) -> Rescue:
    """Ask to leave rescue mode; asking twice returns the exit under way.

    Raise ``PermissionDenied`` or ``NotPossible`` as ``start`` does.
    """
    _must(by, Right.OPERATE, instance)
    rescue = instance.rescues.open().first()
    if rescue and rescue.is_exiting:
        return rescue
    reason = why_not_exit(instance)
    if reason:
        raise NotPossible(reason)
    if rescue is None:
        raise NotPossible(_("The panel is still reading this rescue's state. Try again."))
    return _ask(rescue, State.EXIT_REQUESTED, "rescue.exit", by, **details)


def exit_in_time(rescue: Rescue) -> Rescue:
    """Ask to leave rescue mode because the time is over, as the team decided."""
    reason = why_not_exit(Instance.objects.with_panel_data().get(pk=rescue.instance_id))
    if reason:
        raise NotPossible(reason)
    return _ask(rescue, State.EXIT_REQUESTED, "rescue.exit", None, reason="time_over")


def until_of(team: "Team", hours: int | None, start: datetime) -> datetime | None:
    """Return when a rescue should be over, never later than the team's limit."""
    given = [number for number in (hours, team.rescue_hours) if number]
    return start + timedelta(hours=min(given)) if given else None


def hard_reboot(*, instance: Instance, by: "User") -> Rescue:
    """Ask for a hard reboot, the way back when a rescue or an exit left the server in ERROR."""
    _must(by, Right.OPERATE, instance)
    rescue = instance.broken_rescue
    reason = why_not_reboot(instance)
    if reason or rescue is None:
        raise NotPossible(reason)
    return _ask(rescue, State.REBOOT_REQUESTED, "rescue.hard_reboot", by)


def _ask(rescue: Rescue, to: State, act: str, by: "User | None", **details: Any) -> Rescue:
    """Begin another call on a rescue that is there: its own doubt is counted from now."""
    now = clock_now()
    came_from = State(rescue.state)
    exit_fields: dict[str, Any] = (
        {"exit_requested_at": now, "exit_requested_by": by} if to is State.EXIT_REQUESTED else {}
    )
    try:
        with transaction.atomic():
            moved = rescue.move(
                to, fallback=came_from, asked_at=now, next_at=now, called_at=None, calls=0,
                conflict=False, obstacle="", failure_code="", failure_text="", ended_at=None,
                **exit_fields,
            )  # fmt: skip
            if moved:
                _note(act, rescue, by, **details)
    except IntegrityError:
        moved = False
    if not moved:
        raise NotPossible(_("Something else happened at the same moment. Look again."))
    return rescue


def cancel(*, rescue: Rescue, by: "User") -> Rescue:
    """Take a request back that the cloud was not asked for yet."""
    _must(by, Right.OPERATE, rescue.instance)
    with transaction.atomic():
        if rescue.state != State.REQUESTED or not rescue.move(State.CANCELLED):
            raise NotPossible(_("Too late: the cloud was already asked."))
        _note("rescue.cancel", rescue, by)
    return rescue


def reveal_password(*, rescue: Rescue, by: "User") -> str:
    """Return the temporary password, and write down who read it.

    Raise ``PermissionDenied`` for somebody without the right, staff in a customer's hands
    included unless a leave of the customer's is in force, and ``NotPossible`` when there is none
    to show.
    """
    staff = by.acted_by is not None
    _must(by, Right.OPERATE if staff else Right.REVEAL, rescue.instance)
    if not rescue.may_read_password(by):
        raise PermissionDenied(
            _("Staff read this password only when the customer allows it.")
            if staff
            else _("Your team lets only others read this password.")
        )
    if not rescue.password_available:
        raise NotPossible(_("There is no temporary password to show."))
    try:
        password = rescue.password()
    except CannotOpen:
        raise NotPossible(_("The password can no longer be opened: its key is gone.")) from None
    with transaction.atomic():
        if not staff:
            Rescue.objects.filter(pk=rescue.pk, revealed_at=None).update(revealed_at=clock_now())
        grant = rescue.grants.of_hands(by).given().first()
        leave = {"grant": grant.pk, "allowed_by": str(grant.answered_by)} if grant else {}
        _note("password.reveal", rescue, by, **leave)
    return password


def dismiss(*, rescue: Rescue, by: "User") -> None:
    """Put an ended rescue's notification away for whoever clicks; an open one stays in sight."""
    if rescue.is_open:
        raise NotPossible(_("It is still under way."))
    Dismissal.objects.get_or_create(rescue=rescue, user=by.acted_by or by)


def _must(user: "User", right: Right, instance: Instance) -> None:
    if not user.may(right, instance.team):
        raise PermissionDenied(_("Your role may only look."))


def _note(act: str, rescue: Rescue, by: "User | None", **details: Any) -> None:
    """Write the audit entry and announce the change, both with the transaction."""
    driver.record(act, rescue, actor=by, **details)
    driver.announce(rescue)
