"""Files of the broken disk, below the place where it is mounted and never beyond.

Paths are checked name by name, for a symbolic link on that disk may lead to the rescue system's
own files. Between the look and the opening a link could be put in; SFTP cannot forbid that. It
takes a process that is root on the rescued machine, who gains nothing by it: all that is read
goes to the people of that machine's own team, and all that is written could be written by that
process itself. What was opened is still compared with what was looked at.
"""

import contextlib
import secrets
import stat
from collections.abc import Iterator

from paramiko import sftp as numbers
from paramiko.channel import Channel
from paramiko.sftp_attr import SFTPAttributes

from instances.ssh.carrier import Carrier
from instances.ssh.errors import (
    Changed,
    Denied,
    FileTrouble,
    LeavesRoot,
    NoFileTransfer,
    NoSpace,
    NoSuchFile,
    NotAFile,
    ProtocolTrouble,
    ReadOnly,
    SshError,
    TimedOut,
    TooMuch,
)
from instances.ssh.facts import Entry, File
from instances.ssh.sftp import Pipe, Sftp, Status

ROOT = "/mnt"
_MOST_LINKS = 40
_MOST_OF_A_NAME = 100_000  # bytes that answers to looks may have, together
_ERRAND = 60.0  # seconds
_PERMISSIONS = 0o7777


class Files:
    """The files of a machine; every path is absolute and below its ``root``."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._sftp: Sftp | None = None

    def lstat(self, path: str, *, root: str = ROOT) -> Entry:
        """Return what a name is, itself; links on the way to it are refused."""
        path = _clean(path, root)
        with self._errand() as sftp:
            found = self._walk(sftp, path, root)
            return _entry(path.rpartition("/")[2].encode("utf-8", "surrogateescape"), found)

    def listdir(self, path: str, limit: int = 1000, *, root: str = ROOT) -> list[Entry]:
        """Return at most ``limit`` entries of a directory, by name."""
        path = _clean(path, root)
        with self._errand(limit * 1000) as sftp:
            _expect(self._walk(sftp, path, root), stat.S_ISDIR, path)
            found = sftp.names(_raw(path), limit)
            return sorted((_entry(*one) for one in found), key=lambda entry: entry.name)

    def resolve(self, path: str, *, root: str = ROOT) -> str:
        """Follow links as a system whose root this is would; return the path without them.

        For ``/mnt/etc/os-release``, which is a link everywhere, and ``/mnt/home`` where it is one.
        """
        with self._errand() as sftp:
            done: list[str] = []
            waiting = _names_below(path, root)
            for _hop in range(_MOST_LINKS * 10):
                if not waiting:
                    return _joined(root, done)
                name = waiting.pop(0)
                if name == "..":
                    done = done[:-1]
                    continue
                here = _joined(root, [*done, name])
                if not stat.S_ISLNK(sftp.attributes(_raw(here)).st_mode or 0):
                    done.append(name)
                    continue
                target = sftp.link(_raw(here)).decode("utf-8", "surrogateescape")
                done = [] if target.startswith("/") else done
                waiting = [part for part in target.split("/") if part not in ("", ".")] + waiting
            raise LeavesRoot(path)

    def read(self, path: str, *, root: str = ROOT, limit: int = 1_000_000) -> File:
        """Return a regular file, whole."""
        path = _clean(path, root)
        with self._errand(limit + limit // 100) as sftp:
            looked = self._walk(sftp, path, root)
            _expect(looked, stat.S_ISREG, path)
            if (looked.st_size or 0) > limit:
                raise TooMuch
            with sftp.opened(_raw(path), numbers.SFTP_FLAG_READ) as handle:
                if _looks(sftp.attributes_of(handle)) != _looks(looked):
                    raise Changed
                data = sftp.read_handle(handle, limit)
            return _file(data, looked)

    def write(
        self,
        path: str,
        data: bytes,
        like: File | None = None,
        *,
        root: str = ROOT,
        instead_of: File | None = None,
    ) -> None:
        """Put a file in the place of one, in one step, or where none was.

        Owner and mode are those of ``like``, else of the file that is there, else 0600 and ours.
        ``Changed`` when the file there is no longer ``instead_of``. Its extended attributes (an
        SELinux label) do not come along, and other hard links keep the old content.
        """
        path = _clean(path, root)
        with self._errand() as sftp:
            there = self._there(sftp, path, root)
            if instead_of and (there is None or _differs(there, instead_of)):
                raise Changed
            kept = like or (_file(b"", there) if there else None)
            beside = f"{path.rpartition('/')[0]}/.rescue-panel-{secrets.token_hex(6)}"
            try:
                # Asked before the half-written file goes: with it goes the fullness.
                with self._explained(sftp, path):
                    self._fill(sftp, _raw(beside), data, kept)
                    sftp.replace(_raw(beside), _raw(path))
            except (Status, FileTrouble):
                with contextlib.suppress(Status):
                    sftp.remove_name(_raw(beside))
                raise

    def keep_beside(self, path: str, stamp: str, *, root: str = ROOT) -> tuple[File, str]:
        """Copy a file beside itself before it is changed; return it and the copy's path.

        The name has a dot and no known ending, so that no folder of parts takes it for one.
        """
        path = _clean(path, root)
        kept, copy = self.read(path, root=root), f"{path}.before-rescue-{stamp}"
        with self._errand() as sftp:
            if self._there(sftp, copy, root):
                raise Changed
        self.write(copy, kept.data, kept, root=root)
        return kept, copy

    def make_dir(self, path: str, mode: int, uid: int, gid: int, *, root: str = ROOT) -> None:
        """Make a directory with its owner."""
        path = _clean(path, root)
        with self._errand() as sftp:
            if self._there(sftp, path, root, any_kind=True):
                raise Changed
            with self._explained(sftp, path):
                sftp.make_directory(_raw(path))
                sftp.change_path(_raw(path), mode=mode & _PERMISSIONS, uid=uid, gid=gid)

    def set_owner(self, path: str, mode: int, uid: int, gid: int, *, root: str = ROOT) -> None:
        """Give a file or a directory another owner and mode."""
        path = _clean(path, root)
        with self._errand() as sftp:
            _expect(self._walk(sftp, path, root), _is_plain, path)
            with self._explained(sftp, path):
                sftp.change_path(_raw(path), mode=mode & _PERMISSIONS, uid=uid, gid=gid)

    def remove(self, path: str, *, root: str = ROOT) -> None:
        """Remove a file or an empty directory, as when its making is undone."""
        path = _clean(path, root)
        with self._errand() as sftp:
            found = self._walk(sftp, path, root)
            _expect(found, _is_plain, path)
            with self._explained(sftp, path):
                sftp.remove_name(_raw(path), directory=stat.S_ISDIR(found.st_mode or 0))

    # How ------------------------------------------------------------------------------------------

    def _walk(self, sftp: Sftp, path: str, root: str) -> SFTPAttributes:
        """Return what a path is, having looked at each name on the way."""
        names = _names_below(path, root)
        for depth in range(1, len(names)):
            here = _joined(root, names[:depth])
            _expect(sftp.attributes(_raw(here)), stat.S_ISDIR, here)
        return sftp.attributes(_raw(path))

    def _there(
        self, sftp: Sftp, path: str, root: str, *, any_kind: bool = False
    ) -> SFTPAttributes | None:
        """Return the file of that name, or ``None`` when there is a place for one."""
        if not _names_below(path, root):
            raise NotAFile
        folder = path.rpartition("/")[0] or "/"
        _expect(self._walk(sftp, folder, root), stat.S_ISDIR, folder)
        try:
            found = self._walk(sftp, path, root)
        except Status as status:
            if status.number == numbers.SFTP_NO_SUCH_FILE:
                return None
            raise
        if not any_kind:
            _expect(found, stat.S_ISREG, path)
        return found

    def _fill(self, sftp: Sftp, path: bytes, data: bytes, like: File | None) -> None:
        flags = numbers.SFTP_FLAG_WRITE | numbers.SFTP_FLAG_CREATE | numbers.SFTP_FLAG_EXCL
        with sftp.opened(path, flags, 0o600) as handle:
            sftp.write_handle(handle, data)
            if like:
                mode = like.mode & _PERMISSIONS
                sftp.change(handle, mode=mode, uid=like.uid, gid=like.gid)

    @contextlib.contextmanager
    def _explained(self, sftp: Sftp, path: str) -> Iterator[None]:
        """Say what a plain "failure" was: SFTP has no number for it."""
        try:
            yield
        except Status as status:
            if status.number != numbers.SFTP_FAILURE:
                raise
            read_only = full = False
            with contextlib.suppress(Status):
                read_only, full = sftp.room(_raw(path.rpartition("/")[0] or "/"))
            if read_only or full:
                raise (ReadOnly if read_only else NoSpace) from None
            raise

    @contextlib.contextmanager
    def _errand(self, budget: int = 0) -> Iterator[Sftp]:
        """Open SFTP when it is not, bound what is done, and say what went wrong."""
        wire = self._carrier.wire
        with wire.translated(), wire.within(_ERRAND + 5.0):
            sftp = self._sftp or self._open_sftp()
            self._sftp = None  # until it is known that question and answer still agree
            try:
                with sftp.pipe.errand(_ERRAND, budget + _MOST_OF_A_NAME):
                    yield sftp
            except Status as status:
                self._sftp = sftp
                raise _MEANINGS.get(status.number, FileTrouble) from None
            except (FileTrouble, TooMuch):
                self._sftp = sftp if sftp.pipe.in_step else None
                raise
            else:
                self._sftp = sftp
            finally:
                if self._sftp is None:
                    sftp.close()

    def _open_sftp(self) -> Sftp:
        channel: Channel = self._carrier.open_session(timeout=15.0)
        try:
            channel.invoke_subsystem("sftp")
            return Sftp(Pipe(channel, self._carrier))
        except Exception as error:
            self._carrier.let_go(channel)
            late = isinstance(error, (TimeoutError, TimedOut)) or self._carrier.wire.overdue
            if self._carrier.is_active() and not late:
                raise NoFileTransfer from None
            raise


_MEANINGS: dict[int, type[SshError]] = {
    numbers.SFTP_NO_SUCH_FILE: NoSuchFile,
    numbers.SFTP_PERMISSION_DENIED: Denied,
    numbers.SFTP_BAD_MESSAGE: FileTrouble,
    numbers.SFTP_EOF: ProtocolTrouble,
}


def _names_below(path: str, root: str) -> list[str]:
    """Return the names that lead from the root to a path; raise when it is not below."""
    base = root.rstrip("/")
    if "\0" in path or not path.startswith("/") or not f"{path}/".startswith(f"{base}/"):
        raise LeavesRoot
    return [name for name in path[len(base) :].split("/") if name not in ("", ".")]


def _clean(path: str, root: str) -> str:
    """Return a path without what is not needed; a slash at its end would follow a link."""
    names = _names_below(path, root)
    if ".." in names:
        raise LeavesRoot
    return _joined(root, names)


def _joined(root: str, names: list[str]) -> str:
    return "/".join([root.rstrip("/"), *names]) or "/"


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _expect(found: SFTPAttributes, wanted: object, path: str) -> None:
    """Raise when a name is not of the kind that is wanted; a link is never wanted."""
    mode = found.st_mode or 0
    if stat.S_ISLNK(mode):
        raise LeavesRoot(path)
    if not wanted(mode):  # type: ignore[operator]
        raise NotAFile


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _looks(found: SFTPAttributes) -> tuple[int | None, ...]:
    return found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime


def _differs(found: SFTPAttributes, file: File) -> bool:
    mode = (found.st_mode or 0) & _PERMISSIONS
    was = (file.mode, file.uid, file.gid, len(file.data), file.mtime)
    return was != (mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime)


def _file(data: bytes, found: SFTPAttributes) -> File:
    mode = (found.st_mode or 0) & _PERMISSIONS
    return File(data, mode, found.st_uid or 0, found.st_gid or 0, found.st_mtime or 0)


def _entry(name: bytes, found: SFTPAttributes) -> Entry:
    return Entry(
        name.decode("utf-8", "surrogateescape"),
        found.st_mode or 0,
        found.st_uid or 0,
        found.st_gid or 0,
        found.st_size or 0,
        found.st_mtime or 0,
    )
