"""Check a file system that is not mounted, and mend it: fsck, in the file system's own words."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from instances import ssh
from instances.disks import Disks, Volume, is_device
from instances.recovery import long_run
from instances.recovery.mounts import CAREFUL
from instances.recovery.work import CannotDo, Kind, Line, Outcome, Work, line, shown, words_of

LOG_WAITS = "valuable metadata changes in a log"
REPLAYS_ON = "/run/rescue-panel-replay-{job}"
REPLAY = (
    f'mkdir -p -m 700 "$2" && mount -t xfs -o rw,nouuid,{CAREFUL} "$1" "$2" && umount "$2"'
    ' && rmdir "$2"'
)


class Found(Enum):
    """What a check came to."""

    CLEAN = "clean"
    MENDED = "mended"
    ERRORS = "errors"
    FAILED = "failed"


@dataclass(frozen=True)
class Tool:
    """How one kind of file system is checked."""

    look: tuple[str, ...]
    #: mends only what cannot lose anything; empty where the tool knows no such thing
    safe: tuple[str, ...]
    #: mends everything; empty where that is not to be done by a panel
    whole: tuple[str, ...]
    read: Callable[[int], Found]


def _by_fsck(status: int) -> Found:
    """Read a status as fsck(8) and e2fsck(8) say: a sum of bits."""
    if status < 0 or status & ~7:
        return Found.FAILED
    if status & 4:
        return Found.ERRORS
    return Found.MENDED if status & 3 else Found.CLEAN


def _by_plain(status: int) -> Found:
    """Read a status of which 1 says that something is wrong (xfs_repair(8), btrfs-check(8))."""
    return {0: Found.CLEAN, 1: Found.ERRORS}.get(status, Found.FAILED)


def _by_fat(status: int) -> Found:
    """Read fsck.fat(8)'s: 1 is what it mended, or would have."""
    return {0: Found.CLEAN, 1: Found.ERRORS}.get(status, Found.FAILED)


EXT = Tool(
    ("e2fsck", "-f", "-n"),
    ("e2fsck", "-f", "-p", "-C", "1"),
    ("e2fsck", "-f", "-y", "-C", "1"),
    _by_fsck,
)
TOOLS: dict[str, Tool] = {
    "ext2": EXT,
    "ext3": EXT,
    "ext4": EXT,
    "xfs": Tool(("xfs_repair", "-n"), (), ("xfs_repair",), _by_plain),
    "btrfs": Tool(("btrfs", "check", "--readonly"), (), (), _by_plain),
    "vfat": Tool(("fsck.fat", "-n"), (), ("fsck.fat", "-a"), _by_fat),
}


class Check(Kind):
    """Look for errors without writing, then mend them. There is no way back, and it says so.

    Parameters: ``device``, ``whole`` (answer yes to everything, else only what is safe).
    """

    key = "check"

    def plan(self, work: Work) -> Outcome:
        volume = _chosen(work)
        tool = TOOLS[volume.fstype]
        output, found = _run(work, tool, tool.look, volume)
        if found is Found.CLEAN:
            told = line("check_clean", device=volume.path, fstype=volume.fstype)
            return Outcome([told], output=output, final=True)
        told = line("check_errors", device=volume.path, fstype=volume.fstype)
        argv = _mending(tool, work)
        if not argv:
            return Outcome([told, line("check_by_hand")], output=output, final=True)
        if _log_waits(output):
            log = line("check_log", device=volume.path)
            replay = line("check_will_replay", command=" ".join((*argv, volume.path)))
            return Outcome([log, replay, line("check_no_undo")], output=output)
        will = line("check_will", command=" ".join((*argv, volume.path)))
        return Outcome([told, will, line("check_no_undo")], output=output)

    def apply(self, work: Work) -> Outcome:
        volume = _chosen(work)
        tool = TOOLS[volume.fstype]
        argv = _mending(tool, work)
        if not argv:
            raise CannotDo("nothing_to_change")
        if volume.fstype == "xfs" and (replayed := _replayed(work, tool, volume)):
            return replayed
        output, found = _run(work, tool, argv, volume)
        if found is Found.ERRORS and tool.read is _by_fsck:
            raise CannotDo(
                "check_left" if argv == tool.whole else "check_left_safe",
                device=volume.path, output=output,
            )  # fmt: skip
        again, proof = _run(work, tool, tool.look, volume)
        both = f"{output}\n\n{again}"[-2 * long_run.KEPT :]
        if proof is not Found.CLEAN:
            raise CannotDo("check_left", device=volume.path, output=both)
        lines: list[Line] = [line("check_mended", device=volume.path), line("check_proven")]
        return Outcome(lines, output=both)


def usable(seen: Disks) -> list[Volume]:
    """List the file systems of the old disks that can be checked, mounted or not."""
    once = {one.path: one for one in seen.own if one.fstype in TOOLS and is_device(one.path)}
    return list(once.values())


def is_busy(volume: Volume, seen: Disks) -> bool:
    """Tell whether it is mounted, or other devices lie in it."""
    sources = {mount.source.partition("[")[0] for mount in seen.mounts}
    return bool(volume.mountpoints or volume.inside or volume.path in sources)


def _chosen(work: Work) -> Volume:
    """Find the file system that was picked: one of those seen, and not in use."""
    seen, device = work.look_again(), work.params["device"]
    found = next((one for one in usable(seen) if one.path == device), None)
    if found is None:
        raise CannotDo("no_such_device", device=device)
    if is_busy(found, seen):
        raise CannotDo("check_mounted", device=device)
    return found


def _mending(tool: Tool, work: Work) -> tuple[str, ...]:
    return tool.safe if tool.safe and not work.params.get("whole") else tool.whole


def _log_waits(output: str) -> bool:
    """Tell whether xfs_repair found changes in the log: it leaves their replay to a mount."""
    return LOG_WAITS in " ".join(output.split())


def _replayed(work: Work, tool: Tool, volume: Volume) -> Outcome | None:
    """Have the kernel put the log in place; return how it ended where that sufficed."""
    output, _found = _run(work, tool, tool.look, volume)
    if not _log_waits(output):
        return None
    where = REPLAYS_ON.format(job=_job(volume))
    done = long_run.run(work, _job(volume), "sh", "-c", REPLAY, "sh", volume.path, where)
    if done.status != 0:
        raise CannotDo("check_log_stuck", device=volume.path, said=words_of(done), output=output)
    output, found = _run(work, tool, tool.look, volume)
    if found is not Found.CLEAN:
        return None
    lines = [line("check_replayed", device=volume.path), line("check_proven")]
    return Outcome(lines, output=output)


def _job(volume: Volume) -> str:
    """Return the name of the one job on a device at a time."""
    return "check-" + volume.path.removeprefix("/dev/").replace("/", "-")


def _run(work: Work, tool: Tool, argv: tuple[str, ...], volume: Volume) -> tuple[str, Found]:
    done: ssh.Output = long_run.run(work, _job(volume), *argv, volume.path)
    output = shown(done.out.decode(errors="replace"))
    if done.status in (126, 127):
        raise CannotDo("check_no_tool", tool=argv[0])
    found = tool.read(done.status)
    if found is Found.FAILED:
        last = " ".join(output.split())[-300:]
        raise CannotDo(
            "check_failed", command=argv[0], status=done.status, said=last, output=output
        )
    return output, found
