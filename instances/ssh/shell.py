"""A shell on a terminal, for the terminal in the browser."""

import contextlib
import select
import threading
from collections.abc import Iterator

from paramiko.channel import Channel

from instances.ssh.carrier import Carrier
from instances.ssh.errors import Gone, SshError

_PIECE = 32768
_LARGEST = 1000  # columns or rows
_PATIENCE = 30.0  # seconds
_MARGIN = 5.0  # the connection has more, for it ends with it


class Shell:
    """Bytes both ways. One thread may read while another one writes."""

    def __init__(self, channel: Channel, carrier: Carrier) -> None:
        self._channel, self._carrier, self._wire = channel, carrier, carrier.wire
        self._sending = threading.Lock()
        channel.settimeout(_PATIENCE)  # of sending alone: reading waits for the file descriptor
        channel.set_combine_stderr(True)  # a terminal has no stderr: what comes there is shown too
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def send(self, data: bytes) -> None:
        """Send all of it; ``TimedOut`` when the machine takes no more."""
        place = 0
        while place < len(data):
            with self._one_at_a_time():
                sent = self._channel.send(data[place : place + _PIECE])
                if not sent:
                    raise Gone
            place += sent

    def recv(self, timeout: float = 1.0, size: int = 65536) -> bytes | None:
        """Return what came, ``None`` when nothing did, ``b""`` when the shell has ended."""
        with self._wire.translated():
            channel = self._channel
            if not (channel.closed or channel.recv_ready() or self._poll.poll(1000 * timeout)):
                return None
            return channel.recv(size)

    def resize(self, cols: int, rows: int) -> None:
        """Tell the machine how large the terminal is now."""
        with self._one_at_a_time():
            self._channel.resize_pty(*self.bounded(cols, rows))

    def status(self, timeout: float = 1.0) -> int | None:
        """Return its exit status, which comes a moment after the last it wrote, if it tells one."""
        channel = self._channel
        channel.status_event.wait(timeout)
        told = channel.exit_status_ready() and 0 <= channel.exit_status < 256
        return channel.exit_status if told else None

    def close(self) -> None:
        """End the shell."""
        self._carrier.hush(self._channel)  # who waits to send gives up
        with contextlib.suppress(SshError), self._one_at_a_time(5.0):
            self._carrier.let_go(self._channel)

    @contextlib.contextmanager
    def _one_at_a_time(self, seconds: float = 0.0) -> Iterator[None]:
        """Send nothing after the end, nor without end."""
        bound = self._wire.within(seconds or _PATIENCE + _MARGIN)
        with self._wire.translated(), bound, self._sending:
            yield

    @staticmethod
    def bounded(cols: int, rows: int) -> tuple[int, int]:
        """Return a size that a terminal can have."""
        return min(max(1, cols), _LARGEST), min(max(1, rows), _LARGEST)
