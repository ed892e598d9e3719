"""Change files of the old system: looked at first, with a back-up beside each, proven, undone."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
from dataclasses import asdict, dataclass
from posixpath import dirname, normpath
from typing import Any

from instances import ssh
from instances.models.clock import now as clock_now
from instances.recovery.work import MNT, CannotDo, Kind, Line, Outcome, Work, line

LARGEST = 1_000_000
DIFF_LINES = 400


@dataclass(frozen=True)
class User:
    """A line of the old system's /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True)
class Change:
    """A file as it should be; ``before`` is None where there is none yet."""

    path: str
    before: bytes | None
    after: bytes
    mode: int
    uid: int
    gid: int
    #: its text is not shown: it holds password hashes
    secret: bool = False


@dataclass(frozen=True)
class Directory:
    """A directory that must be there, with these rights."""

    path: str
    mode: int
    uid: int
    gid: int


class OldSystem:
    """The files of the instance's own system, mounted on /mnt. Paths are its own, from /."""

    def __init__(self, work: Work) -> None:
        self._machine = work.machine

    def file(self, path: str) -> ssh.File | None:
        """Read a file; None when there is none."""
        try:
            return self._machine.read(MNT + clean(path), limit=LARGEST, root=MNT)
        except ssh.NoSuchFile:
            return None

    def text(self, path: str) -> str:
        """Read a text; empty when there is none."""
        found = self.file(path)
        return found.data.decode(errors="replace") if found else ""

    def entry(self, path: str) -> ssh.Entry | None:
        """Look at a name itself; None when there is none."""
        try:
            return self._machine.lstat(MNT + clean(path), root=MNT)
        except ssh.NoSuchFile:
            return None

    def names(self, path: str) -> list[str]:
        """List the names in a directory; none when there is no such directory."""
        try:
            return [entry.name for entry in self._machine.listdir(MNT + clean(path), root=MNT)]
        except (ssh.NoSuchFile, ssh.NotAFile):
            return []

    def real(self, path: str) -> str:
        """Follow links as this system itself would; raise ``CannotDo`` or ``ssh.NoSuchFile``."""
        return self._machine.resolve(MNT + clean(path), root=MNT)[len(MNT) :] or "/"

    def users(self) -> list[User]:
        """List its users, as far as /etc/passwd can be understood."""
        found = []
        for row in self.text("/etc/passwd").splitlines():
            columns = row.split(":")
            if len(columns) == 7 and columns[2].isdigit() and columns[3].isdigit():
                name, _word, uid, gid, _about, home, shell = columns
                found.append(User(name, int(uid), int(gid), home, shell))
        return found

    def user(self, name: str) -> User:
        """Find a user; raise ``CannotDo`` when there is none."""
        found = next((user for user in self.users() if user.name == name), None)
        if found is None:
            raise CannotDo("no_such_user", user=name)
        return found


def clean(path: str) -> str:
    """Return a path from / without ``..``; raise ``CannotDo`` for what is none."""
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise CannotDo("bad_path", path=path)
    return normpath(path)


class Repair(Kind):
    """Work that changes files. A subclass says which, from what it reads: ``changes``."""

    def changes(self, old: OldSystem, work: Work) -> tuple[list[Change | Directory], list[Line]]:
        """Return the changes, directories first, and what to tell beside them."""
        raise NotImplementedError

    def plan(self, work: Work) -> Outcome:
        """Say what would change; nothing is written."""
        wanted, notes = self._wanted(work)
        lines = [_told(change) for change in wanted]
        if not wanted:
            raise CannotDo("nothing_to_change")
        writable = work.row.disks and (mount := work.row.disks.mounted_at(MNT)) and mount.writable
        if not writable:
            notes = [*notes, line("will_need_writable")]
        diff = [one for change in wanted for one in diff_of(change)]
        if len(diff) > DIFF_LINES:
            notes = [*notes, line("diff_cut", lines=DIFF_LINES)]
        private = {"digest": _digest(wanted), "diff": "".join(diff[:DIFF_LINES])}
        return Outcome([*lines, *notes], private=private)

    def apply(self, work: Work) -> Outcome:
        """Write what the person said yes to, if it still is the same."""
        _must_be_writable(work)
        wanted, notes = self._wanted(work)
        if _digest(wanted) != work.private["digest"]:
            raise CannotDo("changed_since")
        kept: list[dict[str, Any]] = []
        try:
            for change in wanted:
                if isinstance(change, Directory):
                    kept.append(_make(work, change))
                else:
                    kept.append(_write(work, change))
            work.run("sync", timeout=60)
            _prove(work, wanted)
        except (CannotDo, ssh.SshError):
            _give_up(work, kept)
            raise
        lines = [
            line("backed_up" if entry["backup"] else "made_new", path=entry["path"],
                 backup=entry["backup"])
            for entry in kept if entry["kind"] == "file"
        ]  # fmt: skip
        lost = [line("labels_lost", path=entry["path"]) for entry in kept if entry.get("lost")]
        return Outcome([*lines, line("proven"), *lost, *notes], kept={"changed": kept})

    def undo(self, work: Work) -> Outcome:
        """Bring back the files as they were; refuse where one was changed since."""
        _must_be_writable(work)
        changed = work.kept["changed"]
        for entry in changed:
            if entry["kind"] == "file" and _sha(_data(work, entry["path"])) != entry["after"]:
                raise CannotDo("changed_after", path=entry["path"])
        for entry in reversed(changed):
            _take_back(work, entry)
        work.run("sync", timeout=60)
        return Outcome([line("taken_back", path=entry["path"]) for entry in changed])

    def _wanted(self, work: Work) -> tuple[list[Change | Directory], list[Line]]:
        seen = work.look_again()
        if seen.mounted_at(MNT) is None:
            raise CannotDo("not_mounted")
        return self.changes(OldSystem(work), work)


def _must_be_writable(work: Work) -> None:
    mount = work.look_again().mounted_at(MNT)
    if mount is None:
        raise CannotDo("not_mounted")
    if not mount.writable:
        raise CannotDo("read_only")


def _give_up(work: Work, kept: list[dict[str, Any]]) -> None:
    """Take back the half of a change that was made, as far as the machine still answers."""
    for entry in reversed(kept):
        with contextlib.suppress(CannotDo, ssh.SshError):
            _take_back(work, entry)


def _make(work: Work, wanted: Directory) -> dict[str, Any]:
    """Make a directory, or give the one that is there its rights; return what undoes it."""
    path = MNT + clean(wanted.path)
    try:
        there = work.machine.lstat(path, root=MNT)
    except ssh.NoSuchFile:
        work.run("mkdir", path)
        before = None
    else:
        if there.kind != "dir":
            raise CannotDo("not_a_directory", path=wanted.path)
        before = [there.mode & 0o7777, there.uid, there.gid]
    _give(work, path, wanted.mode, wanted.uid, wanted.gid)
    return {"kind": "dir", "path": wanted.path, "before": before}


def _write(work: Work, change: Change) -> dict[str, Any]:
    """Write one file, its back-up beside it first; return what undoes it."""
    path = MNT + clean(change.path)
    backup = ""
    if change.before is not None:
        backup = beside(clean(change.path), work.stamp)
        if OldSystem(work).entry(backup) is not None:
            raise CannotDo("changed_since")  # cp would follow a link that lies in wait there
        work.run("cp", "-a", path, MNT + backup)
    moment = int(clock_now().timestamp())
    like = ssh.File(data=b"", mode=change.mode, uid=change.uid, gid=change.gid, mtime=moment)
    work.machine.write(path, change.after, like, root=MNT)
    lost = bool(backup) and not _relabel(work, change, MNT + backup)
    return {
        "kind": "file", "path": change.path, "backup": backup, "after": _sha(change.after),
        "lost": lost,
    }  # fmt: skip


def beside(path: str, stamp: str) -> str:
    """Return the name of a file's back-up.

    In a folder of parts it is hidden: ifupdown's ``source /etc/network/interfaces.d/*`` and its
    like would take it for one.
    """
    folder, _slash, name = path.rpartition("/")
    hidden = "." if folder.endswith(".d") else ""
    return f"{folder}/{hidden}{name}.rescue-{stamp}"


def _relabel(work: Work, change: Change, backup: str) -> bool:
    """Give a file what its forerunner had beside its content (an SELinux label, an ACL)."""
    path = MNT + clean(change.path)
    copied = work.machine.run(
        "cp", "--attributes-only", "--preserve=mode,xattr", backup, path
    )  # fmt: skip
    _give(work, path, change.mode, change.uid, change.gid)
    return copied.status == 0


def _take_back(work: Work, entry: dict[str, Any]) -> None:
    path = MNT + clean(entry["path"])
    if entry["kind"] == "dir":
        if entry["before"] is None:
            work.machine.run("rmdir", path)  # something else may be in it by now
        else:
            _give(work, path, *entry["before"])
    elif entry["backup"]:
        work.run("mv", MNT + clean(entry["backup"]), path)
    else:
        work.run("rm", path)


def _give(work: Work, path: str, mode: int, uid: int, gid: int) -> None:
    work.run("chown", "--no-dereference", f"{uid}:{gid}", path)
    work.run("chmod", f"{mode:04o}", path)


def _prove(work: Work, wanted: list[Change | Directory]) -> None:
    """Read again what was written."""
    for change in wanted:
        entry = work.machine.lstat(MNT + clean(change.path), root=MNT)
        right = (entry.mode & 0o7777, entry.uid, entry.gid) == (
            change.mode, change.uid, change.gid,
        )  # fmt: skip
        same = isinstance(change, Directory) or _data(work, change.path) == change.after
        if not right or not same:
            raise CannotDo("not_proven")


def _data(work: Work, path: str) -> bytes:
    found = OldSystem(work).file(path)
    return found.data if found else b""


def _told(change: Change | Directory) -> Line:
    if isinstance(change, Directory):
        return line("will_make_directory", path=change.path, mode=f"{change.mode:04o}")
    code = "will_make" if change.before is None else "will_change"
    return line(code, path=change.path, folder=dirname(change.path))


def diff_of(change: Change | Directory) -> list[str]:
    """Return a unified diff as ``diff -u`` writes it."""
    if isinstance(change, Directory) or change.secret:
        return []
    before, after = rows_of(change.before or b""), rows_of(change.after)
    listed = difflib.unified_diff(before, after, change.path, change.path, n=3)
    return [one if one.endswith("\n") else f"{one}\n" for one in listed]


def rows_of(data: bytes) -> list[str]:
    """Return the lines of a file with their ends; nothing but a line feed ends one."""
    rows = [f"{row}\n" for row in data.decode(errors="replace").split("\n")]
    last = rows.pop()[:-1]
    return [*rows, last] if last else rows


def _digest(wanted: list[Change | Directory]) -> str:
    plain = [
        {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(c).items()} for c in wanted
    ]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
