"""Check and mend file systems: fsck, e2fsck, xfs_repair."""

from democloud.machines.commands.devices import find_block
from democloud.machines.disks import Block, FileSystem
from democloud.machines.run import Fail, Run, command, given, options

VERSION = "e2fsck 1.47.0 (5-Feb-2023)\n"
PASSES = (
    "Pass 1: Checking inodes, blocks, and sizes",
    "Pass 2: Checking directory structure",
    "Pass 3: Checking directory connectivity",
    "Pass 4: Checking reference counts",
    "Pass 5: Checking group summary information",
)
WOUNDS = {
    0: ("Inode 131090, i_blocks is 16, should be 8.", "Fix"),
    3: ("Unattached inode 131211", "Connect to /lost+found"),
    4: ("Free blocks count wrong (1210331, counted=1210298).", "Fix"),
}
CLEAN, MENDED, LEFT, FAILED, USAGE = 0, 1, 4, 8, 16


@command("fsck", "fsck.ext4", "fsck.ext3", "fsck.ext2", "e2fsck", "fsck.vfat", "fsck.xfs")
def fsck(run: Run, args: list[str]) -> int:
    """Check a file system; the status says whether it is clean, mended or still broken."""
    found, rest = options(args, "nypafvctC:A", status=USAGE)
    if len(rest) != 1:
        raise Fail("usage: fsck [-n|-p|-y] [-f] device", USAGE)
    run.need_root(f"Permission denied while trying to open {rest[0]}", FAILED)
    block, fs = _checkable(run, rest[0])
    if run.name == "fsck":
        run.say("fsck from util-linux 2.38.1")
    if fs.type == "xfs":
        run.say("If you wish to check the consistency of an XFS filesystem or")
        run.say("repair a damaged filesystem, see xfs_repair(8).")
        return CLEAN
    if fs.type == "vfat":
        run.say("fsck.fat 4.2 (2021-01-31)")
        run.say(f"{block.path}: 12 files, 1042/63462 clusters")
        return CLEAN
    return _check(run, block, fs, found)


def _checkable(run: Run, path: str) -> tuple[Block, FileSystem]:
    block = find_block(run, path)
    if block is None:
        run.complain(VERSION.encode())
        run.complain(
            f"{run.name}: No such file or directory while trying to open {path}\n"
            "Possibly non-existent device?\n".encode()
        )
        raise Fail("", FAILED)
    fs = block.content
    if fs is None or fs.root is None or fs.type not in ("ext4", "xfs", "vfat"):
        run.complain(VERSION.encode())
        run.complain(
            f"{run.name}: Bad magic number in super-block while trying to open {path}\n".encode()
        )
        raise Fail("", FAILED)
    return block, fs


def _check(run: Run, block: Block, fs: FileSystem, found: dict[str, str]) -> int:
    mounted, looks_only = bool(run.machine.mounted(block)), "-n" in found
    run.complain(VERSION.encode())
    if mounted and not looks_only:
        run.complain(f"{block.path} is mounted.\ne2fsck: Cannot continue, aborting.\n\n\n".encode())
        return FAILED
    if mounted:
        run.say(f"Warning!  {block.path} is mounted.")
    name = fs.label or block.path
    if not fs.damaged:
        return _tell_clean(run, name, fs, found)
    if given(found, "-p", "-a"):
        run.say(f"{name} contains a file system with errors, check forced.")
        run.say(f"{name}: Unattached inode 131211\n\n")
        run.say(f"{name}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.")
        run.say("\t(i.e., without -a or -p options)")
        return LEFT
    if not given(found, "-n", "-y"):
        run.complain(b"e2fsck: need terminal for interactive repairs\n")
        return FAILED
    return _go_through(run, name, fs, "no" if looks_only else "yes")


def _tell_clean(run: Run, name: str, fs: FileSystem, found: dict[str, str]) -> int:
    files = sum(1 for _ in fs.root.walk()) if fs.root else 0
    inodes, blocks = fs.size // 16384, fs.size // 4096
    counts = f"{files}/{inodes} files (0.2% non-contiguous), {fs.used // 4096}/{blocks} blocks"
    if "-f" in found:
        for one in PASSES:
            run.say(one)
        run.say(f"{name}: {counts}")
    else:
        run.say(f"{name}: clean, {counts.replace(' (0.2% non-contiguous)', '')}")
    return CLEAN


def _go_through(run: Run, name: str, fs: FileSystem, answer: str) -> int:
    run.say(f"{name} contains a file system with errors, check forced.")
    for number, title in enumerate(PASSES):
        run.say(title)
        if number in WOUNDS:
            wound, question = WOUNDS[number]
            run.say(f"{wound}  {question}? {answer}\n")
    if answer == "no":
        run.say(f"\n{name}: ********** WARNING: Filesystem still has errors **********\n")
        return LEFT
    fs.damaged = False
    run.say(f"\n{name}: ***** FILE SYSTEM WAS MODIFIED *****")
    _tell_clean(run, name, fs, {"-q": ""})
    return MENDED


@command("xfs_repair")
def xfs_repair(run: Run, args: list[str]) -> int:
    """Check or mend an XFS."""
    found, rest = options(args, "nLv")
    run.need_root("permission denied", 1)
    block = find_block(run, rest[0]) if rest else None
    if block is None or block.content is None or block.content.type != "xfs":
        run.complain(b"xfs_repair: couldn't find valid filesystem superblock\n")
        return 1
    if run.machine.mounted(block) and "-n" not in found:
        run.complain(f"xfs_repair: {block.path} contains a mounted filesystem\n".encode())
        return 1
    run.say("Phase 1 - find and verify superblock...\nPhase 2 - using internal log")
    damaged = block.content.damaged
    if "-n" in found:
        run.say("No modify flag set, skipping filesystem flush and exiting.")
        return int(damaged)
    block.content.damaged = False
    run.say("done")
    return 0
