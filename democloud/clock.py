"""Hold the look-alike's time: how stamps are written, and what happens later."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """Return the present in UTC, to the second, as Nova's database keeps it."""
    return datetime.now(UTC).replace(microsecond=0)


def ago(**span: float) -> datetime:
    """Return a moment in the past."""
    return now() - timedelta(**span)


def iso(moment: datetime) -> str:
    """Write a stamp the way `created` and `updated` are written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def long_iso(moment: datetime | None) -> str | None:
    """Write a stamp the way `launched_at` and the instance actions are written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000") if moment else None


def precise_iso(moment: datetime) -> str:
    """Write a stamp the way Keystone does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def parse(text: str) -> datetime:
    """Read an ISO 8601 stamp; one without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Agenda:
    """What is still to happen, on the event loop; forgotten at once by `clear`."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        handle: asyncio.TimerHandle

        def run() -> None:
            self._handles.discard(handle)
            act()

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self._handles.add(handle)

    def clear(self) -> None:
        """Let nothing of it happen any more."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
