"""Run every case of the contract twice: against a democloud and against the lab's real Nova."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.contract.clouds import Cloud, Democloud, Lab
from tests.services import ROOT, running_democloud

LAB = Path(os.environ.get("RESCUE_LAB_DIR", ROOT.parent / "shared" / "lab"))
LAB_HOME = Path(os.environ.get("LAB_HOME", "/var/tmp/rescue-lab"))


@pytest.fixture(scope="session", params=["democloud", pytest.param("lab", marks=pytest.mark.lab)])
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """Return a cloud with the lab's cast, empty at the start and at the end."""
    if request.param == "lab":
        yield from _lab()
    else:
        yield from _democloud(tmp_path_factory.mktemp("contract") / "clouds.yaml")


def _democloud(clouds_yaml: Path) -> Iterator[Cloud]:
    with running_democloud("--seed", "lab", "--instant") as url:
        base = url.removesuffix("/identity/v3")
        port = base.rsplit(":", 1)[1]
        command = [sys.executable, "-m", "democloud", "--seed", "lab", "--port", port]
        printed = subprocess.run(
            [*command, "--print-clouds-yaml"], check=True, capture_output=True, cwd=ROOT
        )
        clouds_yaml.write_bytes(printed.stdout)
        yield from _cleaned(Democloud(clouds_yaml, base))


def _lab() -> Iterator[Cloud]:
    if os.environ.get("CONTRACT") == "democloud":
        pytest.skip("CONTRACT=democloud: the real Nova is left out by wish")
    if not (LAB / "up").exists():
        pytest.skip(f"no lab at {LAB}: what democloud answers is not compared with a real Nova")
    if not _answers():
        subprocess.run([LAB / "up"], check=True, stdout=subprocess.DEVNULL)
    yield from _cleaned(Lab(LAB, LAB_HOME))


def _answers() -> bool:
    base = int(os.environ.get("LAB_PORT_BASE", "15000"))
    try:
        found = [requests.get(f"http://127.0.0.1:{base + n}/", timeout=5) for n in (0, 2, 4)]
    except requests.RequestException:
        return False
    return all(one.status_code < 500 for one in found)


def _cleaned(cloud: Cloud) -> Iterator[Cloud]:
    cloud.knobs()
    cloud.sweep()
    try:
        yield cloud
    finally:
        cloud.clean()


@pytest.fixture(scope="module")
def server(cloud: Cloud) -> str:
    """Return a server of carol's that the cases of a module share."""
    return cloud.boot("shared")


@pytest.fixture
def active(cloud: Cloud, server: str) -> str:
    """Return the shared server, ACTIVE."""
    assert cloud.back(server) == "ACTIVE active -"
    return server


@pytest.fixture
def rescued(cloud: Cloud, server: str) -> str:
    """Return the shared server, in RESCUE."""
    if cloud.state(server) != "RESCUE rescued -":
        cloud.back(server)
        assert cloud.rescue(server).status == 200
        assert cloud.settle(server) == "RESCUE rescued -"
    return server
