"""The rescued machine, for templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.utils.translation import gettext as _

from instances.disks import Disk, Disks, Mount, Volume
from instances.models import Job, Machine
from instances.recovery import boot_words, survey, words
from instances.recovery.work import MNT, shown

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

register = template.Library()

ICONS = {
    "ssh_key": "key-round",
    "password": "lock-keyhole-open",
    "fstab": "list-x",
    "edit": "file-pen-line",
    "check": "stethoscope",
}
LONGEST_LINE = 2000  # signs that are shown of a line
JOB_TONES = {
    "done": "ok",
    "failed": "error",
    "queued": "busy",
    "running": "busy",
    "planned": "warn",
}

register.filter("boot_sentence", boot_words.sentence)
register.filter("boot_why", boot_words.why_unseen)
register.filter("reach_title", words.reach_title)
register.filter("reach_advice", words.reach_advice)
register.filter("job_problem", words.problem)
register.filter("under_way", words.under_way)


@register.filter
def reach_tone(machine: Machine) -> str:
    """Return the colour of how far one gets."""
    if machine.is_in:
        return "ok"
    return "busy" if machine.may_pass else "warn"


@register.filter
def job_title(kind: str) -> StrOrPromise:
    """Name a kind of work."""
    return words.TITLES[kind]


@register.filter
def job_state(job: Job) -> StrOrPromise:
    """Say how far a job is."""
    return words.STATES[job.state]


@register.filter
def job_tone(job: Job) -> str:
    """Return the colour of a job's state."""
    return JOB_TONES.get(job.state, "")


@register.filter
def job_stage(job: Job) -> StrOrPromise:
    """Name what a job is at."""
    return words.STAGES[job.stage]


@register.filter
def repair_icon(kind: str) -> str:
    """Return the icon of a repair."""
    return ICONS.get(kind, "wrench")


@register.filter
def job_facts(job: Job) -> list[tuple[StrOrPromise, str]]:
    """List what a person asked for, in words."""
    return [(label, str(job.params[name])) for name, label in words.FACTS if job.params.get(name)]


@register.simple_tag
def job_lines(job: Job) -> list[str]:
    """List what a job would do, did, or took back."""
    told = job.plan.get("lines", []) if job.state == Job.State.PLANNED else []
    told = told or job.result.get("undone") or job.result.get("lines", [])
    return [words.sentence(one) for one in told]


@register.simple_tag
def job_output(job: Job) -> str:
    """Return what the machine's command said."""
    of = job.plan if job.state == Job.State.PLANNED else job.result
    return str(of.get("output", ""))


@register.filter
def told(lines: list[Any]) -> list[str]:
    """Say sentences by their codes."""
    return [words.sentence(one) for one in lines]


@register.filter
def diff_lines(diff: str) -> list[tuple[str, str]]:
    """Split a diff into lines with what each is."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    rows = [one[:LONGEST_LINE] for one in diff.removesuffix("\n").split("\n")[2:]]
    return [(kinds.get(one[:1], "same"), shown(one)) for one in rows]


@register.simple_tag
def volumes_of(disk: Disk) -> list[tuple[Volume, int]]:
    """List what lies in a disk, with how deep it lies."""

    def walk(volume: Volume, depth: int) -> list[tuple[Volume, int]]:
        inner = [pair for one in volume.inside for pair in walk(one, min(depth + 1, 4))]
        return [(volume, depth), *inner]

    listed = walk(disk.volume, -1)
    return listed if disk.volume.fstype else listed[1:]


@register.filter
def volume_kind(volume: Volume) -> str:
    """Say what a volume holds."""
    known = {
        "LVM2_member": _("part of a volume group"),
        "crypto_LUKS": _("encrypted (LUKS): open it by hand with cryptsetup")
        if volume.is_locked
        else _("encrypted (LUKS), opened"),
        "linux_raid_member": _("part of a RAID that is not put together")
        if volume.is_apart
        else _("part of a RAID"),
        "swap": _("swap"),
        "": volume.part_type or _("no file system seen"),
    }
    return known.get(volume.fstype, volume.fstype)


@register.simple_tag
def disk_notes(disks: Disks, latest: list[Job]) -> list[str]:
    """Say what has to be opened first, and what the last look and mount could not do, or chose."""
    told = [*_told(latest, "look", "lvm_stays_off"), *survey.shut(disks)]
    if disks.mounted_at(MNT):
        told += _told(latest, "mount", "mounted_part", "mounted_not")
    return [words.sentence(one) for one in told]


def _told(latest: list[Job], kind: str, *codes: str) -> list[Any]:
    """Return the sentences of some codes that the last work of a kind left."""
    done = (one for one in latest if one.kind == kind and one.state == Job.State.DONE)
    job = next(done, None)
    return [one for one in job.result["lines"] if one[0] in codes] if job else []


@register.simple_tag
def mounted_on_mnt(disks: Disks) -> Mount | None:
    """Return what is mounted on /mnt."""
    return disks.mounted_at(MNT)
