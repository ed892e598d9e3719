"""The supervisor's processes: restarted when they die, gone when it stops."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rescuepanel.parts import Part, PartFailedError
from tests.services import ROOT, wait_until

WITH_A_CHILD = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c',"
    " 'import time; time.sleep(60)']); print(child.pid, flush=True); time.sleep(60)"
)
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN);"
    " print('up', flush=True); time.sleep(60)"
)


def part(folder: Path, code: str, patience: float = 3.0) -> Part:
    return Part("thing", [sys.executable, "-c", code], folder, os.environ, patience=patience)


async def until(check: object, seconds: float = 5.0) -> None:
    await asyncio.to_thread(wait_until, check, "the expected", seconds)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_part_that_dies_is_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        thing = part(tmp_path, "import time; time.sleep(60)")
        await thing.keep()
        assert thing.process
        first = thing.process.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: thing.process and thing.process.pid != first)
        assert alive(thing.process.pid)
        await thing.stop()
        assert not alive(thing.process.pid)

    asyncio.run(run())
    assert "thing ended (SIGKILL); starting it again" in capsys.readouterr().out


def test_pauses_between_starts_grow(tmp_path: Path) -> None:
    async def run() -> int:
        thing = part(tmp_path, "print('x', flush=True); raise SystemExit(3)")
        await thing.keep()
        await asyncio.sleep(3)
        await thing.stop()
        return thing.log.read_text().count("x")

    assert 2 <= asyncio.run(run()) <= 3


def test_stopping_takes_the_children_along(tmp_path: Path) -> None:
    async def run() -> int:
        thing = part(tmp_path, WITH_A_CHILD)
        await thing.keep()
        await until(lambda: thing.log.read_text())
        child = int(thing.log.read_text())
        assert alive(child)
        await thing.stop()
        return child

    child = asyncio.run(run())
    wait_until(lambda: not alive(child), "the child's end", 3)


def test_what_does_not_listen_is_ended(tmp_path: Path) -> None:
    async def run() -> float:
        thing = part(tmp_path, STUBBORN, patience=0.5)
        await thing.keep()
        await until(lambda: thing.log.read_text())
        started = time.monotonic()
        await thing.stop()
        return time.monotonic() - started

    assert 0.4 < asyncio.run(run()) < 3


def test_a_first_step_that_fails_shows_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(
        PartFailedError, match=r"thing failed \(exit status 1\):\n(.|\n)*no such luck"
    ):
        asyncio.run(part(tmp_path, "raise SystemExit('no such luck')").run_once())


def test_parts_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, os, sys
from pathlib import Path
from rescuepanel.parts import Part
async def run():
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    thing = Part("thing", sleep, Path({str(tmp_path)!r}), os.environ)
    await thing.keep()
    print(thing.process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(run())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert supervisor.stdout
    child = int(supervisor.stdout.readline())
    assert alive(child)
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: not alive(child), "the part's end", 5)
