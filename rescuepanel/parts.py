"""Keep the demo's processes alive: start, watch, start again with growing pauses, stop."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LONGEST_PAUSE = 10.0
_STEADY_AFTER = 30.0
_PR_SET_PDEATHSIG = 1


def say(sentence: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """Ask Linux to end this child when the supervisor dies, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Part:
    """One process of the demo, and how it is started and stopped."""

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 5.0
    process: asyncio.subprocess.Process | None = None
    keeper: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """Return where the part's output goes."""
        return self.folder / "logs" / f"{self.name}.log"

    async def start(self) -> asyncio.subprocess.Process:
        """Start the process once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.environment),
                # A group of its own: Ctrl-C reaches the supervisor only, which stops all in order.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        return self.process

    async def keep(self) -> None:
        """Start the process and, for as long as the demo runs, start it again when it ends."""
        self.keeper = asyncio.create_task(self._keep(await self.start()))

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        pause = 0.5
        while True:
            started = time.monotonic()
            code = await process.wait()
            _kill_group(process.pid)
            pause = 0.5 if time.monotonic() - started > _STEADY_AFTER else pause
            say(f"  {self.name} ended ({_how(code)}); starting it again. Its log: {self.log}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            process = await self.start()

    async def run_once(self) -> None:
        """Run the process to its end; raise when it fails."""
        self.log.unlink(missing_ok=True)
        process = await self.start()
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await self.stop()
            raise
        if code:
            raise PartFailedError(self, code)

    async def stop(self) -> None:
        """Stop the process and all it started."""
        if self.keeper:
            self.keeper.cancel()
            await asyncio.wait({self.keeper})
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(self.stop_signal)
        try:
            async with asyncio.timeout(self.patience):
                await self.process.wait()
        except TimeoutError:
            say(f"  {self.name} did not stop within {self.patience:.0f} s: ended it.")
        _kill_group(self.process.pid)
        await self.process.wait()


class PartFailedError(Exception):
    """A part that has to succeed did not."""

    def __init__(self, part: Part, code: int) -> None:
        tail = part.log.read_text(errors="replace").strip().splitlines()[-15:]
        super().__init__(f"{part.name} failed ({_how(code)}):\n" + "\n".join(tail))


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
