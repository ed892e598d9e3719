"""Look at the disks of a rescued machine."""

from __future__ import annotations

from instances import disks, ssh
from instances.disks import LVM, Disks
from instances.models import Image, Machine, Rescue
from instances.models.clock import now as clock_now
from instances.recovery.work import CannotDo, Kind, Line, Outcome, Work, line, words_of

LSBLK = ("lsblk", "--json", "--bytes", "--paths", "--output")
#: without the folder that a btrfs or a bind mount begins at: the source is a device then
FINDMNT = ("findmnt", "--json", "--list", "--nofsroot", "--output")
#: not from its cache, which may tell what lay there a moment ago
BLKID = ("blkid", "-c", "/dev/null", "-o", "export")
STABLE = ("hw_rescue_device", "hw_rescue_bus")


def take(machine: ssh.Machine, row: Machine) -> Disks:
    """Look at the disks and keep what was seen in the machine's row."""
    lsblk = machine.run(*LSBLK, disks.COLUMNS)
    if lsblk.status != 0:
        lsblk = machine.run(*LSBLK, disks.OLD_COLUMNS)
    findmnt = machine.run(*FINDMNT, "SOURCE,TARGET,FSTYPE,OPTIONS")
    blkid = machine.run(*BLKID)
    try:
        seen = disks.understand(
            lsblk.out, findmnt.out, blkid=blkid.out, rescue_last=rescue_last(row.rescue)
        )
    except disks.NotUnderstood:
        raise CannotDo("disks_not_understood") from None
    row.survey, row.surveyed_at = seen.kept(), clock_now()
    row.save(update_fields=["survey", "surveyed_at"])
    return seen


def rescue_last(rescue: Rescue) -> bool:
    """Tell whether Nova attached the rescue disk behind the server's own."""
    image = Image.objects.filter(
        account_id=rescue.instance.account_id, image_id=rescue.image_ref
    ).first()
    return image is not None and any(image.properties.get(name) for name in STABLE)


class Look(Kind):
    """Look at the disks, with the logical volumes switched on."""

    key = "look"
    asks_first = False

    def apply(self, work: Work) -> Outcome:
        seen = work.look_again()
        told: list[Line] = []
        if any(volume.fstype == LVM for volume in seen.own):
            switched = work.machine.run("vgchange", "--activate", "y")
            seen = work.look_again()
            if switched.status != 0:
                told.append(line("lvm_stays_off", said=words_of(switched)))
        return Outcome([line("looked", disks=len(seen.disks)), *told, *shut(seen)])


def shut(seen: Disks) -> list[Line]:
    """Say what a person has to open, or to put together, before what lies in it is seen."""
    locked = {one.path for one in seen.own if one.is_locked}
    arrays: dict[str, set[str]] = {}
    for one in seen.own:
        if one.is_apart:
            arrays.setdefault(one.uuid, set()).add(one.path)  # a member tells its array's UUID
    return [
        *(line("locked", device=path) for path in sorted(locked)),
        *(line("raid_apart", devices=", ".join(sorted(paths))) for paths in arrays.values()),
    ]
