"""SSH servers of the tests' own: they do what no honest one does, and remember what they heard."""

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
from paramiko import common
from paramiko.packet import Packetizer

from instances.ssh import HostKey, Machine, Target, connect
from instances.ssh.facts import Login

LOOPBACK = ("127.0.0.0/8",)
PASSWORD = "canary-of-the-door"
KEY, OTHER_KEY = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
LOGIN = Login("root", PASSWORD)
BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


def pinned(key: paramiko.PKey = KEY) -> HostKey:
    """Return a server's key as a person has accepted it."""
    return HostKey(key.get_name(), key.get_base64())


class Listener:
    """Hand each connection to a function; end with everything that was begun."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._door = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self.target = Target("127.0.0.1", self._door.getsockname()[1], LOOPBACK)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._door.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._served, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _served(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._serve(connection)

    def close(self) -> None:
        for one in (self._door, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def answering(serve: Callable[[socket.socket], None]) -> Iterator[Target]:
    """Run a server that speaks for itself, byte by byte."""
    listener = Listener(serve)
    try:
        yield listener.target
    finally:
        listener.close()


def silent(connection: socket.socket) -> None:
    """Listen, and say nothing."""
    while connection.recv(65536):
        pass


def says(data: bytes) -> Callable[[socket.socket], None]:
    """Return what says one thing, and then nothing."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        silent(connection)

    return serve


def packet(kind: int, *parts: bytes) -> bytes:
    """Return an SSH packet as it is before the keys are exchanged."""
    payload = bytes([kind]) + b"".join(parts)
    padding = 4 + -(len(payload) + 9) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class Heard(Packetizer):
    """Remember what arrives, decrypted."""

    log: list[tuple[int, bytes]]
    awake: threading.Event

    def read_message(self) -> tuple[int, paramiko.Message]:
        self.awake.wait(30)
        kind, message = super().read_message()
        self.log.append((kind, message.asbytes()))
        return kind, message

    def start_handshake(self, timeout: float) -> None:
        """Start no timer: its thread would outlive the test."""


class Liar(paramiko.Transport):
    """The server's side of one connection, with what it keeps to itself or says instead."""

    def __init__(self, connection: socket.socket, script: "Script") -> None:
        super().__init__(connection, packetizer_class=Heard)
        self.script = script
        self.silent = False
        self.packetizer.log, self.packetizer.awake = script.heard, script.awake
        self.set_log_channel("tests.hostile")
        logging.getLogger("tests.hostile").disabled = True
        self.add_server_key(script.key)

    def _send_message(self, data: paramiko.Message) -> None:
        kind = data.asbytes()[0]
        if kind in self.script.instead:
            self.script.instead[kind](self)
            return
        self.silent = self.silent or kind in self.script.mute
        if not self.silent:
            super()._send_message(data)  # type: ignore[misc]
        if kind == common.MSG_CHANNEL_SUCCESS:
            self.script.granted.set()

    def say(self, kind: int, *parts: bytes) -> None:
        """Send a packet of any make."""
        message = paramiko.Message()
        message.add_bytes(bytes([kind]) + b"".join(parts))
        super()._send_message(message)  # type: ignore[misc]


Play = Callable[[Any], None]


class Script(paramiko.ServerInterface):
    """What a lying server does, step by step; honest where nothing is said."""

    def __init__(self, **steps: Any) -> None:
        self.key: paramiko.PKey = KEY
        self.ways = "password"
        self.mute: tuple[int, ...] = ()  # nothing is said from there on
        self.instead: dict[int, Play] = {}
        self.exec: Play | None = None
        self.shell: Play | None = None
        self.sftp: Play | None = None
        self.prompts: list[list[tuple[str, bool]]] = []
        self.login = common.AUTH_SUCCESSFUL
        self.open = True
        for name, step in steps.items():
            assert hasattr(self, name), name
            setattr(self, name, step)
        self.awake = threading.Event()  # while it is not set, nothing is read
        self.awake.set()
        self.granted = threading.Event()
        self.heard: list[tuple[int, bytes]] = []
        self.said: list[list[str] | str] = []
        self.sizes: list[tuple[int, int]] = []

    def serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(paramiko.SSHException, EOFError):
            Liar(connection, self).start_server(server=self)

    def everything_heard(self) -> bytes:
        return b"".join(payload for _kind, payload in self.heard)

    # What paramiko asks ---------------------------------------------------------------------------

    def get_allowed_auths(self, username: str) -> str:
        return self.ways

    def check_auth_none(self, username: str) -> int:
        return common.AUTH_SUCCESSFUL if self.ways == "" else common.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self.said.append(password)
        return self.login if password == PASSWORD else common.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self.login

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        return self._question()

    def check_auth_interactive_response(self, responses: list[str]) -> Any:
        self.said.append(list(responses))
        return self._question() if self.prompts else self.login

    def _question(self) -> paramiko.InteractiveQuery:
        return paramiko.InteractiveQuery("<script>", "\x1b[2J", *self.prompts.pop(0))

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.open:
            return common.OPEN_SUCCEEDED
        return common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
        return self._play(self.exec, channel)

    def check_channel_pty_request(self, channel: Any, term: bytes, *size: Any) -> bool:
        self.sizes.append((size[0], size[1]))
        return True

    def check_channel_window_change_request(self, channel: Any, *size: Any) -> bool:
        self.sizes.append((size[0], size[1]))
        return True

    def check_channel_shell_request(self, channel: Any) -> bool:
        return self._play(self.shell, channel)

    def check_channel_subsystem_request(self, channel: Any, name: str) -> bool:
        return self._play(self.sftp, channel)

    def _play(self, play: Play | None, channel: Any) -> bool:
        def played() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                assert play
                self.granted.wait(10)  # what comes earlier would be another test
                play(channel)

        self.granted.clear()
        if play:
            threading.Thread(target=played, daemon=True).start()
        return play is not None


@contextlib.contextmanager
def lying(**steps: Any) -> Iterator[tuple[Script, Target]]:
    """Run a server that lies."""
    script = Script(**steps)
    with answering(script.serve) as target:
        yield script, target


@contextlib.contextmanager
def inside(timeout: float = 10.0, **steps: Any) -> Iterator[Machine]:
    """Log in at a server that lies."""
    with (
        lying(**steps) as (_script, target),
        connect(target, pinned(), LOGIN, timeout) as machine,
    ):
        yield machine


def raw_channel_data(channel: Any, data: bytes, *, stderr: bool = False) -> None:
    """Send data whatever the client gave leave for."""
    where = struct.pack(">I", channel.remote_chanid)
    if stderr:
        channel.transport.say(
            common.MSG_CHANNEL_EXTENDED_DATA, where + struct.pack(">I", 1) + string(data)
        )
    else:
        channel.transport.say(common.MSG_CHANNEL_DATA, where + string(data))


def exit_status(channel: Any, status: int) -> None:
    """Say any exit status, even one that no process can have."""
    where = struct.pack(">I", channel.remote_chanid)
    channel.transport.say(
        common.MSG_CHANNEL_REQUEST,
        where + string(b"exit-status") + b"\0" + struct.pack(">I", status),
    )
