"""Mount the old system on /mnt, read-only first; unmount it."""

from __future__ import annotations

from instances import ssh
from instances.disks import LINUX, Disks, Volume, is_device
from instances.recovery import fstab, fstab_check, subvolumes
from instances.recovery.changes import OldSystem
from instances.recovery.work import MNT, CannotDo, Kind, Outcome, Work, line, words_of

#: what is on the old disk is neither run nor believed
CAREFUL = "nosuid,nodev,noexec"
#: read-only alone would still replay the journal, which writes
UNTOUCHED = {
    "ext3": "noload", "ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay",
}  # fmt: skip
#: a rescue with the server's own image has the same UUIDs twice
TWINS = {"xfs": "nouuid"}
WITH_THE_ROOT = (
    "/boot", "/boot/efi", "/home", "/root", "/var", "/var/log", "/usr", "/usr/local", "/opt",
    "/srv",
)  # fmt: skip
PERSON_FROM, PERSON_TO = 1000, 60_000  # login.defs(5)
FSTAB_LIMIT = 100_000


def options(volume: Volume, *, writable: bool, folder: str = "") -> str:
    """Return the mount options for a file system that is not trusted."""
    chosen = ["rw"] if writable else ["ro", UNTOUCHED.get(volume.fstype, "")]
    part = f"subvol={folder}" if folder else ""
    return ",".join(filter(None, [*chosen, TWINS.get(volume.fstype, ""), part, CAREFUL]))


class Mount(Kind):
    """Mount a file system of the old disk on /mnt, and those its fstab puts below it.

    Parameters: ``device``, ``writable``. What was mounted on /mnt is unmounted before.
    """

    key = "mount"
    asks_first = False
    seconds = 120

    def apply(self, work: Work) -> Outcome:
        device, writable = work.params["device"], bool(work.params.get("writable"))
        seen = work.look_again()
        volume = _chosen(seen, device)
        _unmount_all(work, seen)
        work.run("mkdir", "-p", MNT)
        _mount(work, volume, MNT, writable=writable)
        lines = [line("mounted_rw" if writable else "mounted_ro", device=device, on=MNT)]
        folder = subvolumes.with_the_system(work, volume)
        if folder:
            work.run("umount", MNT, timeout=60)
            _mount(work, volume, MNT, writable=writable, folder=folder)
            lines.append(line("mounted_part", device=device, folder=folder))
        layout = [(device, "/", folder)]
        for inner, where, part in _below(work, seen, volume):
            on = f"{MNT}{where}"
            try:
                _mount(work, inner, on, writable=writable, folder=part)
            except CannotDo as failed:  # one that is damaged does not keep from the others
                lines.append(line("mounted_not", on=on, **failed.values))
                continue
            lines.append(line("mounted_too", device=inner.path, on=on))
            layout.append((inner.path, where, part))
        after = work.look_again().mounted_at(MNT)
        if after is None or after.source != device or after.writable != writable:
            raise CannotDo("not_proven")
        return Outcome(lines, kept={"users": _people(work), "layout": layout})


class Unmount(Kind):
    """Write everything to the old disk and let go of it."""

    key = "unmount"
    asks_first = False
    seconds = 120

    def apply(self, work: Work) -> Outcome:
        seen = work.look_again()
        if not seen.mounted_below(MNT):
            raise CannotDo("nothing_mounted")
        _unmount_all(work, seen)
        if work.look_again().mounted_below(MNT):
            raise CannotDo("not_proven")
        return Outcome([line("unmounted", on=MNT)])


def _people(work: Work) -> list[str]:
    """List who may log in on the old system, people before root."""
    try:
        users = OldSystem(work).users()
    except ssh.FileTrouble:
        return []
    able = [user for user in users if not user.shell.endswith(("/nologin", "/false", "/sync"))]
    people = [user.name for user in able if PERSON_FROM <= user.uid < PERSON_TO]
    return [*people, *(user.name for user in able if user.uid == 0)][:100]


def _chosen(seen: Disks, device: str) -> Volume:
    """Find the file system that was picked: one of those seen, never the system's own root."""
    found = next((volume for volume in seen.mountable if volume.path == device), None)
    if found is None or not is_device(device):
        raise CannotDo("no_such_device", device=device)
    return found


def _mount(work: Work, volume: Volume, where: str, *, writable: bool, folder: str = "") -> None:
    chosen = options(volume, writable=writable, folder=folder)
    argv = ["mount", "-o", chosen, volume.path, where]
    if volume.fstype in LINUX:
        argv[1:1] = ["-t", volume.fstype]
    output = work.machine.run(*argv, timeout=60)
    if output.status != 0:
        work.look_again()
        raise CannotDo("mount_failed", device=volume.path, said=words_of(output))


def _unmount_all(work: Work, seen: Disks) -> None:
    """Unmount all that is on /mnt and below, the deepest first."""
    mounted = seen.mounted_below(MNT)
    if mounted:
        work.run("sync", timeout=60)
    for mount in mounted:
        output = work.machine.run("umount", mount.target, timeout=60)
        if output.status != 0:
            work.look_again()
            raise CannotDo("in_use", on=mount.target, said=words_of(output))


def _below(work: Work, seen: Disks, root: Volume) -> list[tuple[Volume, str, str]]:
    """List what the old fstab mounts below the root, as far as it can be read and found."""
    try:
        text = work.machine.read(f"{MNT}/etc/fstab", limit=FSTAB_LIMIT, root=MNT).data
    except ssh.FileTrouble:
        return []
    found = []
    for entry in fstab.entries(text.decode(errors="replace")):
        volume, folder = _named(seen, entry.device), subvolumes.of_line(entry)
        if volume is None or entry.where not in WITH_THE_ROOT:
            continue
        other = volume.path != root.path or bool(folder)
        if other and work.has_directory(f"{MNT}{entry.where}"):
            found.append((volume, entry.where, folder))
    return sorted(found, key=lambda one: one[1].count("/"))


def _named(seen: Disks, name: str) -> Volume | None:
    """Find the one file system that an fstab's first column names.

    None for a name such as /dev/vdb1: with a rescue disk there, it is another partition's.
    """
    own = fstab_check.named(name, seen) or []
    once = {volume.path: volume for volume in own if volume in seen.mountable}
    return next(iter(once.values())) if len(once) == 1 else None
