"""The TCP connection below paramiko, which ends by itself, and what its end means."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import paramiko

from instances.addresses import Address
from instances.ssh.errors import (
    Gone,
    PortClosed,
    ProtocolTrouble,
    Silent,
    SshError,
    TimedOut,
    TooMuch,
    TooOld,
)

#: what may come before the log-in: banners, key exchange, a motd; usually some 4 kB
_MOST_BEFORE_LOGIN = 256 * 1024
_DEAD_AFTER = 20  # seconds


class Wire(socket.socket):
    """A TCP connection that ends by itself: at its deadline, and when too much comes too early.

    The deadline works for whoever waits on it: paramiko's thread looks every 0.1 s, and when it
    ends, so does everybody who waits for an answer.
    """

    def __init__(self, address: Address, port: int, seconds: float) -> None:
        super().__init__(socket.AF_INET if address.version == 4 else socket.AF_INET6)
        self._ends = [time.monotonic() + seconds]
        self._before_login: int | None = _MOST_BEFORE_LOGIN
        self.overdue = self.flooded = self.hung_up = False
        self.received = 0
        self.settimeout(seconds)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER * 1000)
        try:
            self.connect((str(address), port))
        except ConnectionRefusedError:
            self.close()
            raise PortClosed from None
        except OSError:
            self.close()
            raise Silent from None

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive, unless it is over."""
        self._look()
        with self._watched():
            data = super().recv(size, flags)
        self.hung_up = not data
        self.received += len(data)
        if self._before_login is not None and self.received > self._before_login:
            self.flooded = True
            raise EOFError
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        """Send, unless it is over."""
        self._look()
        with self._watched():
            return super().send(data, flags)

    def _look(self) -> None:
        if self.overdue or not self.left:
            self.overdue = True  # and for good: half of a packet may have been sent
            raise EOFError

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Remember that the other end is gone: paramiko tells it later, or never."""
        try:
            yield
        except ConnectionError:
            self.hung_up = True
            raise

    def close(self) -> None:
        """Close, and wake who still reads."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        super().close()

    @property
    def left(self) -> float:
        """How many seconds there still are."""
        return max(0.0, min(self._ends) - time.monotonic())

    def logged_in(self) -> None:
        """Lift the limits of before the log-in."""
        self._before_login = None
        self._ends = [float("inf")]

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End the connection when this takes longer; threads may do so side by side."""
        end = time.monotonic() + seconds
        self._ends.append(end)
        try:
            yield
        except Exception:
            self.overdue |= time.monotonic() >= end  # paramiko's own timers may be the first
            raise
        finally:
            self._ends.remove(end)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn whatever paramiko stumbles over into one of ours."""
        try:
            yield
        except SshError:
            raise
        except Exception as error:  # of any kind: paramiko raises what its thread died of
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> SshError:
        if self.overdue or not self.left or isinstance(error, TimeoutError):
            return TimedOut()
        if self.flooded:
            return TooMuch()
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            return TooOld()
        lost_at_work = self._before_login is None and (self.hung_up or self._closed)
        if isinstance(error, (EOFError, OSError)) or lost_at_work or not self.received:
            return Gone()
        return ProtocolTrouble()
