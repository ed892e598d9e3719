"""Talk to the running look-alike the way tests do: set faults, play the outsider, count calls."""

from typing import Any

import httpx


class DemoCloud:
    """The look-alike's control API, by the name of a server where one is concerned."""

    def __init__(self, auth_url: str) -> None:
        self.auth_url = auth_url
        self.http = httpx.Client(base_url=auth_url.removesuffix("/identity/v3"), timeout=10)

    def _demo(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"/_demo/{path}", **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def reset(self) -> None:
        self._demo("POST", "reset")

    def knobs(self, **changes: Any) -> None:
        self._demo("PUT", "knobs", json=changes)

    def fault(self, server: str, **faults: Any) -> None:
        self.knobs(servers={server: faults})

    def calm(self) -> None:
        down = {f"{name}_down": None for name in ("keystone", "nova", "glance", "neutron")}
        times = {f"{name}_seconds": 0 for name in ("rescue", "unrescue", "pickup", "nova_limit")}
        self.knobs(servers={}, longest_list=0, **times, **down)

    def outside(self, server: str, action: str, *, admin: bool = False, **value: Any) -> None:
        self._demo("POST", f"outside/{server}/{action}", json=value, params={"admin": "1"} if admin
                   else None)  # fmt: skip

    def server(self, name: str) -> dict[str, Any]:
        shown = self._demo("GET", "servers")["servers"]
        return next(server for server in shown if server["name"] == name)

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._demo("GET", "requests")["requests"]
        return found

    def calls(self, server_id: str, action: str) -> list[Any]:
        """Return the status of each such call that reached Nova."""
        return [
            asked["status"] for asked in self.requests()
            if asked["action"] == action and server_id in asked["path"]
        ]  # fmt: skip

    def accepted(self, server_id: str, action: str) -> int:
        """Count the calls Nova said yes to, told or not."""
        return sum(status in (200, 202, "lost") for status in self.calls(server_id, action))
