"""Serve the files of a machine over SFTP, as OpenSSH's server does."""

import errno
import functools
import os
import posixpath
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import paramiko
from paramiko import sftp as numbers
from paramiko.sftp_attr import SFTPAttributes

from democloud.machines.run import Session
from democloud.machines.tree import Node
from democloud.machines.vfs import BIGGEST, READ, Mount, refuse

if TYPE_CHECKING:
    from democloud.machines.sshd import Login

READ_ONLY = 1  # SSH_FXE_STATVFS_ST_RDONLY
BLOCK = 4096
Answer = TypeVar("Answer")


def guarded(act: Callable[..., Answer]) -> Callable[..., Answer | int]:
    """Do it alone on the machine; errors become SFTP's numbers."""

    @functools.wraps(act)
    def alone(self: Any, *args: Any) -> Answer | int:
        session: Session = self.session
        try:
            with session.machine.lock:
                if session.machine.over:
                    raise refuse(errno.EIO)
                return act(self, *args)
        except OSError as problem:
            return paramiko.SFTPServer.convert_errno(problem.errno or 0)

    return alone


def attributes(node: Node, name: str = "") -> SFTPAttributes:
    """Return what SFTP tells of a node; its text is how ls -l would show it."""
    found = SFTPAttributes()
    found.st_mode, found.st_size = node.full_mode, node.size
    found.st_uid, found.st_gid = node.uid, node.gid
    found.st_atime = found.st_mtime = int(node.mtime)
    found.filename = name
    return found


class OpenFile(paramiko.SFTPHandle):
    """A file that is open: what is written is on the disk at once."""

    def __init__(self, session: Session, mount: Mount, node: Node, flags: int) -> None:
        super().__init__(flags)
        self.session, self.mount, self.node, self.flags = session, mount, node, flags

    @guarded
    def read(self, offset: int, length: int) -> bytes:
        if self.flags & os.O_WRONLY:
            raise refuse(errno.EBADF)
        return self.node.read()[offset : offset + min(length, 1 << 18)]

    @guarded
    def write(self, offset: int, data: bytes) -> int:
        if not self.flags & (os.O_WRONLY | os.O_RDWR):
            raise refuse(errno.EBADF)
        before = self.node.read()
        if self.flags & os.O_APPEND:
            offset = len(before)
        if offset > BIGGEST:
            raise refuse(errno.ENOSPC)
        whole = before[:offset].ljust(offset, b"\0") + data + before[offset + len(data) :]
        self.session.machine.ns.fill(self.mount, self.node, whole)
        return numbers.SFTP_OK

    @guarded
    def stat(self) -> SFTPAttributes:
        return attributes(self.node)

    @guarded
    def chattr(self, attr: SFTPAttributes) -> int:
        if self.mount.read_only:
            raise refuse(errno.EROFS)
        return change(self.session, self.node, attr)


def change(session: Session, node: Node, attr: SFTPAttributes) -> int:
    """Give a node the owner, mode, time or size that is asked for."""
    who = session.who
    if who.uid not in (0, node.uid):
        raise refuse(errno.EPERM)
    if attr.st_uid is not None and attr.st_gid is not None:
        if who.uid:
            raise refuse(errno.EPERM)
        node.uid, node.gid = attr.st_uid, attr.st_gid
    if attr.st_mode is not None:
        node.mode = attr.st_mode & 0o7777
    if attr.st_mtime is not None:
        node.mtime = float(attr.st_mtime)
    if attr.st_size is not None and node.kind == "file":
        node.data = node.data[: attr.st_size].ljust(min(attr.st_size, BIGGEST), b"\0")
    return numbers.SFTP_OK


class Files(paramiko.SFTPServerInterface):
    """The files one login sees."""

    def __init__(self, server: "Login") -> None:
        super().__init__(server)
        self.session = server.session()
        self.ns = self.session.machine.ns

    @guarded
    def list_folder(self, path: str) -> list[SFTPAttributes]:
        names = self.ns.listing(self.session.who, path, self.session.cwd)
        return [attributes(node, name) for name, node in names.items()]

    @guarded
    def stat(self, path: str) -> SFTPAttributes:
        return attributes(self.ns.look(self.session.who, path, self.session.cwd))

    @guarded
    def lstat(self, path: str) -> SFTPAttributes:
        who, cwd = self.session.who, self.session.cwd
        # A slash at its end follows a link, as the system call does.
        return attributes(self.ns.look(who, path, cwd, follow=path.endswith("/")))

    @guarded
    def open(self, path: str, flags: int, attr: SFTPAttributes) -> OpenFile:
        session, place = self.session, self.session.place(path)
        if flags & (os.O_WRONLY | os.O_RDWR):
            if place.node is None and not flags & os.O_CREAT:
                raise refuse(errno.ENOENT, path)
            mode = 0o644 if attr.st_mode is None else attr.st_mode & 0o777
            exclusive = bool(flags & os.O_EXCL)
            node = self.ns.open_for_writing(
                session.who, path, session.cwd, mode, exclusive=exclusive
            )
            if flags & os.O_TRUNC:
                self.ns.fill(place.mount, node, b"")
            return OpenFile(session, place.mount, node, flags)
        node = self.ns.look(session.who, path, session.cwd)
        if node.kind != "file" or not session.who.may(node, READ):
            raise refuse(errno.EACCES if node.kind == "file" else errno.EINVAL, path)
        return OpenFile(session, place.mount, node, flags)

    @guarded
    def remove(self, path: str) -> int:
        self.ns.remove(self.session.who, path, self.session.cwd)
        return numbers.SFTP_OK

    @guarded
    def rename(self, oldpath: str, newpath: str) -> int:
        if self.session.place(newpath, follow=False).node is not None:
            raise refuse(errno.EEXIST, newpath)
        self.ns.rename(self.session.who, oldpath, newpath, self.session.cwd)
        return numbers.SFTP_OK

    @guarded
    def posix_rename(self, oldpath: str, newpath: str) -> int:
        self.ns.rename(self.session.who, oldpath, newpath, self.session.cwd)
        return numbers.SFTP_OK

    @guarded
    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        mode = 0o777 if attr.st_mode is None else attr.st_mode & 0o7777
        self.ns.mkdir(self.session.who, path, self.session.cwd, mode & ~0o022)
        return numbers.SFTP_OK

    @guarded
    def rmdir(self, path: str) -> int:
        self.ns.rmdir(self.session.who, path, self.session.cwd)
        return numbers.SFTP_OK

    @guarded
    def chattr(self, path: str, attr: SFTPAttributes) -> int:
        return change(self.session, self.ns.change(self.session.who, path, self.session.cwd), attr)

    @guarded
    def readlink(self, path: str) -> str:
        node = self.ns.look(self.session.who, path, self.session.cwd, follow=False)
        if node.kind != "link":
            raise refuse(errno.EINVAL, path)
        return node.target

    @guarded
    def symlink(self, target_path: str, path: str) -> int:
        self.ns.symlink(self.session.who, target_path, path, self.session.cwd)
        return numbers.SFTP_OK

    def canonicalize(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.session.cwd, path))

    @guarded
    def room(self, path: str) -> bytes:
        """Return what statvfs tells of the file system that holds a path."""
        mount = self.session.place(path).mount
        size, free = mount.fs.size // BLOCK, max(0, mount.fs.free) // BLOCK
        flags = READ_ONLY if mount.read_only else 0
        nodes = max(1, size // 4)
        return struct.pack(
            ">11Q", BLOCK, BLOCK, size, free, free, nodes, nodes // 2, nodes // 2, 0, flags, 255
        )


class SftpServer(paramiko.SFTPServer):
    """paramiko's, with the two of OpenSSH's extensions that careful clients ask for."""

    def _process(self, t: int, request_number: int, msg: paramiko.Message) -> None:
        if t != numbers.CMD_EXTENDED:
            super()._process(t, request_number, msg)
            return
        start = msg.packet.tell()
        name = msg.get_text()
        if name == "fsync@openssh.com":
            self._send_status(request_number, numbers.SFTP_OK)
        elif name == "statvfs@openssh.com":
            self._tell_room(request_number, msg.get_text())
        else:
            msg.packet.seek(start)
            super()._process(t, request_number, msg)

    def _tell_room(self, request_number: int, path: str) -> None:
        found = self.server.room(path)
        if isinstance(found, int):
            self._send_status(request_number, found)
            return
        answer = paramiko.Message()
        answer.add_int(request_number)
        answer.add_bytes(found)
        self._send_packet(numbers.CMD_EXTENDED_REPLY, answer)
