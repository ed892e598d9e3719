"""Put the same questions to a democloud and to the lab's real Nova."""

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack
import requests

VERSION = "2.96"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
HEX = re.compile(r"\b[0-9a-f]{32}\b")


def plain(text: str) -> str:
    """Take out of a sentence what differs from cloud to cloud: ids, and whose driver it was."""
    text = HEX.sub("<id>", UUID.sub("<uuid>", text))
    return re.sub(r"\b(lab|demo): the hypervisor", "the hypervisor", text)


@dataclass
class Said:
    """What a cloud answered."""

    status: int
    body: Any
    headers: Any = field(repr=False)

    @property
    def words(self) -> str:
        """Return the kind and the sentence of a refusal, without its ids."""
        if isinstance(self.body, dict) and len(self.body) == 1:
            kind, inner = next(iter(self.body.items()))
            if isinstance(inner, dict) and "message" in inner:
                return plain(f"{kind}: {inner['message']}")
        return plain(self.body if isinstance(self.body, str) else json.dumps(self.body))

    @property
    def short(self) -> tuple[int, str]:
        """Return status and words, to be compared as one."""
        return self.status, self.words


class Cloud:
    """A cloud with the lab's cast and images; subclasses know how to reach into it."""

    name = ""
    patience = 90.0

    def __init__(self, clouds_yaml: Path, region: str) -> None:
        self.clouds_yaml = clouds_yaml
        self.region = region
        self._connections: dict[str, Any] = {}
        self._made: list[str] = []
        self._made_images: list[str] = []
        everything = self.as_("admin")
        self.flavors = {one.name: one.id for one in everything.compute.flavors()}
        self.images = {one.name: one.id for one in everything.image.images()}
        self.keeping = self.images["Distribution Rescue Made-in-Lab"]
        self.debian = self.images["Debian 12"]

    def connect(self, cast: str) -> Any:
        """Sign somebody in anew."""
        files = [str(self.clouds_yaml)]
        config = openstack.config.OpenStackConfig(config_files=files, load_envvars=False)
        return openstack.connection.Connection(config=config.get_one(cloud=cast))

    def as_(self, cast: str) -> Any:
        """Return the connection of one of the cast."""
        if cast not in self._connections:
            self._connections[cast] = self.connect(cast)
        return self._connections[cast]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = "carol",
        version: str = VERSION,
        service: str = "compute",
        data: str | None = None,
        **headers: str,
    ) -> Said:
        """Ask by plain HTTP, with the token of one of the cast."""
        connection = self.as_(by)
        url = connection.endpoint_for(service).rstrip("/") + path
        sent = {
            "X-Auth-Token": connection.auth_token,
            "OpenStack-API-Version": f"compute {version}",
        }
        if data is not None:
            sent["Content-Type"] = "application/json"
        answer = requests.request(
            method, url, json=body, data=data, headers={**sent, **headers}, timeout=60
        )
        try:
            found = answer.json()
        except ValueError:
            found = answer.text
        return Said(answer.status_code, found, answer.headers)

    def act(self, server: str, action: str, value: Any = None, **how: Any) -> Said:
        """Post an action."""
        return self.ask("POST", f"/servers/{server}/action", {action: value}, **how)

    def rescue(self, server: str, by: str = "carol", version: str = VERSION, **fields: Any) -> Said:
        """Ask for rescue; without fields the body is null."""
        return self.act(server, "rescue", fields or None, by=by, version=version)

    def show(self, server: str, by: str = "carol", version: str = VERSION) -> dict[str, Any] | None:
        """Return a server, None if there is none."""
        said = self.ask("GET", f"/servers/{server}", by=by, version=version)
        assert said.status in (200, 404), said
        return said.body["server"] if said.status == 200 else None

    def state(self, server: str, by: str = "carol") -> str:
        """Return status, vm_state and task_state in one line, and the fault."""
        return self._line(self.show(server, by))

    @staticmethod
    def _line(shown: dict[str, Any] | None) -> str:
        if shown is None:
            return "gone"
        task, state = shown["OS-EXT-STS:task_state"], shown["OS-EXT-STS:vm_state"]
        fault = shown.get("fault")
        after = plain(f", fault {fault['code']}: {fault['message']}") if fault else ""
        return f"{shown['status']} {state} {task or '-'}{after}"

    def settle(self, server: str, by: str = "carol") -> str:
        """Wait until nothing is under way; return the state."""
        return self._line(self._settled(server, by))

    def _settled(self, server: str, by: str) -> dict[str, Any] | None:
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            shown = self.show(server, by)
            if shown is None:
                return None
            if shown["OS-EXT-STS:task_state"] is None and shown["status"] != "BUILD":
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{server} did not settle: {self.state(server, by)}")

    def vanish(self, server: str, by: str = "carol") -> None:
        """Wait until a deleted server is gone; for a moment Nova may show it as DELETED."""
        end = time.monotonic() + self.patience
        while (shown := self.show(server, by)) is not None and time.monotonic() < end:
            time.sleep(0.1)
        assert shown is None, shown

    def boot(self, name: str, by: str = "carol", *, wait: bool = True, **fields: Any) -> str:
        """Build a server without network; it is deleted at the end."""
        wanted = {
            "name": f"contract-{name}",
            "imageRef": self.debian,
            "flavorRef": self.flavors["s1-2"],
            "networks": "none",
            **fields,
        }
        said = self.ask("POST", "/servers", {"server": wanted}, by=by)
        assert said.status == 202, said
        server: str = said.body["server"]["id"]
        self._made.append(server)
        if wait:
            assert self.settle(server, by).startswith("ACTIVE")
        return server

    def back(self, server: str) -> str:
        """Bring a server back to ACTIVE from wherever it is."""
        shown = self._settled(server, "carol")
        assert shown is not None, server
        state = self._line(shown)
        if state == "ACTIVE active -" and not shown["locked"]:
            return state
        if shown["locked"]:
            self.act(server, "unlock", by="admin")
        if shown["status"] == "RESCUE":
            self.act(server, "unrescue")
        elif shown["status"] != "ACTIVE":
            self.act(server, "os-resetState", {"state": "active"}, by="admin")
        return self.settle(server)

    def image(self, name: str, *, upload: bool = True, **properties: Any) -> str:
        """Make a public image; it is deleted at the end."""
        wanted = {
            "name": f"contract-{name}",
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": "public",
            **properties,
        }
        made = self.as_("admin").image.post("/images", json=wanted)
        made.raise_for_status()
        ident: str = made.json()["id"]
        self._made_images.append(ident)
        if upload:
            headers = {"Content-Type": "application/octet-stream"}
            data = b"\0" * 512
            self.as_("admin").image.put(f"/images/{ident}/file", data=data, headers=headers)
        return ident

    def actions(self, server: str, by: str = "carol", **how: Any) -> list[dict[str, Any]]:
        """Return a server's actions, the newest first."""
        said = self.ask("GET", f"/servers/{server}/os-instance-actions", by=by, **how)
        assert said.status == 200, said
        found: list[dict[str, Any]] = said.body["instanceActions"]
        return found

    def sweep(self) -> None:
        """Delete what a run that was killed has left behind."""
        admin = self.as_("admin")
        left = list(admin.compute.servers(all_projects=True, name="^contract-"))
        for server in left:
            admin.compute.delete_server(server)
        for server in left:
            admin.compute.wait_for_delete(server, interval=0.2)
        for image in admin.image.images():
            if image.name.startswith("contract-"):
                admin.image.delete_image(image)

    def clean(self) -> None:
        """Delete all that was made."""
        self.knobs()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._delete, self._made))
            list(pool.map(self._delete_image, self._made_images))

    def _delete(self, server: str) -> None:
        self.ask("DELETE", f"/servers/{server}", by="admin")

    def _delete_image(self, image: str) -> None:
        self.ask("DELETE", f"/v2/images/{image}", by="admin", service="image")

    def knobs(self, **values: float) -> None:
        """Set how long things take, all else to nothing."""
        raise NotImplementedError

    def tamper(self, what: str, server: str) -> None:
        """Put a server into a condition no request leads to."""
        raise NotImplementedError

    @contextmanager
    def without_passwords(self) -> Iterator[str]:
        """Serve for a while with enable_instance_password off; yield Nova's address."""
        raise NotImplementedError
        yield ""


class Democloud(Cloud):
    """The look-alike, in its own process."""

    name = "democloud"

    def __init__(self, clouds_yaml: Path, base: str) -> None:
        self.base = base
        super().__init__(clouds_yaml, "lab")

    def knobs(self, **values: float) -> None:
        """Set them over HTTP."""
        none = dict.fromkeys(("rescue_seconds", "unrescue_seconds", "spawn_seconds"), 0)
        pickup = 0.2 if values else 0
        self._put({**none, "pickup_seconds": pickup, **values})

    def _put(self, knobs: dict[str, Any]) -> None:
        requests.put(f"{self.base}/_demo/knobs", json=knobs, timeout=10).raise_for_status()

    def tamper(self, what: str, server: str) -> None:
        """Ask the control API."""
        url = f"{self.base}/_demo/outside/{server}/{what}"
        requests.post(url, timeout=10).raise_for_status()

    @contextmanager
    def without_passwords(self) -> Iterator[str]:
        """Turn them off by a knob."""
        self._put({"instance_password": False})
        try:
            yield self.as_("carol").endpoint_for("compute")
        finally:
            self._put({"instance_password": True})


class Lab(Cloud):
    """The real OpenStack of the lab."""

    name = "lab"

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self._before = (home / "knobs.json").read_text()
        super().__init__(home / "clouds.yaml", "lab")

    def knobs(self, **values: float) -> None:
        """Write the file the hypervisor reads."""
        new = self.home / f"knobs.json.{os.getpid()}"
        new.write_text(json.dumps(values))
        new.replace(self.home / "knobs.json")

    def tamper(self, what: str, server: str) -> None:
        """Edit Nova's database with the lab's own tool."""
        subprocess.run([self.folder / "tamper", what, server], check=True)

    def clean(self) -> None:
        """Leave the lab as it was found."""
        super().clean()
        (self.home / "knobs.json").write_text(self._before)

    @contextmanager
    def without_passwords(self) -> Iterator[str]:
        """Run a second nova-api with that option beside the first."""
        auth_url = self.as_("carol").config.get_auth_args()["auth_url"]
        port = int(re.search(r":(\d+)", auth_url)[1]) + 5  # type: ignore[index]
        etc = self.home / "etc" / "nova"
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "drivers"),
            "LAB_HOME": str(self.home),
            "LAB_DIR": str(self.folder),
            "OS_NOVA_CONFIG_DIR": str(etc),
            "OS_NOVA_CONFIG_FILES": "api-paste.ini;nova.conf",
            "OS_API__ENABLE_INSTANCE_PASSWORD": "false",
            "OS_DEFAULT__LOG_FILE": str(self.home / "log" / "nova-api-contract.log"),
        }
        python, serve = self.home / "venv" / "bin" / "python", self.folder / "lib" / "serve.py"
        command = [python, serve, "nova.wsgi.osapi_compute", str(port), "nova-api"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}/v2.1"
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            requests.get(url, timeout=30)
        except requests.ConnectionError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError(f"nothing answers at {url}")


def somewhere() -> str:
    """Return an id of nothing."""
    return str(uuid.uuid4())
