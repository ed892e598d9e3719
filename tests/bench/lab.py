"""The lab's side of a bench: its clouds, how many servers are there, what its Nova was asked."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import openstack
import psutil

from tests.panel import PASSWORD, Panel
from tests.services import ROOT

HOME = Path(os.environ.get("LAB_HOME", "/var/tmp/rescue-lab"))
FOLDER = Path(os.environ.get("RESCUE_LAB_DIR", ROOT / "../shared/lab"))
#: a project that no test uses
PROJECT = "gamma"


def connect(cloud: str) -> "openstack.connection.Connection":
    """Open one of the lab's clouds."""
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(HOME / "clouds.yaml")
    return openstack.connect(cloud=cloud)


def seed(number: int) -> None:
    """See to it that the project has at least so many servers, the most of them copies."""
    conn = connect(f"portal-{PROJECT}")
    there = sum(1 for _ in conn.compute.servers(details=False))
    few = max(0, 20 - there)
    if few:
        _seed(str(few), PROJECT, "--plain")
    if number > there + few:
        _seed(str(number - there - few), PROJECT, "--clone")


def _seed(*arguments: str) -> None:
    subprocess.run([FOLDER / "seed", *arguments], check=True, stdout=subprocess.DEVNULL)


class Asked:
    """Counts the requests that Nova logged since some moment, by its project's id."""

    def __init__(self, project_id: str) -> None:
        self._log, self._project = HOME / "log/nova-api.log", project_id
        self.start()

    def start(self) -> None:
        self._from = self._log.stat().st_size

    def calls(self) -> list[str]:
        """Return what was asked: method and path without its query's values."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            lines = log.read().decode(errors="replace").splitlines()
        found = []
        for line in lines:
            asked = re.search(r'requestlog \[.*?\] \S+ "(\w+) (\S+)', line)
            if asked and self._project in line:
                found.append(f"{asked[1]} {re.sub(r'=[^&]*', '', asked[2])}")
        return found


@contextmanager
def panel_of(folder: Path, cloud: str, **settings: str) -> Iterator[Panel]:
    """Make a panel whose team Acme has one of the lab's clouds; nothing of it runs yet."""
    panel = Panel(folder, OS_CLIENT_CONFIG_FILE=str(HOME / "clouds.yaml"), **settings)
    panel.manage("migrate", "-v0")
    panel.manage("create_team", "Acme", "--owner", "alice@example.org", text=f"{PASSWORD}\n")
    panel.manage("connect_cloud", "Acme", "--os-cloud", cloud)
    yield panel


@contextmanager
def on_a_core_of_its_own() -> Iterator[None]:
    """Keep the cloud on the first core, and whoever uses it, this process and its own, off it.

    A panel that shares two cores with the cloud it measures takes from the cloud what it computes
    with, which nobody's panel does.
    """
    ours = os.sched_getaffinity(0)
    cloud = {min(ours)}
    try:
        _keep_cloud_on(cloud)
        os.sched_setaffinity(0, ours - cloud)
        yield
    finally:
        os.sched_setaffinity(0, ours)
        _keep_cloud_on(ours)


def _keep_cloud_on(cores: set[int]) -> None:
    pids = [int(path.read_text().split()[0]) for path in (HOME / "run").glob("*pid")]
    there = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    for process in {one for top in there for one in (top, *top.children(recursive=True))}:
        with suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)


def quiet(seconds: float = 1.0) -> None:
    """Let what came before die away."""
    time.sleep(seconds)
