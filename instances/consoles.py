"""A look at a machine's console: asked by a person, read by a worker, named in words.

Only the diagnosis is kept, never the console's text: a system may print a password on it.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from instances import diagnosis, events, wording
from instances.cloud import CloudError, open_account
from instances.diagnosis import Confidence
from instances.models import ConsoleReading, Instance
from instances.models.clock import now as clock_now
from teams import audit
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from teams.models import User

LINES = 2000
#: how soon the cloud is asked again, and how long an answer may take
FRESH, PATIENCE = timedelta(seconds=5), timedelta(seconds=60)
#: how old a reading may be to be shown where it was not asked for
RECENT = timedelta(hours=12)


@dataclass(frozen=True)
class Fault:
    """What a finding means; ``goal`` is what to do about it by hand, ``repair`` in the panel."""

    title: "StrOrPromise"
    advice: "StrOrPromise"
    goal: str
    repair: str = ""


FAULTS: dict[str, Fault] = {
    "fsck": Fault(
        _("The file system has to be checked"),
        _("The system stops because its file system is damaged. Rescue mode helps: check it from "
          "there, while it is not mounted."),
        "check-disk", "check"),
    "disk_full": Fault(
        _("A disk is full"),
        _("Services do not start, and logging in may fail. Rescue mode helps: make room."),
        "full-disk"),
    "fstab": Fault(
        _("A file system of the fstab cannot be mounted"),
        _("The system waits for it and ends in emergency mode. Rescue mode helps: correct the "
          "fstab. Look first whether a volume is missing that was attached before."),
        "fstab", "fstab"),
    "root_missing": Fault(
        _("The root file system is not found"),
        _("The kernel starts and does not find its disk. Rescue mode helps: make the initramfs "
          "anew, or start an earlier kernel."),
        "boot"),
    "grub": Fault(
        _("The boot loader stops"),
        _("It does not find its files or anything to boot. Rescue mode helps: put it back."),
        "boot"),
    "kernel_panic": Fault(
        _("The kernel stops with a panic"),
        _("Often after an update. Rescue mode helps: make the boot files anew, or start an "
          "earlier kernel."),
        "boot"),
    "no_network": Fault(
        _("The network does not come up"),
        _("Look at the security groups and the ports in your cloud first. When they are right, "
          "correct the network’s settings in rescue mode."),
        "network"),
    "cloud_init": Fault(
        _("cloud-init had trouble"),
        _("It sets up users, keys and the network. Its log says more."),
        "logs"),
}  # fmt: skip
CONFIDENCES: "dict[int, StrOrPromise]" = {
    Confidence.VERY_LIKELY: _("very likely"),
    Confidence.LIKELY: _("likely"),
    Confidence.POSSIBLE: _("possible"),
}
#: why a cloud does not give a console, where the usual words would mislead
REFUSALS: "dict[str, StrOrPromise]" = {
    "gone": _("The cloud has no console of this instance, or no longer knows the instance."),
    "forbidden": _("The cloud does not show consoles to the account’s credential."),
    "conflict": _("The cloud shows no console of an instance in this state. Start it first."),
    "invalid": _("The cloud does not give the console of this instance."),
    "broken": _("The cloud could not read the console. Some clouds keep none."),
    "no_worker": _("No worker took it in time. Try again."),
}


@dataclass(frozen=True)
class Finding:
    """A fault found, in words, with the line that shows it."""

    fault: Fault
    confidence: int
    line: str

    @property
    def how_sure(self) -> "StrOrPromise":
        return CONFIDENCES[self.confidence]


@dataclass(frozen=True)
class Look:
    """A reading as its page shows it."""

    reading: ConsoleReading

    @property
    def waiting(self) -> bool:
        return _waits(self.reading) and clock_now() - _asked(self.reading) < PATIENCE

    @property
    def problem(self) -> "StrOrPromise":
        if _waits(self.reading) and not self.waiting:
            return REFUSALS["no_worker"]
        code = self.reading.problem
        return REFUSALS.get(code) or wording.problem(code)

    @property
    def findings(self) -> list[Finding]:
        kept = [one for one in self.reading.found if one["fault"] in FAULTS]
        return [Finding(FAULTS[one["fault"]], one["confidence"], one["line"]) for one in kept]


def _asked(reading: ConsoleReading) -> Any:
    return reading.asked_at or reading.read_at


def _waits(reading: ConsoleReading) -> bool:
    return reading.asked_at is not None and not (
        reading.read_at and reading.read_at >= reading.asked_at
    )


def looks_at(instance: Instance) -> list[Look]:
    """Return what is known of an instance's console: its own system's, then the rescue's."""
    rows = instance.readings.order_by("of_rescue")
    return [Look(row) for row in rows if instance.in_rescue or not row.of_rescue]


def likely(instance: Instance) -> Finding | None:
    """Return the likeliest fault of the own system, when its console was read lately."""
    recent = clock_now() - RECENT
    row = instance.readings.filter(of_rescue=False, read_at__gt=recent, problem="").first()
    findings = Look(row).findings if row else []
    return findings[0] if findings and findings[0].confidence > Confidence.POSSIBLE else None


def ask(*, instance: Instance, by: "User") -> ConsoleReading | None:
    """Ask for a look at the console as it is now; None when one is under way or just done.

    Raise ``PermissionDenied``.
    """
    if not by.may(Right.OPERATE, instance.team):
        raise PermissionDenied(_now("Your role may only look."))
    now = clock_now()
    row, _made = ConsoleReading.objects.get_or_create(
        instance=instance, of_rescue=instance.in_rescue
    )
    if row.asked_at and now - row.asked_at < FRESH:
        return None
    mine = ConsoleReading.objects.filter(pk=row.pk, asked_at=row.asked_at)
    with transaction.atomic():
        if not mine.update(asked_at=now, asked_by=by, problem=""):
            return None
        target = f"{instance} ({instance.server_id})"
        audit.record("console.read", team=instance.team, target=target, actor=by)
    return row


def read(reading_id: int) -> None:
    """Read a console that somebody asked for, keep what it tells, and tell the open pages."""
    rows = ConsoleReading.objects.select_related("instance__account__team")
    row = rows.filter(pk=reading_id).first()
    if row is None or not _waits(row):
        return
    instance = row.instance
    told, problem = diagnosis.Diagnosis(), ""
    try:
        text = open_account(instance.account).console_log(instance.server_id, lines=LINES)
        told = diagnosis.diagnose(text)
    except CloudError as error:
        problem = error.kind
    ConsoleReading.objects.filter(pk=row.pk).update(
        read_at=clock_now(), problem=problem, **_kept(told)
    )
    events.changed(instance.account.team_id, [f"console:{instance.pk}"])


def _kept(told: diagnosis.Diagnosis) -> dict[str, Any]:
    return {
        "found": [asdict(one) for one in told.found],
        "booted": told.booted, "empty": told.empty, "last_line": told.last_line,
    }  # fmt: skip
