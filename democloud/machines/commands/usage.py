"""Tell what is used: df, du, fuser, lsof, sync."""

from collections.abc import Callable
from typing import Any

from democloud.machines.commands.devices import find_block
from democloud.machines.commands.files import human
from democloud.machines.commands.tables import as_table
from democloud.machines.disks import FileSystem
from democloud.machines.run import Run, command, given, options
from democloud.machines.vfs import Mount

Written = Callable[[float], str]


@command("df")
def df(run: Run, args: list[str]) -> int:
    """Tell how full file systems are."""
    found, paths = options(args, "hTPikaB:", ("human-readable", "output=", "block-size=", "inodes"))
    mounts = [run.place(one).mount for one in paths] or [
        one for one in run.machine.ns.mounts if one.fs.type not in ("proc", "sysfs", "devpts")
    ]
    inodes = given(found, "-i", "--inodes")
    size_of: Written = human if given(found, "-h", "--human-readable") else _kilobytes
    if given(found, "-B", "--block-size"):
        size_of = _bytes_written
    first = (
        "Size" if size_of is human else "1B-blocks" if size_of is _bytes_written else "1K-blocks"
    )
    columns = ["Filesystem", *(["Type"] if "-T" in found else []), "Inodes" if inodes else first]
    columns += ["IUsed", "IFree", "IUse%"] if inodes else ["Used", "Avail", "Use%"]
    columns.append("Mounted on")
    rows = [_usage(one, columns, size_of, inodes=inodes) for one in mounts]
    as_table(run, columns, rows)
    return 0


def _bytes_written(size: float) -> str:
    return str(int(size))


def _kilobytes(size: float) -> str:
    return str(int(size) // 1024)


def _usage(one: Mount, columns: list[str], size_of: Written, *, inodes: bool) -> dict[str, Any]:
    size, used, free = _counts(one.fs) if inodes else _bytes(one.fs)
    share = -(-100 * used // max(1, used + free))
    written = _bytes_written if inodes else size_of
    cells = [one.source, *([one.fs.type] if "Type" in columns else []), written(size)]
    cells += [written(used), written(free), f"{share}%", one.target]
    return dict(zip(columns, cells, strict=True))


def _bytes(fs: FileSystem) -> tuple[int, int, int]:
    return fs.size, min(fs.used, fs.size), max(0, fs.free)


def _counts(fs: FileSystem) -> tuple[int, int, int]:
    used = sum(1 for _ in fs.root.walk()) if fs.root else 0
    return fs.size // 16384, used, max(0, fs.size // 16384 - used)


@command("du")
def du(run: Run, args: list[str]) -> int:
    """Tell how much directories hold."""
    found, paths = options(args, "shxakd:b", ("max-depth=",))
    size_of = human if "-h" in found else _kilobytes
    for path in paths or ["."]:
        node = run.node(path)
        if "-s" not in found:
            for name, child in node.children.items():
                if child.kind == "dir" or "-a" in found:
                    size = sum(one.size for one in child.walk())
                    run.say(f"{size_of(size)}\t{path.rstrip('/')}/{name}")
        run.say(f"{size_of(sum(one.size for one in node.walk()))}\t{path}")
    return 0


@command("fuser", "lsof")
def fuser(run: Run, args: list[str]) -> int:
    """Tell who works in a place; 1 if nobody does."""
    _, paths = options(args, "mvkM", ("mount",))
    status = 1
    for path in paths:
        block = find_block(run, path)
        places = [one.target for one in run.machine.mounted(block)] if block else [run.full(path)]
        users = [one for place in places for one in run.machine.busy(place)]
        if users:
            status = 0
            run.complain(f"{path}:".ljust(21).encode())
            for number, _ in users:
                run.write(f" {2000 + number % 20000}".encode())
                run.complain(b"c")
            run.complain(b"\n")
    return status


@command("sync")
def sync(_run: Run, _args: list[str]) -> int:
    """Have nothing that is not written yet."""
    return 0
