"""The real OpenStack of ../shared/lab, started when it is there, and a panel connected to it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.panel import PASSWORD, Panel
from tests.services import ROOT

LAB = Path(os.environ.get("RESCUE_LAB_DIR", ROOT.parent / "shared" / "lab"))
LAB_HOME = Path(os.environ.get("LAB_HOME", "/var/tmp/rescue-lab"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add what the panel knew to the report of a failed test."""
    report = yield
    panel = getattr(item, "funcargs", {}).get("lab_panel")
    if panel and report.failed:
        report.sections.append(("the panel", panel.account()))
    return report


@pytest.fixture(scope="session")
def lab() -> Path:
    """Return the folder of the running lab; skip where there is none to start."""
    if not (LAB / "up").exists():
        pytest.skip(f"no lab at {LAB}: the real Nova is not tested here")
    subprocess.run([LAB / "up"], check=True, stdout=subprocess.DEVNULL)
    return LAB_HOME


@pytest.fixture(scope="session")
def lab_environment(lab: Path) -> dict[str, str]:
    """Return the environment in which OpenStack's clients find the lab."""
    return {"OS_CLIENT_CONFIG_FILE": str(lab / "clouds.yaml")}


@pytest.fixture
def knobs(lab: Path) -> Iterator[Path]:
    """Let a test set the hypervisor's knobs; put back what was there."""
    path = lab / "knobs.json"
    before = path.read_text() if path.exists() else "{}"
    yield path
    path.write_text(before)


@pytest.fixture(scope="session")
def lab_panel(
    lab_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Panel]:
    """Run a panel whose team Acme Web is connected to project alpha of the lab."""
    panel = Panel(tmp_path_factory.mktemp("panel"), **lab_environment)
    panel.manage("migrate", "-v0")
    panel.manage("create_team", "Acme Web", "--owner", "alice@example.org", text=f"{PASSWORD}\n")
    panel.manage("connect_cloud", "Acme Web", "--os-cloud", "app-alice-alpha")
    with panel.running():
        yield panel


def openstack(environment: dict[str, str], *command: str) -> str:
    """Run OpenStack's own client as alice."""
    import sys

    client = Path(sys.executable).with_name("openstack")
    return subprocess.run(
        [client, "--os-cloud", "alice", *command],
        env=os.environ | environment, check=True, text=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip


@pytest.fixture
def lab_server(made_server: str, knobs: Path, lab_environment: dict[str, str]) -> str:
    """Return the name of a server that is running, whatever the test before has left of it."""
    environment, name = lab_environment, made_server
    shown = json.loads(openstack(environment, "server", "show", "-f", "json", name))["status"]
    if shown != "ACTIVE":
        knobs.write_text("{}")
        back = ["unrescue"] if shown == "RESCUE" else ["reboot", "--hard", "--wait"]
        openstack(environment, "server", *back, name)
    return name


@pytest.fixture(scope="session")
def made_server(lab_environment: dict[str, str]) -> Iterator[str]:
    """Make a server with a config drive in project alpha; return its name.

    What a run that was killed has left behind is deleted first.
    """
    left = openstack(lab_environment, "server", "list", "--name", "^panel-", "-f", "json")
    if ids := [one["ID"] for one in json.loads(left)]:
        openstack(lab_environment, "server", "delete", "--wait", *ids)
    name = f"panel-{int(time.time())}"
    made = openstack(
        lab_environment, "server", "create", "--image", "Debian 12", "--flavor", "s1-2",
        "--network", "Ext-Net", "--config-drive", "True", "--wait", "-f", "json", name,
    )  # fmt: skip
    yield name
    openstack(lab_environment, "server", "delete", str(json.loads(made)["id"]))
