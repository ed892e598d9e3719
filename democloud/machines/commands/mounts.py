"""Mount and unmount, and show what is mounted: mount, umount, findmnt."""

from typing import Any

from democloud.machines.commands.devices import find_block
from democloud.machines.commands.files import human
from democloud.machines.commands.tables import as_json, as_pairs, as_raw, as_table
from democloud.machines.disks import Block, FileSystem
from democloud.machines.machine import fstab_rows
from democloud.machines.run import Fail, Run, command, given, options, value
from democloud.machines.tree import folder
from democloud.machines.vfs import Mount

WRONG = (
    "wrong fs type, bad option, bad superblock on {}, missing codepage or helper program,"
    " or other error.\n       dmesg(1) may have more information after failed mount system call."
)
DIRTY = (
    "mount(2) system call failed: Structure needs cleaning.\n"
    "       dmesg(1) may have more information after failed mount system call."
)
#: options of mount(8) itself, which no file system sees
SILENT = ("defaults", "auto", "noauto", "nofail", "user", "nouser", "_netdev", "remount", "bind")
OPPOSITES = {"ro": "rw", "rw": "ro"}
FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs", "ntfs3", "iso9660")


@command("mount")
def mount(run: Run, args: list[str]) -> int:
    """Mount a device, or list what is mounted."""
    long = ("bind", "rbind", "types=", "options=", "read-only", "all", "make-rprivate", "mkdir")
    found, rest = options(args, "o:t:rwavBR", long, status=1)
    if not rest and not given(found, "-a", "--all"):
        for one in run.machine.ns.mounts:
            run.say(f"{one.source} on {one.target} type {one.fs.type} ({','.join(one.options)})")
        return 0
    run.need_root("only root can do that", 1)
    wanted = [one for one in value(found, "-o", "--options").split(",") if one]
    if given(found, "-r", "--read-only"):
        wanted.append("ro")
    if given(found, "--bind", "--rbind", "-B", "-R"):
        wanted.append("bind")
    if given(found, "-a", "--all"):
        return 0
    if "remount" in wanted:
        return _remount(run, rest[-1], wanted)
    source, target = rest if len(rest) == 2 else _by_fstab(run, rest[0])
    return _mount(run, source, target, wanted, value(found, "-t", "--types"))


def _by_fstab(run: Run, wanted: str) -> tuple[str, str]:
    text = run.machine.ns.read(run.who, "/etc/fstab").decode()
    for row in fstab_rows(text):
        if wanted in row[:2]:
            return row[0], row[1]
    raise Fail(f"{wanted}: can't find in /etc/fstab.", 1)


def _mount(run: Run, source: str, target: str, wanted: list[str], kind: str) -> int:
    place = run.place(target)
    if place.node is None:
        raise Fail(f"{target}: mount point does not exist.", 32)
    if "bind" in wanted or "rbind" in wanted:
        return _bind(run, source, target, wanted)
    if place.node.kind != "dir":
        raise Fail(f"{target}: mount point is not a directory.", 32)
    if kind in ("tmpfs", "proc", "sysfs", "devtmpfs", "devpts"):
        return _pseudo(run, source, place.path, kind, wanted)
    block = find_block(run, source)
    if block is None:
        raise Fail(f"{target}: {_missing(source)}", 32)
    fs = _mountable(block, target, kind, wanted)
    if run.machine.ns.at(place.path) in run.machine.mounted(block):
        raise Fail(f"{target}: {block.path} already mounted on {target}.", 32)
    _refuse_twin(run, block, target)
    read_only = "ro" in wanted or block.read_only
    if block.read_only and "ro" not in wanted:
        run.warn(f"{target}: WARNING: source write-protected, mounted read-only.")
    held = next((one for one in run.machine.mounted(block)), None)
    if held and held.read_only is not read_only:
        raise Fail(f"{target}: {block.path} already mounted on {held.target}.", 32)
    options_now = _effective(["ro" if read_only else "rw", "relatime"], wanted)
    run.machine.ns.mounts.append(Mount(place.path, block.path, fs, fs.tree, options_now))
    return 0


def _missing(source: str) -> str:
    if "=" in source and not source.startswith("/"):
        return f"can't find {source}."
    return f"special device {source} does not exist."


def _mountable(block: Block, target: str, kind: str, wanted: list[str]) -> FileSystem:
    fs = block.content
    if fs is None:
        raise Fail(f"{target}: {WRONG.format(block.path)}", 32)
    if fs.root is None:
        raise Fail(f"{target}: unknown filesystem type '{fs.type}'.", 32)
    same = kind in ("", "auto", fs.type) or {kind, fs.type} <= {"ntfs", "ntfs3", "ntfs-3g"}
    if not same and kind not in FILE_SYSTEMS:
        raise Fail(f"{target}: unknown filesystem type '{kind}'.", 32)
    if not same:
        raise Fail(f"{target}: {WRONG.format(block.path)}", 32)
    if fs.damaged and not {"ro", "noload"} & set(wanted):
        raise Fail(f"{target}: {DIRTY}", 32)
    return fs


def _refuse_twin(run: Run, block: Block, target: str) -> None:
    """Refuse a second XFS of the same UUID, as the kernel does without nouuid."""
    fs = block.content
    for one in run.machine.ns.mounts:
        if fs and fs.type == "xfs" == one.fs.type and one.fs is not fs and one.fs.uuid == fs.uuid:
            raise Fail(f"{target}: {WRONG.format(block.path)}", 32)


def _pseudo(run: Run, source: str, target: str, kind: str, wanted: list[str]) -> int:
    like = next((one for one in run.machine.ns.mounts if one.fs.type == kind), None)
    if like is None or kind == "tmpfs":
        fs = FileSystem(kind, "", 384 << 20, root=folder(0o1777))
    else:
        fs = like.fs
    chosen = _effective(["rw", "relatime"], wanted)
    run.machine.ns.mounts.append(Mount(target, source, fs, fs.tree, chosen))
    return 0


def _bind(run: Run, source: str, target: str, wanted: list[str]) -> int:
    begin, end = run.place(source), run.place(target)
    if begin.node is None:
        raise Fail(f"{target}: special device {source} does not exist.", 32)
    above = begin.mount
    inside = begin.path.removeprefix(above.target.rstrip("/")) or "/"
    name = above.source if inside == "/" else f"{above.source}[{inside}]"
    chosen = _effective(list(above.options), wanted)
    run.machine.ns.mounts.append(Mount(end.path, name, above.fs, begin.node, chosen, inside))
    if "rbind" in wanted:
        for one in list(run.machine.ns.below(begin.path)):
            below = end.path + one.target.removeprefix(begin.path.rstrip("/"))
            run.machine.ns.mounts.append(Mount(below, one.source, one.fs, one.root, one.options))
    return 0


def _remount(run: Run, target: str, wanted: list[str]) -> int:
    found = run.machine.ns.at(run.full(target))
    if found is None:
        raise Fail(f"{target}: mount point not mounted or bad option.", 32)
    if found.fs.damaged and "rw" in wanted:
        raise Fail(f"{target}: {DIRTY}", 32)
    options_now = _effective(found.options, wanted)
    for one in run.machine.ns.mounts:
        if one is found or ("bind" not in wanted and one.fs is found.fs):
            one.options = list(options_now)
    return 0


def _effective(before: list[str], wanted: list[str]) -> list[str]:
    now = list(before)
    for one in (each for each in wanted if each not in (*SILENT, "rbind")):
        if one in OPPOSITES:
            now = [one if each == OPPOSITES[one] else each for each in now]
        if one not in now:
            now.append(one)
    return now


@command("umount")
def umount(run: Run, args: list[str]) -> int:
    """Unmount, unless something works there."""
    found, targets = options(args, "lRrfvn", ("lazy", "recursive", "force"))
    run.need_root("only root can use umount", 32)
    status = 0
    for target in targets:
        try:
            _unmount(run, target, found)
        except Fail as problem:
            run.warn(problem.message)
            status = problem.status
    return status


def _unmount(run: Run, target: str, found: dict[str, str]) -> None:
    ns = run.machine.ns
    block = find_block(run, target)
    if block:
        mounts = run.machine.mounted(block)
        if not mounts:
            raise Fail(f"{target}: not mounted.", 32)
        mounted, path = mounts[-1], mounts[-1].target
    else:
        place = run.place(target)
        if place.node is None:
            raise Fail(f"{target}: no mount point specified.", 32)
        path, at = place.path, ns.at(place.path)
        if at is None:
            raise Fail(f"{target}: not mounted.", 32)
        mounted = at
    below = [one for one in ns.below(path) if one is not mounted]
    if below and given(found, "-R", "--recursive"):
        for one in reversed(below):
            _unmount(run, one.target, found)
        below = []
    lazy = given(found, "-l", "--lazy")
    if path == "/" or ((below or run.machine.busy(path)) and not lazy):
        raise Fail(f"{target}: target is busy.", 32)
    gone = [mounted, *(below if lazy else ())]
    ns.mounts = [one for one in ns.mounts if one not in gone]


COLUMNS = ("TARGET", "SOURCE", "FSTYPE", "OPTIONS")


@command("findmnt")
def findmnt(run: Run, args: list[str]) -> int:
    """Find mounts: all as a tree, or those of a place or device; 1 where there is none."""
    long = ("json", "output=", "target=", "noheadings", "list", "raw", "pairs", "bytes", "real",
            "source=", "types=", "mountpoint=", "submounts", "first-only", "fstab", "tab-file=",
            "evaluate", "kernel", "notruncate", "nofsroot")  # fmt: skip
    found, rest = options(args, "Jo:T:nlrPbS:t:M:Rfsukv", long)
    columns = value(found, "-o", "--output", otherwise=",".join(COLUMNS)).upper().split(",")
    mounts = _asked(run, found, rest)
    if not mounts:
        return 1
    flat = bool(rest) or given(found, "-T", "--target", "-S", "--source", "-M", "--mountpoint")
    flat = (flat and not given(found, "-R", "--submounts")) or given(found, "-l", "--list")
    flat = flat or given(found, "-t", "--types", "--real")
    held = {id(one): _mount_row(run, one, columns, found) for one in mounts}
    rows = list(held.values()) if flat else _mount_tree(mounts, held)
    head = not given(found, "-n", "--noheadings")
    if given(found, "-J", "--json"):
        as_json(run, "filesystems", rows)
    elif given(found, "-P", "--pairs"):
        as_pairs(run, columns, rows)
    elif given(found, "-r", "--raw"):
        as_raw(run, columns, rows, head=head)
    else:
        as_table(run, columns, rows, head=head, tree="TARGET")
    return 0


def _asked(run: Run, found: dict[str, str], rest: list[str]) -> list[Mount]:
    ns = run.machine.ns
    mounts = list(ns.mounts)
    if given(found, "-T", "--target"):
        place = run.place(value(found, "-T", "--target"))
        return [place.mount] if place.node else []
    exact = value(found, "-M", "--mountpoint") or (rest[-1] if rest else "")
    if exact and not find_block(run, exact):
        path = run.full(exact)
        under = list(ns.below(path)) if given(found, "-R", "--submounts") else []
        mounts = [one for one in ns.mounts if one.target == path] + under
    source = value(found, "-S", "--source") or (exact if find_block(run, exact) else "")
    if source:
        block = find_block(run, source)
        mounts = run.machine.mounted(block) if block else []
    if given(found, "-t", "--types"):
        kinds = value(found, "-t", "--types").split(",")
        mounts = [one for one in mounts if one.fs.type in kinds]
    if "--real" in found:
        mounts = [one for one in mounts if one.source.startswith("/dev/")]
    return mounts[:1] if given(found, "-f", "--first-only") else mounts


def _mount_row(run: Run, one: Mount, columns: list[str], found: dict[str, str]) -> dict[str, Any]:
    fs = one.fs
    plain = given(found, "-b", "--bytes")
    source = one.source.split("[")[0] if given(found, "-v", "--nofsroot") else one.source
    shown: dict[str, Any] = {
        "TARGET": run.seen(one.target), "SOURCE": source, "FSTYPE": fs.type,
        "OPTIONS": ",".join(one.options), "UUID": fs.uuid or None, "LABEL": fs.label or None,
        "SIZE": fs.size, "USED": fs.used, "AVAIL": max(0, fs.free), "FSROOT": one.inside,
        "USE%": f"{100 * fs.used // max(1, fs.size)}%", "MAJ:MIN": "0:0", "PROPAGATION": "shared",
        "VFS-OPTIONS": ",".join(one.options), "FS-OPTIONS": "rw", "ID": 1, "PARTUUID": None,
    }  # fmt: skip
    if not plain:
        shown |= {name: human(shown[name]) for name in ("SIZE", "USED", "AVAIL")}
    unknown = next((name for name in columns if name not in shown), None)
    if unknown:
        raise Fail(f"unknown column: {unknown}")
    return {name: shown[name] for name in columns}


def _mount_tree(mounts: list[Mount], rows: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    top = []
    for number, one in enumerate(mounts):
        above = [
            each for each in mounts[:number]
            if each.target == "/" or f"{one.target}/".startswith(f"{each.target}/")
        ]  # fmt: skip
        if above:
            parent = max(above, key=lambda each: len(each.target))
            rows[id(parent)].setdefault("children", []).append(rows[id(one)])
        else:
            top.append(rows[id(one)])
    return top
