"""OpenStack's own client works on it, unmodified."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.democloud.conftest import Demo
from tests.services import ROOT

CLIENT = Path(sys.executable).with_name("openstack")


@pytest.fixture(scope="session")
def clouds_yaml(running: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clouds.yaml for the running democloud."""
    port = running.base.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "democloud", "--port", port, "--print-clouds-yaml"]
    path = tmp_path_factory.mktemp("clouds") / "clouds.yaml"
    path.write_bytes(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    return path


def openstack(clouds_yaml: Path, cloud: str, *words: str) -> Any:
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(clouds_yaml)}
    command = [CLIENT, "--os-cloud", cloud, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "json" in words else done.stdout


def test_cli_rescues_and_unrescues(demo: Demo, clouds_yaml: Path) -> None:
    image = "Debian Rescue (temporary password)"
    openstack(clouds_yaml, "acme", "server", "rescue", "--image", image, "web-1")
    shown = openstack(clouds_yaml, "alice", "server", "show", "web-1", "-f", "json")
    assert shown["status"] == "RESCUE"
    said = openstack(clouds_yaml, "acme", "console", "log", "show", "web-1")
    assert "password of root set from admin_pass" in said

    openstack(clouds_yaml, "acme", "server", "unrescue", "web-1")
    listed = openstack(clouds_yaml, "acme", "server", "list", "-f", "json", "--name", "^web-1$")
    assert [one["Status"] for one in listed] == ["ACTIVE"]


def test_cli_lists(demo: Demo, clouds_yaml: Path) -> None:
    images = openstack(clouds_yaml, "acme", "image", "list", "-f", "json")
    assert {"Debian 12", "Windows Server 2022"} <= {one["Name"] for one in images}
    assert "CentOS 7 (end of life)" not in {one["Name"] for one in images}
    flavors = openstack(clouds_yaml, "acme", "flavor", "list", "-f", "json")
    assert "b2-7" in {one["Name"] for one in flavors}
    sbg = openstack(clouds_yaml, "acme@sbg", "server", "list", "-f", "json")
    assert "edge-arm" in {one["Name"] for one in sbg}


def test_console_tells_when_no_password_arrived(demo: Demo) -> None:
    demo.act("ci-runner-1", "rescue")
    demo.control("GET", "knobs")

    output = demo.act("ci-runner-1", "os-getConsoleOutput", {}).json()["output"]

    assert "no admin_pass for this boot" in output
