"""What flows between a browser's socket and a shell, with bounds both ways.

Each side may be ahead of the other by a window, and says how much it took: a machine that prints
without end waits for the browser, a paste waits for the machine, and Ctrl-C overtakes neither.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from django.db import DatabaseError

from instances import ssh
from instances.recovery.terminals import End

PIECE = 32 * 1024
OUTPUT_WINDOW, INPUT_WINDOW = 256 * 1024, 64 * 1024
#: bytes a second of output: nobody reads faster, and the other pages need the processor too
PACE = 2 * 1024 * 1024
LONGEST_SEND = 30.0


@dataclass(frozen=True)
class Limits:
    """How many seconds nobody may type, and how many of them before the end that is said."""

    idle: float = 15 * 60.0
    warned: float = 60.0


def size_in(said: Mapping[str, Any]) -> tuple[int, int]:
    """Read a terminal's columns and rows; raise ``ValueError`` or ``KeyError``."""
    cols, rows = said["size"]
    if type(cols) is not int or type(rows) is not int:
        raise ValueError("no size")
    return ssh.Shell.bounded(cols, rows)


class Flow:
    """One terminal under way."""

    def __init__(
        self,
        shell: ssh.Shell,
        pool: Executor,
        limits: Limits,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        self._shell, self._pool, self._limits = shell, pool, limits
        self._receive, self._send = receive, send
        self._typed: deque[bytes] = deque()
        self._typed_bytes = self._shown_bytes = 0
        self._size: tuple[int, int] | None = None
        self._something_to_do, self._room = asyncio.Event(), asyncio.Event()
        self._typed_at = time.monotonic()

    async def run(self, may_go_on: Callable[[], Awaitable[End | None]], every: float) -> End:
        """Let it flow until something ends it; return what."""
        await self._say(open=True)
        tasks = [
            asyncio.ensure_future(one)
            for one in (
                self._show(),
                self._hear(),
                self._type(),
                self._watch(may_go_on, every),
            )
        ]
        try:
            done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return _end_of(done.pop())
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    async def _show(self) -> End:
        """Bring what the machine prints to the browser."""
        while True:
            while self._shown_bytes >= OUTPUT_WINDOW:
                self._room.clear()
                await self._room.wait()
            data = await self._in_thread(self._shell.recv, 1.0, PIECE)
            if data == b"":
                return End.EXITED
            if data:
                self._shown_bytes += len(data)
                async with asyncio.timeout(LONGEST_SEND):
                    await self._send({"type": "websocket.send", "bytes": data, "text": None})
                await asyncio.sleep(len(data) / PACE)

    async def _hear(self) -> End:
        """Take what the browser sends; what is no page's of ours ends it."""
        while True:
            message: Any = await self._receive()
            if message["type"] == "websocket.disconnect":
                return End.LEFT
            data = message.get("bytes")
            heard = self._keys(data) if data is not None else self._word(message.get("text"))
            if not heard:
                return End.NONSENSE

    def _keys(self, data: bytes) -> bool:
        self._typed_at = time.monotonic()
        self._typed.append(data)
        self._typed_bytes += len(data)
        self._something_to_do.set()
        return self._typed_bytes <= INPUT_WINDOW

    def _word(self, text: str | None) -> bool:
        try:
            said = json.loads((text or "")[:1000])
            if "took" in said:
                self._shown_bytes = max(0, self._shown_bytes - max(0, int(said["took"])))
                self._room.set()
            else:
                self._size = size_in(said)
                self._something_to_do.set()
        except (ValueError, KeyError, TypeError):
            return False
        return True

    async def _type(self) -> End:
        """Bring what is typed to the machine, and how large the terminal is."""
        while True:
            await self._something_to_do.wait()
            self._something_to_do.clear()
            if self._size is not None:
                size, self._size = self._size, None
                await self._in_thread(self._shell.resize, *size)
            while self._typed:
                data = self._typed.popleft()
                await self._in_thread(self._shell.send, data)
                self._typed_bytes -= len(data)
                await self._say(took=len(data))

    async def _watch(self, may_go_on: Callable[[], Awaitable[End | None]], every: float) -> End:
        """Look whether it may go on, and whether anybody is there."""
        warned_at = 0.0
        while True:
            await asyncio.sleep(every)
            if end := await may_go_on():
                return end
            left = self._typed_at + self._limits.idle - time.monotonic()
            if left <= 0:
                return End.IDLE
            if left <= self._limits.warned and warned_at != self._typed_at:
                warned_at = self._typed_at
                await self._say(idle=round(left))

    async def _say(self, **words: Any) -> None:
        async with asyncio.timeout(LONGEST_SEND):
            message: Any = {"type": "websocket.send", "bytes": None, "text": json.dumps(words)}
            await self._send(message)


def _end_of(task: "asyncio.Future[End]") -> End:
    try:
        return task.result()
    except ssh.SshError:
        return End.GONE
    except DatabaseError:
        return End.GONE
    except (OSError, TimeoutError):
        return End.LEFT
