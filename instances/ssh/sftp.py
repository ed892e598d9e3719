"""SFTP, request by request: names as bytes, answers with bounds, errors as their numbers."""

import contextlib
import struct
import time
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko import sftp
from paramiko.channel import Channel
from paramiko.sftp_attr import SFTPAttributes

from instances.ssh.carrier import Carrier
from instances.ssh.errors import ProtocolTrouble, TimedOut, TooMuch

_PIECE = 32768
_GREETING = 30.0  # seconds that the first answer may take
_READ_ONLY = 1  # SSH_FXE_STATVFS_ST_RDONLY


class Status(Exception):
    """The server's answer is a number other than 0 (``paramiko.sftp.SFTP_…``)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Pipe:
    """The channel below SFTP: an errand on it has an end and a most of bytes that come back."""

    def __init__(self, channel: Channel, carrier: Carrier) -> None:
        self.channel, self._carrier = channel, carrier
        self._end, self._budget = time.monotonic() + _GREETING, 100_000
        #: False when an answer was left half read: what comes next would be taken for another
        self.in_step = True

    @contextlib.contextmanager
    def errand(self, seconds: float, budget: int) -> Iterator[None]:
        """Bound all that is asked inside."""
        self._end, self._budget = time.monotonic() + seconds, budget
        yield

    def recv(self, size: int) -> bytes:
        """Receive, as paramiko asks for it."""
        self._look()
        data = self.channel.recv(min(size, 65536))
        self._budget -= len(data)
        if self._budget < 0:
            self.in_step = False
            raise TooMuch
        return data

    def send(self, data: bytes) -> int:
        """Send, as paramiko asks for it."""
        self._look()
        return self.channel.send(data)

    def _look(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            self.in_step = False
            raise TimedOut
        self.channel.settimeout(left)

    def get_name(self) -> str:
        """Return a name, as paramiko asks for it."""
        return ""

    def close(self) -> None:
        """Close the channel."""
        self._carrier.let_go(self.channel)


class Sftp(paramiko.SFTPClient):
    """One SFTP session."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        super().__init__(pipe)  # type: ignore[arg-type]

    def _log(self, *_nothing: Any) -> None:
        """Log nothing: names are the machine's."""

    def _convert_status(self, message: paramiko.Message) -> None:
        number = message.get_int()
        if number:
            raise Status(number)

    def _ask(self, expected: int, command: int, *args: Any) -> paramiko.Message:
        kind, message = self._request(command, *args)
        if kind != expected:
            raise ProtocolTrouble
        return message  # type: ignore[no-any-return]

    # What it can do -----------------------------------------------------------------------------

    def attributes(self, path: bytes) -> SFTPAttributes:
        """Return what a name is, itself."""
        return _attributes(self._ask(sftp.CMD_ATTRS, sftp.CMD_LSTAT, path))

    def attributes_of(self, handle: bytes) -> SFTPAttributes:
        """Return what is open."""
        return _attributes(self._ask(sftp.CMD_ATTRS, sftp.CMD_FSTAT, handle))

    def link(self, path: bytes) -> bytes:
        """Return where a symbolic link points to."""
        message = self._ask(sftp.CMD_NAME, sftp.CMD_READLINK, path)
        if message.get_int() != 1:
            raise ProtocolTrouble
        return message.get_binary()

    @contextlib.contextmanager
    def opened(self, path: bytes, flags: int, mode: int | None = None) -> Iterator[bytes]:
        """Open a file and close it."""
        with self._handle(sftp.CMD_OPEN, path, flags, _packed(mode=mode)) as handle:
            yield handle

    @contextlib.contextmanager
    def _handle(self, *asked: Any) -> Iterator[bytes]:
        handle = self._ask(sftp.CMD_HANDLE, *asked).get_binary()
        try:
            yield handle
        finally:
            self._request(sftp.CMD_CLOSE, handle)

    def read_handle(self, handle: bytes, limit: int) -> bytes:
        """Return the whole file; raise ``TooMuch`` when it is longer."""
        data = bytearray()
        while True:
            try:
                asked = (handle, sftp.int64(len(data)), _PIECE)
                piece = self._ask(sftp.CMD_DATA, sftp.CMD_READ, *asked).get_binary()
            except Status as status:
                if status.number == sftp.SFTP_EOF:
                    return bytes(data)
                raise
            if not piece:
                raise ProtocolTrouble
            data += piece
            if len(data) > limit:
                raise TooMuch

    def write_handle(self, handle: bytes, data: bytes) -> None:
        """Write a file from its beginning, and have it on the disk where that can be asked for."""
        for place in range(0, len(data), _PIECE):
            piece = data[place : place + _PIECE]
            self._request(sftp.CMD_WRITE, handle, sftp.int64(place), piece)
        try:
            self._request(sftp.CMD_EXTENDED, b"fsync@openssh.com", handle)
        except Status as status:
            if status.number != sftp.SFTP_OP_UNSUPPORTED:
                raise

    def change(self, handle: bytes, *, mode: int, uid: int, gid: int) -> None:
        """Give what is open an owner, then a mode: the other way round loses setuid."""
        self._request(sftp.CMD_FSETSTAT, handle, _packed(uid=uid, gid=gid))
        self._request(sftp.CMD_FSETSTAT, handle, _packed(mode=mode))

    def change_path(self, path: bytes, *, mode: int, uid: int, gid: int) -> None:
        """Do the same to a directory."""
        self._request(sftp.CMD_SETSTAT, path, _packed(uid=uid, gid=gid))
        self._request(sftp.CMD_SETSTAT, path, _packed(mode=mode))

    def make_directory(self, path: bytes) -> None:
        """Make a directory for its owner alone."""
        self._request(sftp.CMD_MKDIR, path, _packed(mode=0o700))

    def remove_name(self, path: bytes, *, directory: bool = False) -> None:
        """Remove a file, or an empty directory."""
        self._request(sftp.CMD_RMDIR if directory else sftp.CMD_REMOVE, path)

    def replace(self, old: bytes, new: bytes) -> None:
        """Rename over what is there, in one step."""
        self._request(sftp.CMD_EXTENDED, b"posix-rename@openssh.com", old, new)

    def names(self, path: bytes, limit: int) -> list[tuple[bytes, SFTPAttributes]]:
        """Return at most so many names of a directory."""
        found: list[tuple[bytes, SFTPAttributes]] = []
        with self._handle(sftp.CMD_OPENDIR, path) as handle:
            while len(found) < limit:
                try:
                    message = self._ask(sftp.CMD_NAME, sftp.CMD_READDIR, handle)
                except Status as status:
                    if status.number == sftp.SFTP_EOF:
                        break
                    raise
                found += _names(message)
        return found[:limit]

    def room(self, path: bytes) -> tuple[bool, bool]:
        """Tell whether a file system is read-only, and whether it is full."""
        asked = (sftp.CMD_EXTENDED, b"statvfs@openssh.com", path)
        answer = self._ask(sftp.CMD_EXTENDED_REPLY, *asked).get_remainder()
        figures = struct.unpack(">11Q", answer)
        free_blocks, all_nodes, free_nodes, flags = figures[4], figures[5], figures[7], figures[9]
        return bool(flags & _READ_ONLY), not free_blocks or (all_nodes > 0 and not free_nodes)


class _Attributes(SFTPAttributes):
    def _unpack(self, message: paramiko.Message) -> None:
        """Refuse what no server sends: paramiko would loop as often as it says."""
        start = message.packet.tell()
        if message.get_int() & self.FLAG_EXTENDED:
            raise ProtocolTrouble
        message.packet.seek(start)
        super()._unpack(message)


def _names(message: paramiko.Message) -> Iterator[tuple[bytes, SFTPAttributes]]:
    count = message.get_int()
    if count == 0:
        raise ProtocolTrouble  # and again, and again
    for _name in range(count):
        if not message.get_remainder():  # the count is longer than the packet
            raise ProtocolTrouble
        name = message.get_binary()
        message.get_binary()  # what ls would print
        attributes = _Attributes._from_msg(message)
        if name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name:
            yield name, attributes


def _attributes(message: paramiko.Message) -> SFTPAttributes:
    found = _Attributes._from_msg(message)
    if None in (found.st_mode, found.st_size, found.st_uid, found.st_gid, found.st_mtime):
        raise ProtocolTrouble
    return found  # type: ignore[no-any-return]


def _packed(
    *, mode: int | None = None, uid: int | None = None, gid: int | None = None
) -> SFTPAttributes:
    wanted = SFTPAttributes()
    wanted.st_mode, wanted.st_uid, wanted.st_gid = mode, uid, gid
    return wanted
