"""Run a democloud of the demo's seed, in its own process, for the tests of its knobs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.democloud.machines import Machines, running_machines
from tests.services import ROOT, running_democloud


class Demo:
    """A democloud over HTTP: its control API, and Nova as one of its application credentials."""

    def __init__(self, url: str, entries: dict[str, Any]) -> None:
        self.url = url
        self.base = url.removesuffix("/identity/v3")
        self.entries = entries
        self._tokens: dict[str, str] = {}

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control API."""
        answer = requests.request(method, f"{self.base}/_demo/{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def knobs(self, **changes: Any) -> None:
        """Set knobs."""
        self.control("PUT", "knobs", changes)

    def sign_in(self, entry: str = "acme") -> requests.Response:
        """Ask Keystone for a token."""
        given = self.entries[entry]["auth"]
        credential = {
            "id": given["application_credential_id"],
            "secret": given["application_credential_secret"],
        }
        identity = {"methods": ["application_credential"], "application_credential": credential}
        body = {"auth": {"identity": identity}}
        return requests.post(f"{self.url}/auth/tokens", json=body, timeout=30)

    def token(self, entry: str = "acme") -> str:
        """Return a token, the same each time."""
        if entry not in self._tokens:
            self._tokens[entry] = self.sign_in(entry).headers["X-Subject-Token"]
        return self._tokens[entry]

    def ask(
        self, method: str, path: str, body: Any = None, *, by: str = "acme", slug: str = "gra"
    ) -> requests.Response:
        """Ask Nova of a region."""
        headers = {"X-Auth-Token": self.token(by), "OpenStack-API-Version": "compute 2.96"}
        url = f"{self.base}/{slug}/compute/v2.1{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=30)

    def server(self, name: str) -> dict[str, Any]:
        """Return a server of acme's by its name."""
        listed = self.ask("GET", f"/servers/detail?name=^{name}$").json()["servers"]
        found: dict[str, Any] = listed[0]
        return found

    def act(self, name: str, action: str, value: Any = None, by: str = "acme") -> requests.Response:
        """Post an action to a server of acme's."""
        path = f"/servers/{self.server(name)['id']}/action"
        return self.ask("POST", path, {action: value}, by=by)

    def actions(self, name: str) -> list[dict[str, Any]]:
        """Return the actions of a server, the newest first."""
        path = f"/servers/{self.server(name)['id']}/os-instance-actions"
        found: list[dict[str, Any]] = self.ask("GET", path).json()["instanceActions"]
        return found


@pytest.fixture(scope="session")
def running() -> Iterator[Demo]:
    """Return a democloud in which nothing takes time."""
    with running_democloud("--instant") as url:
        port = url.rsplit(":", 1)[1].split("/")[0]
        command = [sys.executable, "-m", "democloud", "--port", port, "--print-credentials"]
        printed = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        yield Demo(url, json.loads(printed.stdout))


@pytest.fixture
def demo(running: Demo) -> Demo:
    """Return it as it is after its start."""
    running.control("POST", "reset")
    running._tokens.clear()
    return running


@pytest.fixture(scope="session")
def answering() -> Iterator[Machines]:
    """Return a democloud whose machines answer SSH."""
    with running_machines() as found:
        yield found


@pytest.fixture
def machines(answering: Machines) -> Machines:
    """Return it as it is after its start."""
    answering.ask("POST", "reset")
    return answering
