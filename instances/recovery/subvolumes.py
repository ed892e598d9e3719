"""Which part of a btrfs holds the old system, and which part a line of its fstab mounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from instances import ssh
from instances.disks import Volume, is_subvolume, subvolume_of
from instances.recovery import fstab
from instances.recovery.work import MNT, Work

#: where distributions put the root (Ubuntu and openSUSE, Debian, Fedora)
USUAL = ("@", "@rootfs", "root")
LISTED = re.compile(rb"^ID \d+ gen \d+ top level \d+ path (\S+)$", re.MULTILINE)
MOST = 40  # snapshots may be many; what lies least deep is tried first
FSTAB_LIMIT = 100_000


def of_line(entry: fstab.Entry) -> str:
    """Return which part of a btrfs a line mounts; nothing for all of it."""
    return subvolume_of(entry.options) if entry.fstype == "btrfs" else ""


def with_the_system(work: Work, volume: Volume) -> str:
    """Find the subvolume that is the system, of a btrfs mounted on /mnt.

    Return "" where /mnt is the system already (as openSUSE's default subvolume is), or none is
    found. A root that was named by the fstab of the one found comes before it.
    """
    if volume.fstype != "btrfs" or work.has_directory(f"{MNT}/etc"):
        return ""
    found = next((name for name in _candidates(work) if _is_system(work, name)), "")
    told = _told_by(work, found) if found else ""
    return told if told and _is_system(work, told) else found


def _candidates(work: Work) -> Iterator[str]:
    yield from USUAL
    listed = work.machine.run("btrfs", "subvolume", "list", MNT)
    names = {one.decode(errors="replace") for one in LISTED.findall(listed.out)}
    names = {one for one in names if is_subvolume(one)} - {*USUAL}
    yield from sorted(names, key=lambda name: (name.count("/"), name))[:MOST]


def _is_system(work: Work, name: str) -> bool:
    return work.has_directory(f"{MNT}/{name}/etc")


def _told_by(work: Work, name: str) -> str:
    """Return the subvolume that an old system's fstab mounts as its root."""
    try:
        read = work.machine.read(f"{MNT}/{name}/etc/fstab", limit=FSTAB_LIMIT, root=MNT)
    except ssh.FileTrouble:
        return ""
    roots = [one for one in fstab.entries(read.data.decode(errors="replace")) if one.where == "/"]
    return of_line(roots[0]) if roots else ""
