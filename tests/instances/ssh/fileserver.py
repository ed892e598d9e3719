"""SFTP by hand: an honest answer to each question, but for those that a test gives."""

import struct
from collections.abc import Callable
from typing import Any

from paramiko import sftp

from tests.instances.ssh.hostile import string

Answer = tuple[int, bytes] | None
Answers = dict[int, Callable[[bytes], Answer]]

FILE = "/mnt/file"
_DIRECTORY, _REGULAR, _LINK = 0o40755, 0o100644, 0o120777


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def attributes(mode: int = _REGULAR, size: int = 4, *, flags: int = 0x0F) -> bytes:
    """Return size, owner, mode and times, as far as the flags say so."""
    parts = {1: struct.pack(">Q", size), 2: struct.pack(">II", 0, 0), 4: number(mode)}
    parts |= {8: struct.pack(">II", 7, 7)}
    return number(flags) + b"".join(part for flag, part in parts.items() if flags & flag)


def status(value: int) -> Answer:
    return sftp.CMD_STATUS, number(value) + string(b"<script>canary") + string(b"en")


def name(*names: bytes, count: int | None = None) -> Answer:
    entries = b"".join(string(one) + string(b"ls says") + attributes() for one in names)
    return sftp.CMD_NAME, number(len(names) if count is None else count) + entries


def looked(path: bytes) -> Answer:
    """Say that there is a folder /mnt with a file and a folder, as an honest server would."""
    known = {b"/mnt": _DIRECTORY, b"/mnt/file": _REGULAR, b"/mnt/dir": _DIRECTORY}
    mode = known.get(path, _LINK if path == b"/mnt/link" else 0)
    return (sftp.CMD_ATTRS, attributes(mode)) if mode else status(sftp.SFTP_NO_SUCH_FILE)


HONEST: Answers = {
    sftp.CMD_LSTAT: lambda body: looked(body[4:]),
    sftp.CMD_FSTAT: lambda _body: (sftp.CMD_ATTRS, attributes()),
    sftp.CMD_OPEN: lambda _body: (sftp.CMD_HANDLE, string(b"h")),
    sftp.CMD_OPENDIR: lambda _body: (sftp.CMD_HANDLE, string(b"h")),
    sftp.CMD_READ: lambda body: (
        (sftp.CMD_DATA, string(b"data")) if body[5:13] == bytes(8) else status(sftp.SFTP_EOF)
    ),
    sftp.CMD_EXTENDED: lambda body: (
        (sftp.CMD_EXTENDED_REPLY, struct.pack(">11Q", *[8] * 9, 0, 255))
        if b"statvfs" in body[:30]
        else status(0)
    ),
}


class FileServer:
    """SFTP by hand, with what a test wants answered otherwise."""

    def __init__(self, answers: Answers | None = None) -> None:
        self.answers = HONEST | (answers or {})
        self.asked: list[tuple[int, bytes]] = []
        self.sessions = 0

    def __call__(self, channel: Any) -> None:
        self.sessions += 1
        stream = channel.makefile("rb")
        while head := stream.read(5):
            size, kind = struct.unpack(">IB", head)
            body = stream.read(size - 1)
            if kind == sftp.CMD_INIT:
                self.say(channel, sftp.CMD_VERSION, number(3))
                continue
            self.asked.append((kind, body[4:]))
            answer = self.answers.get(kind, lambda _body: status(0))(body[4:])
            if answer:
                self.say(channel, answer[0], body[:4] + answer[1])

    def say(self, channel: Any, kind: int, body: bytes) -> None:
        channel.sendall(struct.pack(">IB", len(body) + 1, kind) + body)
