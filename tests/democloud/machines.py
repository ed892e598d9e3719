"""A democloud whose machines answer SSH, for the tests that log in to them."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx

from democloud.__main__ import credentials
from democloud.seed import make_seed
from democloud.seed_images import image_id
from instances import ssh
from tests.services import free_port, running_democloud, wait_until

NETWORKS = ("127.77.0.0/16",)
PASSWORD = "kept for one rescue"
PASSWORD_IMAGE = "Debian Rescue (temporary password)"


def can_listen() -> bool:
    """Say whether this computer answers on all of 127.0.0.0/8, as Linux does."""
    with socket.socket() as sock:
        try:
            sock.bind(("127.77.0.1", 0))
        except OSError:
            return False
    return True


@cache
def addresses() -> dict[str, str]:
    """Return where each server of the demo's seed answers, by its name."""
    regions = make_seed("demo").regions
    return {one.name: one.ssh_address for region in regions for one in region.servers.values()}


@cache
def ways_in(auth_url: str) -> dict[str, Any]:
    """Return the demo's application credentials."""
    return credentials(make_seed("demo"), auth_url)


class Machines:
    """The demo's servers, as somebody with a terminal and an administrator's powers sees them."""

    def __init__(self, auth_url: str, port: int) -> None:
        self.auth_url, self.port = auth_url, port
        self.http = httpx.Client(base_url=auth_url.removesuffix("/identity/v3"), timeout=10)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"/_demo/{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def target(self, name: str) -> ssh.Target:
        return ssh.Target(addresses()[name], self.port, NETWORKS)

    def answers(self, name: str) -> bool:
        with socket.socket() as sock:
            sock.settimeout(2)
            return sock.connect_ex((addresses()[name], self.port)) == 0

    def act(self, name: str, action: str, **value: Any) -> None:
        self.ask("POST", f"outside/{name}/{action}", value)

    def rescue(self, name: str, image: str = PASSWORD_IMAGE, password: str = PASSWORD) -> None:
        """Take a server into rescue mode, and wait for its door."""
        value = {"rescue_image_ref": image_id("gra", image), "adminPass": password}
        self.act(name, "rescue", **value)
        self.until(name, "rescued")

    def unrescue(self, name: str) -> None:
        self.act(name, "unrescue")
        self.until(name, "active")

    def until(self, name: str, state: str) -> None:
        def reached() -> bool:
            found = next(one for one in self.ask("GET", "servers")["servers"]
                         if one["name"] == name)  # fmt: skip
            return found["vm_state"] == state and found["task_state"] is None

        wait_until(reached, f"{name} being {state}")
        time.sleep(0.02)

    @contextmanager
    def entered(
        self, name: str, user: str = "root", password: str | None = PASSWORD, key: str | None = None
    ) -> Iterator[ssh.Machine]:
        """Log in through the panel's own door."""
        wait_until(lambda: self.answers(name), f"{name} answering")
        target = self.target(name)
        login = ssh.Login(user, password=password, private_key=key)
        with ssh.connect(target, ssh.greet(target), login) as machine:
            yield machine

    def console(self, name: str) -> str:
        """Return a server's console log, as Nova gives it."""
        listed = self.nova("GET", f"/servers/detail?name=^{name}$").json()["servers"]
        body = {"os-getConsoleOutput": {}}
        return str(self.nova("POST", f"/servers/{listed[0]['id']}/action", body).json()["output"])

    def nova(self, method: str, path: str, body: Any = None) -> httpx.Response:
        url = f"/gra/compute/v2.1{path}"
        return self.http.request(method, url, json=body, headers={"X-Auth-Token": self.token})

    @property
    def token(self) -> str:
        given = ways_in(self.auth_url)["acme"]["auth"]
        credential = {
            "id": given["application_credential_id"],
            "secret": given["application_credential_secret"],
        }
        identity = {"methods": ["application_credential"], "application_credential": credential}
        asked = {"auth": {"identity": identity}}
        return self.http.post("/identity/v3/auth/tokens", json=asked).headers["X-Subject-Token"]


@contextmanager
def running_machines() -> Iterator[Machines]:
    """Serve a democloud in which nothing takes time and the machines answer."""
    port = free_port()
    with running_democloud("--instant", "--ssh-port", str(port)) as url:
        yield Machines(url, port)
