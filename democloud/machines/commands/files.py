"""Look at files: cat, head, tail, wc, grep, ls, stat, readlink, test."""

import re
import stat as st
import time

from democloud.machines.run import Fail, Run, command, given, options, value
from democloud.machines.tree import Node
from democloud.machines.vfs import READ, WRITE, Mount

TYPES = {
    "dir": "directory",
    "link": "symbolic link",
    "block": "block special file",
    "char": "character special file",
}


def owner_names(run: Run, node: Node) -> tuple[str, str]:
    """Return the names of a node's user and group, or their numbers."""
    users = {one.uid: name for name, one in run.machine.users(run.session.base).items()}
    groups: dict[int, str] = {}
    try:
        text = run.machine.ns.read(run.who, f"{run.session.base.rstrip('/')}/etc/group").decode()
    except OSError:
        text = ""
    for line in text.splitlines():
        row = line.split(":")
        if len(row) > 2 and row[2].isdigit():
            groups.setdefault(int(row[2]), row[0])
    return users.get(node.uid, str(node.uid)), groups.get(node.gid, str(node.gid))


@command("cat", "less", "more")
def cat(run: Run, args: list[str]) -> int:
    """Write files out."""
    _, paths = options(args, "nAev")
    status = 0
    for path in paths or ["-"]:
        try:
            run.write(run.stdin() if path == "-" else _content(run, path))
        except OSError as problem:
            run.warn(f"{path}: {problem.strerror}")
            status = 1
    return status


def _content(run: Run, path: str) -> bytes:
    return run.machine.ns.read(run.who, run.full(path))


@command("head", "tail")
def head(run: Run, args: list[str]) -> int:
    """Write the first or last lines."""
    args = [f"-n{one[1:]}" if re.fullmatch(r"-\d+", one) else one for one in args]
    found, paths = options(args, "n:c:f")
    count = int(value(found, "-n", otherwise="10"))
    for path in paths or ["-"]:
        data = run.stdin() if path == "-" else _content(run, path)
        if "-c" in found:
            size = int(found["-c"])
            run.write(data[:size] if run.name == "head" else data[-size:])
            continue
        lines = data.splitlines(keepends=True)
        run.write(b"".join(lines[:count] if run.name == "head" else lines[-count:]))
    return 0


@command("wc")
def wc(run: Run, args: list[str]) -> int:
    """Count lines, words and bytes."""
    found, paths = options(args, "lwc")
    for path in paths or ["-"]:
        data = run.stdin() if path == "-" else _content(run, path)
        counts = {"-l": data.count(b"\n"), "-w": len(data.split()), "-c": len(data)}
        shown = [str(count) for name, count in counts.items() if not found or name in found]
        run.say(" ".join([*shown, *([path] if path != "-" else [])]))
    return 0


@command("grep")
def grep(run: Run, args: list[str]) -> int:
    """Write the lines that match."""
    found, rest = options(args, "aqvinEFce:", status=2)
    if not rest and "-e" not in found:
        raise Fail("", 2)
    pattern = found["-e"] if "-e" in found else rest.pop(0)
    match = re.compile(
        re.escape(pattern) if "-F" in found else pattern, re.I if "-i" in found else 0
    )
    hits = 0
    for path in rest or ["-"]:
        data = run.stdin() if path == "-" else _content(run, path)
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if bool(match.search(line)) is ("-v" not in found):
                hits += 1
                mark = (f"{path}:" if len(rest) > 1 else "") + (
                    f"{number}:" if "-n" in found else ""
                )
                if not given(found, "-q", "-c"):
                    run.say(f"{mark}{line}")
    if "-c" in found:
        run.say(str(hits))
    return 0 if hits else 1


@command("ls", "dir")
def ls(run: Run, args: list[str]) -> int:
    """List directories."""
    long = ("all", "almost-all", "directory", "color=", "full-time", "time-style=")
    found, paths = options(args, "alAd1nRhtZ", long, status=2)
    status, parts = 0, []
    plain: list[tuple[str, Node]] = []
    for path in paths or ["."]:
        try:
            node = run.node(path, follow="-l" not in found or path.endswith("/"))
            if node.kind == "dir" and not given(found, "-d", "--directory"):
                parts += _directories(run, path, found)
            else:
                plain.append((path, node))
        except OSError as problem:
            run.warn(f"cannot access '{path}': {problem.strerror}")
            status = 2
    if plain:
        _list(run, plain, found)
    for number, (path, rows) in enumerate(parts):
        if len(parts) > 1 or plain or status:
            run.say(("\n" if number or plain else "") + f"{path}:")
        if "-l" in found or "-n" in found:
            run.say(f"total {sum((one.size + 1023) // 1024 for _, one in rows)}")
        _list(run, rows, found)
    return status


def _directories(
    run: Run, path: str, found: dict[str, str]
) -> list[tuple[str, list[tuple[str, Node]]]]:
    names = run.machine.ns.listing(run.who, run.full(path))
    hidden = given(found, "-a", "--all", "-A", "--almost-all")
    rows = [(name, one) for name, one in names.items() if hidden or not name.startswith(".")]
    if given(found, "-a", "--all"):
        rows = [(".", run.node(path)), ("..", run.node(f"{path}/..")), *rows]
    if "-t" in found:
        rows.sort(key=lambda row: -row[1].mtime)
    parts = [(path, rows)]
    if "-R" in found:
        for name, one in rows:
            if one.kind == "dir" and name not in (".", ".."):
                parts += _directories(run, f"{path.rstrip('/')}/{name}", found)
    return parts


def _list(run: Run, rows: list[tuple[str, Node]], found: dict[str, str]) -> None:
    if not given(found, "-l", "-n"):
        _list_names(run, [name for name, _ in rows], in_columns=run.terminal and "-1" not in found)
        return
    table = [_long(run, name, node, found) for name, node in rows]
    widths = [max(len(row[number]) for row in table) for number in range(5)] if table else []
    for row in table:
        links, owner, group, context, size = (
            one.rjust(width) if number in (0, 4) else one.ljust(width)
            for number, (one, width) in enumerate(zip(row[:5], widths, strict=True))
        )
        middle = f"{context} " if context.strip() else ""
        run.say(f"{row[5]} {links} {owner} {group} {middle}{size} {row[6]} {row[7]}")


def _list_names(run: Run, names: list[str], *, in_columns: bool) -> None:
    if not in_columns or not names:
        for name in names:
            run.say(name)
        return
    width = max(len(name) for name in names) + 2
    across = max(1, run.session.columns // width)
    down = -(-len(names) // across)
    for line in range(down):
        run.say("".join(name.ljust(width) for name in names[line::down]).rstrip())


def _long(run: Run, name: str, node: Node, found: dict[str, str]) -> list[str]:
    owner, group = (str(node.uid), str(node.gid)) if "-n" in found else owner_names(run, node)
    shown = human(node.size) if "-h" in found and node.size >= 1024 else str(node.size)
    when = time.strftime("%b %e %H:%M", time.gmtime(node.mtime))
    links = (
        2 + sum(one.kind == "dir" for one in node.children.values()) if node.kind == "dir" else 1
    )
    arrow = f" -> {node.target}" if node.kind == "link" else ""
    context = (node.context or "?") if "-Z" in found else ""
    mode = st.filemode(node.full_mode)
    return [str(links), owner, group, context, shown, mode, when, name + arrow]


def human(size: float) -> str:
    """Write a size as ls -h, df -h and lsblk do."""
    for unit in "BKMGT":
        if size < 1024 or unit == "T":
            break
        size /= 1024
    if unit == "B":
        return f"{int(size)}B"
    return f"{size:.1f}".removesuffix(".0") + unit


@command("stat")
def stat(run: Run, args: list[str]) -> int:
    """Tell what a file is, by a format or in full."""
    found, paths = options(args, "c:Lft", ("format=", "printf=", "dereference", "file-system"))
    status = 0
    if not paths:
        raise Fail("missing operand")
    for path in paths:
        try:
            place = run.place(path, follow=given(found, "-L", "--dereference"))
            node = run.node(path, follow=given(found, "-L", "--dereference"))
        except OSError as problem:
            run.warn(f"cannot statx '{path}': {problem.strerror}")
            status = 1
            continue
        if "--printf" in found:
            text = _formatted(run, found["--printf"], path, node, place.mount)
            run.write(text.encode().decode("unicode_escape").encode("latin-1", "replace"))
        else:
            form = value(found, "-c", "--format", otherwise=FULL)
            run.say(_formatted(run, form, path, node, place.mount))
    return status


FULL = """\
  File: %N
  Size: %s\tBlocks: %b\tIO Block: %o  %F
Device: 254,17\tInode: %i\tLinks: %h
Access: (0%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)
Modify: %y"""


def _formatted(run: Run, form: str, path: str, node: Node, mount: Mount) -> str:
    owner, group = owner_names(run, node)
    kind = TYPES.get(node.kind, "regular file" if node.size else "regular empty file")
    arrow = f"'{path}' -> '{node.target}'" if node.kind == "link" else f"'{path}'"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(node.mtime))
    values = {
        "a": f"{node.mode:o}", "A": st.filemode(node.full_mode), "u": node.uid, "g": node.gid,
        "U": owner, "G": group, "s": node.size, "F": kind, "n": path, "N": arrow,
        "Y": int(node.mtime), "X": int(node.mtime), "Z": int(node.mtime), "i": node.inode,
        "h": 1, "f": f"{node.full_mode:x}", "C": node.context or "?", "m": mount.target,
        "b": (node.size + 511) // 512, "B": 512, "o": 4096, "y": f"{stamp}.000000000 +0000",
        "d": 65041, "D": "fe11", "%": "%", "t": 0, "T": 0, "w": "-", "W": 0,
    }  # fmt: skip
    return re.sub(r"%(.)", lambda found: str(values.get(found[1], "?")), form)


@command("readlink", "realpath")
def readlink(run: Run, args: list[str]) -> int:
    """Write where a link leads; with -f, the whole path without links."""
    found, paths = options(args, "fenmqsz", ("canonicalize", "canonicalize-existing"))
    for path in paths:
        if run.name == "realpath" or given(found, "-f", "-e", "-m", "--canonicalize"):
            place = run.place(path)
            if place.node is None and given(found, "-e", "--canonicalize-existing"):
                return 1
            run.say(run.seen(place.path))
        else:
            node = run.place(path, follow=False).node
            if node is None or node.kind != "link":
                return 1
            run.say(node.target)
    return 0


@command("test", "[")
def test(run: Run, args: list[str]) -> int:
    """Say by the status alone whether something is so."""
    args = args[:-1] if run.name == "[" else args
    if args[:1] == ["!"]:
        return 1 - test(run, args[1:])
    if len(args) == 3 and args[1] in ("=", "==", "!="):
        return 0 if (args[0] == args[2]) is (args[1] != "!=") else 1
    if len(args) == 2 and args[0] in ("-n", "-z"):
        return 0 if bool(args[1]) is (args[0] == "-n") else 1
    if len(args) != 2:
        return 0 if args and args[0] else 1
    return 0 if _is(run, *args) else 1


def _is(run: Run, what: str, path: str) -> bool:
    try:
        node = run.place(path, follow=what not in ("-L", "-h")).node
    except OSError:
        return False
    if node is None:
        return False
    kinds = {"-d": "dir", "-f": "file", "-b": "block", "-c": "char", "-L": "link", "-h": "link"}
    if what in kinds:
        return node.kind == kinds[what]
    if what in ("-r", "-w"):
        return run.who.may(node, READ if what == "-r" else WRITE)
    return node.size > 0 if what == "-s" else True
