"""Change files: mkdir, rmdir, rm, cp, mv, chmod, chown, ln, touch, tee, chcon."""

import posixpath
import re
from collections.abc import Callable

from democloud.machines.run import Fail, Run, command, given, options, value
from democloud.machines.tree import Node
from democloud.machines.vfs import Place, refuse


def _each(run: Run, paths: list[str], what: str, act: Callable[[str], object]) -> int:
    """Do something to each path; say in coreutils' words what could not be done."""
    status = 0
    if not paths:
        raise Fail(f"missing operand\nTry '{run.name} --help' for more information.")
    for path in paths:
        try:
            act(path)
        except OSError as problem:
            run.warn(f"{what} '{path}': {problem.strerror}")
            status = 1
    return status


@command("mkdir")
def mkdir(run: Run, args: list[str]) -> int:
    """Make directories, with -p those that lead to them."""
    found, paths = options(args, "pm:v", ("parents", "mode=", "verbose"))
    mode = int(value(found, "-m", "--mode", otherwise="755"), 8)
    parents = given(found, "-p", "--parents")

    def make(path: str) -> None:
        if parents:
            _make_above(run, path)
        place = run.place(path)
        if parents and place.node and place.node.kind == "dir":
            return
        run.machine.ns.create(run.who, place, Node("dir", mode))

    return _each(run, paths, "cannot create directory", make)


def _make_above(run: Run, path: str) -> None:
    above = posixpath.dirname(path.rstrip("/"))
    if above and above != "/" and above != path:
        _make_above(run, above)
        place = run.place(above)
        if place.node is None:
            run.machine.ns.create(run.who, place, Node("dir", 0o755))


@command("rmdir")
def rmdir(run: Run, args: list[str]) -> int:
    """Remove empty directories."""
    _, paths = options(args, "p")
    ns = run.machine.ns
    return _each(
        run, paths, "failed to remove", lambda path: ns.rmdir(run.who, _outside(run, path))
    )


def _outside(run: Run, path: str) -> str:
    return run.place(path, follow=False).path


@command("rm", "unlink")
def rm(run: Run, args: list[str]) -> int:
    """Remove files, with -r directories too."""
    found, paths = options(args, "rRfv", ("recursive", "force"))
    forced = given(found, "-f", "--force")
    if not paths and forced:
        return 0

    def remove(path: str) -> None:
        place = run.place(path, follow=False)
        if place.node is None and forced:
            return
        if place.node and place.node.kind == "dir":
            if not given(found, "-r", "-R", "--recursive"):
                raise OSError(21, "Is a directory")
            _remove_all(run, place)
            return
        run.machine.ns.remove(run.who, place.path)

    return _each(run, paths, "cannot remove", remove)


def _remove_all(run: Run, place: Place) -> None:
    if place.path == "/":
        raise Fail("it is dangerous to operate recursively on '/'")
    for name in list(place.node.children if place.node else ()):
        below = run.machine.ns.place(run.who, f"{place.path}/{name}", follow=False)
        if below.node and below.node.kind == "dir" and below.mount is place.mount:
            _remove_all(run, below)
        else:
            run.machine.ns.remove(run.who, below.path)
    run.machine.ns.rmdir(run.who, place.path)


@command("cp")
def cp(run: Run, args: list[str]) -> int:
    """Copy files, with -a all of what they are."""
    long = ("archive", "recursive", "preserve=", "no-clobber", "no-target-directory", "backup=",
            "attributes-only")  # fmt: skip
    found, paths = options(args, "arRpdnfvT", long)
    if len(paths) < 2:
        raise Fail(
            "missing file operand"
            if not paths
            else f"missing destination file operand after '{paths[0]}'"
        )
    *sources, goal = paths
    status = 0
    for source in sources:
        try:
            _copy(run, source, _inside(run, goal, source, found), found)
        except OSError as problem:
            run.warn(f"cannot copy '{source}' to '{goal}': {problem.strerror}")
            status = 1
    return status


def _inside(run: Run, goal: str, source: str, found: dict[str, str]) -> str:
    node = run.place(goal).node
    if node and node.kind == "dir" and not given(found, "-T", "--no-target-directory"):
        return f"{goal.rstrip('/')}/{posixpath.basename(source.rstrip('/'))}"
    return goal


def _copy(run: Run, source: str, goal: str, found: dict[str, str]) -> None:
    whole = given(found, "-a", "--archive", "-r", "-R", "--recursive", "-d")
    node = run.place(source, follow=not whole).node
    if node is None:
        raise Fail(f"cannot stat '{source}': No such file or directory")
    if node.kind == "dir" and not whole:
        raise Fail(f"-r not specified; omitting directory '{source}'")
    place = run.place(goal, follow=not whole)
    if place.node and given(found, "-n", "--no-clobber"):
        return
    ns = run.machine.ns
    if place.node and "--attributes-only" in found:
        place.node.mode, place.node.context = node.mode, node.context
        return
    if place.node and place.node.kind == "file":
        ns.write(run.who, place.path, node.read())
        made = place.node
    else:
        made = node.copy()
        if sum(one.size for one in made.walk()) > place.mount.fs.free:
            raise refuse(28, goal)
        ns.create(run.who, place, made)
    if given(found, "-a", "--archive", "-p", "--preserve"):
        made.mode, made.mtime, made.context = node.mode, node.mtime, node.context
        if run.who.uid == 0:
            made.uid, made.gid = node.uid, node.gid
    else:
        made.touch()


@command("mv")
def mv(run: Run, args: list[str]) -> int:
    """Move or rename."""
    found, paths = options(args, "fnvT", ("no-clobber", "no-target-directory", "force"))
    if len(paths) < 2:
        raise Fail("missing file operand")
    *sources, goal = paths
    for source in sources:
        inside = _inside(run, goal, source, found)
        try:
            old, new = _outside(run, source), _outside(run, inside)
            run.machine.ns.rename(run.who, old, new)
        except OSError as problem:
            if problem.errno != 18:
                raise Fail(f"cannot move '{source}' to '{inside}': {problem.strerror}") from problem
            _copy(run, source, inside, {"-a": ""})
            rm(run, ["-rf", source])
    return 0


@command("chmod")
def chmod(run: Run, args: list[str]) -> int:
    """Change modes, by number or by letters."""
    recursive = [one for one in args if one in ("-R", "--recursive")]
    mode, *paths = [one for one in args if one not in ("-R", "--recursive", "-v", "-f")] or [""]

    def change(path: str) -> None:
        node = run.machine.ns.change(run.who, run.full(path))
        for one in node.walk() if recursive else (node,):
            one.mode = _new_mode(one, mode)

    return _each(run, paths, "changing permissions of", change)


def _new_mode(node: Node, mode: str) -> int:
    if re.fullmatch(r"[0-7]{1,4}", mode):
        return int(mode, 8)
    result = node.mode
    for part in mode.split(","):
        found = re.fullmatch(r"([ugoa]*)([-+=])([rwxX]*)", part)
        if not found:
            raise Fail(f"invalid mode: '{mode}'")
        who, how, what = found[1] or "a", found[2], found[3]
        bits = sum({"r": 4, "w": 2, "x": 1, "X": int(node.kind == "dir")}[one] for one in set(what))
        for shift in (6 * (one == "u") + 3 * (one == "g") for one in who.replace("a", "ugo")):
            result = _with(result, how, bits << shift, 7 << shift)
    return result


def _with(mode: int, how: str, bits: int, field: int) -> int:
    if how == "+":
        return mode | bits
    return mode & ~bits if how == "-" else (mode & ~field) | bits


@command("chown", "chgrp")
def chown(run: Run, args: list[str]) -> int:
    """Change owner and group, by name or number."""
    found, rest = options(args, "Rhvf", ("recursive", "no-dereference", "reference=", "from="))
    if "--reference" in found:
        like = run.node(found["--reference"])
        uid: int | None = like.uid
        gid: int | None = like.gid
        paths = rest
    else:
        owner, *paths = rest or [""]
        uid, gid = _owner(run, f":{owner}" if run.name == "chgrp" else owner)

    def change(path: str) -> None:
        follow = not given(found, "-h", "--no-dereference")
        node = run.machine.ns.change(run.who, run.place(path, follow=follow).path, follow=follow)
        if run.who.uid:
            raise OSError(1, "Operation not permitted")
        for one in node.walk() if given(found, "-R", "--recursive") else (node,):
            one.uid, one.gid = one.uid if uid is None else uid, one.gid if gid is None else gid

    return _each(run, paths, "changing ownership of", change)


def _owner(run: Run, text: str) -> tuple[int | None, int | None]:
    user, colon, group = text.partition(":")
    users = run.machine.users(run.session.base)
    uid: int | None = None
    if user:
        if not user.isdigit() and user not in users:
            raise Fail(f"invalid user: '{text}'")
        uid = int(user) if user.isdigit() else users[user].uid
    if not group:
        return uid, users[user].gid if colon and user in users else None
    return uid, int(group) if group.isdigit() else _group(run, group)


def _group(run: Run, name: str) -> int:
    path = f"{run.session.base.rstrip('/')}/etc/group"
    for line in run.machine.ns.read(run.who, path).decode().splitlines():
        row = line.split(":")
        if row[0] == name and len(row) > 2:
            return int(row[2])
    raise Fail(f"invalid group: '{name}'")


@command("ln")
def ln(run: Run, args: list[str]) -> int:
    """Make symbolic links; hard ones are not done here."""
    found, paths = options(args, "sfn")
    if "-s" not in found or len(paths) != 2:
        raise Fail("only ln -s TARGET NAME works here")
    place = run.place(paths[1], follow=False)
    if place.node and "-f" in found:
        run.machine.ns.remove(run.who, place.path)
    run.machine.ns.symlink(run.who, paths[0], place.path)
    return 0


@command("touch")
def touch(run: Run, args: list[str]) -> int:
    """Make empty files, or note that they changed now."""
    _, paths = options(args, "acm")
    ns = run.machine.ns
    return _each(
        run,
        paths,
        "cannot touch",
        lambda path: ns.open_for_writing(run.who, run.full(path)).touch(),
    )


@command("tee")
def tee(run: Run, args: list[str]) -> int:
    """Write what is read to files, and on."""
    found, paths = options(args, "a", ("append",))
    data = run.stdin()

    def put(path: str) -> None:
        place = run.place(path)
        before = place.node.read() if place.node and given(found, "-a", "--append") else b""
        run.machine.ns.write(run.who, place.path, before + data)

    status = _each(run, paths, "", put) if paths else 0
    run.write(data)
    return status


@command("chcon", "restorecon")
def chcon(run: Run, args: list[str]) -> int:
    """Set SELinux contexts: of a type, or like another file."""
    found, paths = options(args, "t:Rv", ("type=", "reference="))
    kind = value(found, "-t", "--type")

    def change(path: str) -> None:
        node = run.machine.ns.change(run.who, run.full(path))
        if "--reference" in found:
            node.context = run.node(found["--reference"]).context
        elif kind:
            node.context = f"system_u:object_r:{kind}:s0"

    return _each(run, paths, "failed to change context of", change)
