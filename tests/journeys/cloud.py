"""The demo cloud from behind: make it slow or faulty, act on it as somebody else, read its log."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

#: asked with a POST, and changes nothing
READS = "os-getConsoleOutput"
PACE = {"rescue_seconds": 2.5, "unrescue_seconds": 1, "other_seconds": 0.5, "pickup_seconds": 0.3}
HEALTHY: dict[str, Any] = {
    "servers": {},
    "keystone_down": None,
    "nova_down": None,
    "glance_down": None,
    "neutron_down": None,
}


class Cloud:
    """The control API of one demo's cloud."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/_demo", timeout=10)
        self.found: dict[str, dict[str, Any]] = {}

    @classmethod
    def of_credentials(cls, path: Path) -> "Cloud":
        """Find the cloud that a demo's accounts sign in to."""
        text = path.read_text()
        account: Any = next(iter(_dicts(json.loads(text), "auth_url")))
        where = urlsplit(account["auth_url"])
        return cls(f"{where.scheme}://{where.netloc}")

    def set(self, **knobs: Any) -> None:
        """Turn knobs."""
        self.http.put("/knobs", json=knobs).raise_for_status()

    def fault(self, server: str, **faults: Any) -> None:
        """Let something go wrong with one server."""
        self.set(servers={server: faults})

    def heal(self) -> None:
        """Let all go well again, at the journeys' pace."""
        self.set(**HEALTHY, **PACE)

    def outside(self, server: str, action: str, **value: Any) -> None:
        """Let somebody else act on a server, with a client and not with the panel."""
        path = f"/outside/{quote(self.server(server)['id'])}/{action}"
        self.http.post(path, content=json.dumps(value)).raise_for_status()

    def server(self, name: str) -> dict[str, Any]:
        """Return what the cloud knows of a server."""
        shown = self.http.get("/servers").json()["servers"]
        return next(one for one in shown if name in (one["name"], one["id"]) and not one["deleted"])

    def lets_in(self, server: str, password: str) -> bool:
        """Tell whether the rescue system of a server would take a password."""
        body = {"server": self.server(server)["id"], "password": password}
        return bool(self.http.post("/password-check", json=body).json()["accepted"])

    def actions(self, server: str) -> list[str]:
        """Return what the panel asked of a server since it was borrowed, oldest first."""
        since = self.found[server]["logged"]
        log = self.http.get("/requests", params={"since": since}).json()["requests"]
        ident = self.server(server)["id"]
        acts = [r for r in log if r["method"] == "POST" and r["action"] != READS]
        return [r["path"] for r in acts if ident in r["path"]]

    def posts(self) -> int:
        """Count what the panel ever asked the cloud to do; signing in is not counted."""
        log = self.http.get("/requests").json()["requests"]
        acts = [r for r in log if r["method"] != "GET" and r["action"] != READS]
        return sum("/servers/" in r["path"] for r in acts)

    def borrow(self, name: str) -> None:
        """Remember how a server was, and how much was asked of the cloud until now."""
        logged = self.http.get("/requests").json()["count"]
        self.found[name] = {**self.server(name), "logged": logged}

    def put_back(self, name: str) -> None:
        """Bring a server back to how it was when it was borrowed."""
        was, is_ = self.found.pop(name)["vm_state"], self._at_rest(name)
        if is_ == "rescued" != was:
            self.outside(name, "unrescue")
        elif is_ == "error" != was:
            self.outside(name, "resetState", state="active")
        elif was == "rescued" != is_:
            self.outside(name, "rescue")
        if self._at_rest(name) == "active" and was == "stopped":
            self.outside(name, "stop")
            self._at_rest(name)

    def _at_rest(self, name: str) -> str:
        deadline = time.monotonic() + 30
        while (server := self.server(name))["task_state"]:
            assert time.monotonic() < deadline, f"{name} is still {server['task_state']}"
            time.sleep(0.1)
        return str(server["vm_state"])


def _dicts(tree: Any, key: str) -> list[dict[str, Any]]:
    """Return the dicts of a tree that have a key."""
    if isinstance(tree, list):
        return [found for one in tree for found in _dicts(one, key)]
    if not isinstance(tree, dict):
        return []
    below = [found for one in tree.values() for found in _dicts(one, key)]
    return ([tree] if key in tree else []) + below
