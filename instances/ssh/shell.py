"""A shell on a terminal, for the terminal in the browser."""

import contextlib
import select

from paramiko.channel import Channel

from instances.ssh.errors import Gone, SshError
from instances.ssh.wire import Wire

_LARGEST = 1000  # columns or rows
_PATIENCE = 30.0  # seconds


class Shell:
    """Bytes both ways. One thread may read while another one writes."""

    def __init__(self, channel: Channel, wire: Wire) -> None:
        self._channel, self._wire = channel, wire
        channel.settimeout(_PATIENCE)  # of sending alone: reading waits for the file descriptor
        channel.set_combine_stderr(True)  # a terminal has no stderr: what comes there is shown too
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def send(self, data: bytes) -> None:
        """Send all of it; ``TimedOut`` when the machine takes no more."""
        with self._wire.translated():
            while data:
                with self._wire.within(_PATIENCE + 5.0):
                    sent = self._channel.send(data)
                if not sent:
                    raise Gone
                data = data[sent:]

    def recv(self, timeout: float = 1.0, size: int = 65536) -> bytes | None:
        """Return what came, ``None`` when nothing did, ``b""`` when the shell has ended."""
        with self._wire.translated():
            channel = self._channel
            if not (channel.closed or channel.recv_ready() or self._poll.poll(1000 * timeout)):
                return None
            return channel.recv(size)

    def resize(self, cols: int, rows: int) -> None:
        """Tell the machine how large the terminal is now."""
        with self._wire.translated(), self._wire.within(_PATIENCE):
            self._channel.resize_pty(*self.bounded(cols, rows))

    def close(self) -> None:
        """End the shell."""
        with contextlib.suppress(SshError), self._wire.translated(), self._wire.within(5.0):
            self._channel.close()

    @staticmethod
    def bounded(cols: int, rows: int) -> tuple[int, int]:
        """Return a size that a terminal can have."""
        return min(max(1, cols), _LARGEST), min(max(1, rows), _LARGEST)
