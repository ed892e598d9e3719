"""A machine that was logged in to: commands with bounds, files below a root, a shell."""

import select
import shlex
import time

from paramiko.channel import Channel

from instances.ssh.carrier import Carrier
from instances.ssh.errors import Gone, TimedOut, TooMuch
from instances.ssh.facts import Output
from instances.ssh.files import Files
from instances.ssh.shell import Shell

_A_MOMENT = 5.0


class Machine(Files):
    """One connection. For one thread at a time, but for its shells.

    ``how`` is what let us in: ``password``, ``keyboard-interactive``, ``publickey``, or ``none``
    when the server asked for nothing, which proves no password.
    """

    def __init__(self, carrier: Carrier, how: str) -> None:
        super().__init__(carrier)
        self.how = how

    def run(
        self,
        *argv: str,
        timeout: float = 30.0,
        limit: int = 1_000_000,
        stdin: bytes | None = None,
    ) -> Output:
        """Run one command to its end, and return what it wrote; no shell reads its arguments.

        ``timeout`` and ``limit`` cut it off; the process may go on, deaf and mute.
        """
        command, end = command_line(argv), time.monotonic() + timeout
        wire = self._carrier.wire
        with wire.translated(), wire.within(timeout + _A_MOMENT):
            with wire.within(timeout):
                channel = self._carrier.open_session(timeout=timeout)
            try:
                with wire.within(end - time.monotonic()):
                    channel.exec_command(command)  # quoted by command_line  # nosec B601
                output = _Exchange(channel, stdin, limit).until(end)
            finally:
                self._carrier.let_go(channel)
        if output.status < 0 and not self._carrier.is_active():
            raise TooMuch if wire.flooded else Gone
        return output

    def shell(self, cols: int = 80, rows: int = 24) -> Shell:
        """Open a log-in shell on a terminal."""
        wire = self._carrier.wire
        with wire.translated(), wire.within(15.0):
            channel = self._carrier.open_session(timeout=15.0)
            try:
                channel.get_pty("xterm-256color", *Shell.bounded(cols, rows))
                channel.invoke_shell()
            except Exception:
                self._carrier.let_go(channel)
                raise
        return Shell(channel, self._carrier)


def command_line(argv: tuple[str, ...]) -> bytes:
    """Return what SSH, which knows no arguments, hands to the user's shell."""
    if not argv or not argv[0] or argv[0].startswith("-") or "=" in argv[0]:
        raise ValueError("no program")
    if any("\0" in argument for argument in argv):
        raise ValueError("NUL in an argument")
    return ("env LC_ALL=C " + shlex.join(argv)).encode("utf-8", "surrogateescape")


class _Exchange:
    """What goes to a command and comes back, up to a limit."""

    def __init__(self, channel: Channel, stdin: bytes | None, limit: int) -> None:
        self._channel, self._limit = channel, limit
        self._stdin: bytes | None = stdin or b""
        self._out, self._err = bytearray(), bytearray()
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def until(self, end: float) -> Output:
        """Talk until the command ends; raise when the end comes first."""
        while not self._is_over():
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut
            self._feed()
            # Nothing tells when the server takes more of stdin.
            self._wait(min(left, 0.02 if self._stdin else 1.0))
            self._read()
        status = self._channel.exit_status
        return Output(status if 0 <= status < 256 else -1, bytes(self._out), bytes(self._err))

    def _is_over(self) -> bool:
        if self._channel.closed or (self._channel.eof_received and self._ended()):
            self._read()
            return not (self._channel.recv_ready() or self._channel.recv_stderr_ready())
        return False

    def _wait(self, seconds: float) -> None:
        if self._channel.eof_received:  # what is polled stays ready from then on
            self._channel.status_event.wait(seconds)
        else:
            self._poll.poll(1000 * seconds)

    def _ended(self) -> bool:
        return self._channel.exit_status_ready()

    def _feed(self) -> None:
        channel = self._channel
        try:
            while self._stdin and channel.send_ready():
                self._stdin = self._stdin[channel.send(self._stdin[:65536]) :]
            if self._stdin == b"":
                channel.shutdown_write()
                self._stdin = None
        except OSError:
            if not channel.closed:
                raise
            self._stdin = None  # it ended without reading all of it

    def _read(self) -> None:
        channel = self._channel
        while channel.recv_ready():
            self._out += channel.recv(65536)
            self._check()
        while channel.recv_stderr_ready():
            self._err += channel.recv_stderr(65536)
            self._check()

    def _check(self) -> None:
        if len(self._out) + len(self._err) > self._limit:
            raise TooMuch
