"""Answer SSH on one connection to one machine: who is let in, and what they may ask for."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.channel import Channel

from democloud.machines import commands, people
from democloud.machines.machine import Machine
from democloud.machines.run import PATHS, Leave, Session
from democloud.machines.sftp import Files, SftpServer
from democloud.machines.shell import Streams, run_line
from democloud.machines.terminal import converse
from democloud.machines.tree import text_at

__all__ = ["Line", "Login", "commands"]

CHANNELS = 8
LOGIN_SECONDS = 60.0
SEND_SECONDS = 60.0
MOST_INPUT = 64 << 20
LOG = "paramiko.democloud"


class Line(paramiko.Transport):
    """One connection. What a channel asked for begins when its answer has gone out."""

    def __init__(self, connection: socket.socket, machine: Machine, key: paramiko.PKey) -> None:
        super().__init__(connection)
        self.local_version = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7"
        self.set_log_channel(LOG)
        logging.getLogger(LOG).disabled = True  # what clients do wrong is nobody's business here
        self.connection, self.began = connection, time.monotonic()
        self.login = Login(machine, self)
        self.waiting: list[Callable[[], None]] = []
        self.add_server_key(key)
        self.set_subsystem_handler("sftp", SftpServer, Files)

    def serve(self) -> None:
        """Begin to answer, on a thread of its own."""
        self.start_server(threading.Event(), self.login)

    def cut(self) -> None:
        """End it as a machine that goes down does, without waiting for anything."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    @property
    def is_late(self) -> bool:
        """Tell whether nobody has logged in for too long."""
        return not self.is_authenticated() and time.monotonic() - self.began > LOGIN_SECONDS

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)
        # A channel's end must not overtake the answer to what began it.
        while self.waiting and threading.current_thread() is self:
            self.waiting.pop(0)()


class Login(paramiko.ServerInterface):
    """What sshd decides for one connection."""

    def __init__(self, machine: Machine, line: Line) -> None:
        self.machine, self.line = machine, line
        self.name = ""
        self.sizes: dict[int, tuple[int, int]] = {}
        self.sessions: dict[int, Session] = {}

    # Who is let in --------------------------------------------------------------------------------

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password" if people.takes_passwords(self.machine) else "publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        with self.machine.lock:
            return self._let_in(username, fits=people.is_password(self.machine, username, password))

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        with self.machine.lock:
            fits = people.is_key(self.machine, username, key.get_name(), key.get_base64())
        return self._let_in(username, fits=fits)

    def _let_in(self, name: str, *, fits: bool) -> int:
        if not fits or self.machine.over:
            return paramiko.common.AUTH_FAILED
        self.name = name
        return paramiko.common.AUTH_SUCCESSFUL

    def session(self) -> Session:
        """Return a new session of who has logged in."""
        user = self.machine.users()[self.name]
        session = Session(self.machine, user, self.machine.who(user))
        try:
            session.cwd = session.place(user.home).path
        except OSError:
            session.cwd = "/"
        words = {"HOME": user.home, "USER": user.name, "LOGNAME": user.name, "PATH": PATHS}
        session.env = words | {"SHELL": user.shell, "PWD": session.cwd}
        return session

    # What they may ask for ------------------------------------------------------------------------

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != "session":
            return paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        if len(self.line._channels.values()) >= CHANNELS:
            return paramiko.common.OPEN_FAILED_RESOURCE_SHORTAGE
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_env_request(self, channel: Channel, name: bytes, value: bytes) -> bool:
        return True

    def check_channel_pty_request(
        self, channel: Channel, term: bytes, width: int, height: int, *_pixels: Any
    ) -> bool:
        self.sizes[channel.get_id()] = (width or 80, height or 24)
        return True

    def check_channel_window_change_request(
        self, channel: Channel, width: int, height: int, *_pixels: Any
    ) -> bool:
        session = self.sessions.get(channel.get_id())
        if session is not None:
            session.columns, session.rows = width or 80, height or 24
        return True

    def check_channel_exec_request(self, channel: Channel, command: bytes) -> bool:
        line = command.decode(errors="surrogateescape")
        self._begin(channel, lambda session: self._execute(session, channel, line))
        return True

    def check_channel_shell_request(self, channel: Channel) -> bool:
        if channel.get_id() in self.sizes:
            self._begin(channel, lambda session: converse(session, channel, self._greeting()))
        else:
            self._begin(channel, lambda session: self._execute_all(session, channel))
        return True

    def _greeting(self) -> str:
        kernel = f"Linux {self.machine.hostname} {self.machine.kernel} #1 SMP x86_64\n"
        return kernel + text_at(self.machine.root, "etc/motd") + "\n"

    def _begin(self, channel: Channel, talk: Callable[[Session], int]) -> None:
        thread = threading.Thread(target=self._talk, args=(channel, talk), daemon=True)
        self.line.waiting.append(thread.start)

    def _talk(self, channel: Channel, talk: Callable[[Session], int]) -> None:
        session, number = self.session(), channel.get_id()
        session.columns, session.rows = self.sizes.get(number, (80, 24))
        session.gone = lambda: bool(channel.closed)
        self.sessions[number] = session
        session.hold()
        status = 255
        try:
            status = talk(session)
        except Leave as end:
            status = end.status
        except (OSError, EOFError, paramiko.SSHException):
            pass  # nobody is there any more
        finally:
            session.leave()
            self.sessions.pop(number, None)
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                channel.send_exit_status(status)
            channel.close()

    def _execute(self, session: Session, channel: Channel, line: str) -> int:
        channel.settimeout(SEND_SECONDS)
        source = _input_of(channel)
        return run_line(session, line, Streams(source, channel.sendall, channel.sendall_stderr))

    def _execute_all(self, session: Session, channel: Channel) -> int:
        """Be a shell that reads its lines from where there is no terminal."""
        text = _input_of(channel)().decode(errors="surrogateescape")
        return self._execute(session, channel, text)


def _input_of(channel: Channel) -> Callable[[], bytes]:
    def read() -> bytes:
        data = bytearray()
        while len(data) < MOST_INPUT and (piece := channel.recv(65536)):
            data += piece
        return bytes(data)

    return read
