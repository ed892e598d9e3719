"""A goal from the login to the exit: the way in, what is done, the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from instances.by_hand import goals, system
from instances.by_hand.place import MNT, OPENED, Part
from instances.by_hand.steps import Facts, Step

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: what keeps a read-only mount from replaying the journal
UNTOUCHED = {
    "ext3": "noload", "ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay",
}  # fmt: skip
LSBLK = "lsblk -o NAME,SIZE,FSTYPE,LABEL,MOUNTPOINT"


@dataclass(frozen=True)
class Goal:
    """Something a person wants; ``mount`` is how the old disk is mounted for it, if at all."""

    title: StrOrPromise
    about: StrOrPromise
    icon: str
    does: Callable[[Facts], list[Step]]
    mount: str = "rw"


GOALS: dict[str, Goal] = {
    "lost-key": Goal(
        _("Put an SSH key back"),
        _("You have lost your key, or it was taken out of the list."),
        "key-round", goals.lost_key),
    "lost-password": Goal(
        _("Set a new password"),
        _("Nobody knows the password of a user any more."),
        "lock-keyhole", goals.lost_password),
    "fstab": Goal(
        _("Correct the fstab"),
        _("The start waits for a disk that is not there, or ends in emergency mode."),
        "file-pen", goals.fstab),
    "full-disk": Goal(
        _("Make room on a full disk"),
        _("“No space left on device”: services do not start, nobody gets in."),
        "hard-drive", goals.full_disk),
    "check-disk": Goal(
        _("Check the file system"),
        _("The console asks for fsck, or speaks of an inconsistency or a corruption."),
        "stethoscope", goals.check_disk, mount=""),
    "boot": Goal(
        _("Repair the kernel or the boot loader"),
        _("Kernel panic, a grub or initramfs prompt, a root that is not found."),
        "cpu", system.boot),
    "network": Goal(
        _("Repair the network or the firewall"),
        _("The system starts, but nothing reaches it."),
        "network", system.network),
    "logs": Goal(
        _("Read the logs"),
        _("You do not know yet what is wrong."),
        "scroll-text", goals.logs, mount="ro"),
    "copy-out": Goal(
        _("Copy your data out"),
        _("You want the data and nothing else."),
        "download", goals.copy_out, mount="ro"),
}  # fmt: skip


def recipe(goal: Goal, facts: Facts) -> list[tuple[StrOrPromise, list[Step]]]:
    """Return the parts of a goal's recipe: the way in, the goal itself, the way back."""
    return [
        (_("The way in"), [*_log_in(facts), *_open(facts), *_mount(goal, facts)]),
        (goal.title, goal.does(facts)),
        (_("The way back"), _way_back(goal, facts)),
    ]


def _log_in(facts: Facts) -> list[Step]:
    steps = []
    if facts.ssh:
        steps.append(Step(_("Log in"), "", (facts.ssh,), where="yours"))
    if facts.sudo:
        steps.append(Step(_("Become root"), "", ("sudo -i",)))
    return steps


def _open(facts: Facts) -> list[Step]:
    """Return what is done before the old root can be mounted."""
    place = facts.place
    steps = []
    if not place.seen:
        steps.append(
            Step(_("Look at the disks"),
                 _("Yours is the one that is not mounted on /. Below it is called {device}: if "
                   "its name is another one here, put that in its place.").format(
                     device=facts.device),
                 (LSBLK,))
        )  # fmt: skip
    if place.raid:
        steps.append(
            Step(_("Put the RAID together"),
                 _("Go on only when no disk is missing: [UU] is whole, [U_] is not. Below, put the "
                   "name from the list in place of {device}.").format(device=facts.device),
                 ("mdadm --assemble --scan", "cat /proc/mdstat", LSBLK))
        )  # fmt: skip
    if place.luks:
        steps.append(
            Step(_("Open the encrypted file system"), _("Its pass phrase is asked for."),
                 (f"cryptsetup open {place.luks} {OPENED.rpartition('/')[2]}",))
        )  # fmt: skip
    if place.lvm or place.luks or place.raid or not place.seen:
        steps.append(
            Step(_("Switch logical volumes on"),
                 _("Only where the system lies on LVM: then take the name of the logical volume "
                   "from the list in place of {device}.").format(device=facts.device),
                 ("vgchange --activate y", LSBLK))
        )  # fmt: skip
    return steps


def _mount(goal: Goal, facts: Facts) -> list[Step]:
    mounted = facts.place.mounted
    if not goal.mount:
        return []
    if mounted and goal.mount == "ro":
        saw = _("The panel saw {device} on /mnt.").format(device=mounted.source)
        return [Step(_("It is mounted already"), saw)]
    if mounted:
        return [
            Step(_("Mount your system anew"),
                 _("The panel has mounted it in a way that lets no program on it run."),
                 (f"cd / && umount -R {MNT}", *_mounts(facts)))
        ]  # fmt: skip
    if goal.mount == "rw":
        return [*_search(facts), Step(_("Mount your system"), _("So that it can be changed."),
                                      _mounts(facts))]  # fmt: skip
    untouched = facts.place.fstype in UNTOUCHED
    text = _("Read-only: nothing on it changes.") if untouched else _("Read-only.")
    return [*_search(facts), Step(_("Mount your system"), text, _mounts(facts, read_only=True))]


def _search(facts: Facts) -> list[Step]:
    """Return how one finds the subvolume with the system, where nobody knows it."""
    if facts.place.subvolume is not None:
        return []
    return [
        Step(_("Find the subvolume with the system"),
             _("On btrfs most distributions keep it in one. If a directory etc is shown below "
               "/mnt/NAME, put this name in place of {subvolume} in what follows; if it is "
               "/mnt/etc, leave {option} out.").format(
                 subvolume=facts.subvolume, option=f"-o subvol={facts.subvolume}"),
             (f"mount -o ro,{UNTOUCHED['btrfs']} {facts.device} {MNT}",
              f"find {MNT} -maxdepth 2 -name etc", f"umount {MNT}"))
    ]  # fmt: skip


def _mounts(facts: Facts, *, read_only: bool = False) -> tuple[str, ...]:
    """Return the commands that mount the root, and what lies apart from it."""
    root = Part(facts.device, "", facts.subvolume, facts.place.fstype)
    return tuple(_mount_command(part, read_only) for part in (root, *facts.place.apart))


def _mount_command(part: Part, read_only: bool) -> str:
    options = ["ro", UNTOUCHED.get(part.fstype, "")] if read_only else []
    options += [f"subvol={part.subvolume}"] if part.subvolume else []
    chosen = ",".join(filter(None, options))
    return f"mount {f'-o {chosen} ' if chosen else ''}{part.device} {MNT}{part.where}"


def _way_back(goal: Goal, facts: Facts) -> list[Step]:
    steps = []
    if goal.mount:
        steps.append(
            Step(_("Unmount"),
                 _("Everything is written to the disk. If it is “busy”, a terminal still stands "
                   "in a directory below /mnt."),
                 (f"cd / && sync && umount -R {MNT}",))
        )  # fmt: skip
    if facts.place.luks:
        steps.append(Step(_("Close the encrypted file system"), "",
                          (f"cryptsetup close {OPENED.rpartition('/')[2]}",)))  # fmt: skip
    return [
        *steps,
        Step(_("Log out"), "", ("exit",)),
        Step(_("Exit rescue mode"),
             _("With the panel’s button, or on your own computer with OpenStack’s command; it is "
               "done when the status says ACTIVE."),
             (f"openstack server unrescue {facts.server}",
              f"openstack server show -f value -c status {facts.server}"), where="yours"),
    ]  # fmt: skip
