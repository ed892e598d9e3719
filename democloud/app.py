"""Put the services on one port, with the log of requests and the outages around them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from democloud import control, glance, keystone, neutron, nova
from democloud.machines.doors import Doors
from democloud.state import Cloud, Seed

UNAVAILABLE = b"""\
<html><body><h1>503 Service Unavailable</h1>
No server is available to handle this request.
</body></html>
"""
HANG_SECONDS = 120.0


def service_of(path: str) -> str:
    """Tell which OpenStack service a path belongs to."""
    parts = path.strip("/").split("/")
    if parts[0] == "identity":
        return "keystone"
    names = {"compute": "nova", "image": "glance", "network": "neutron"}
    return names.get(parts[1], "") if len(parts) > 1 else ""


async def drop(send: Send) -> None:
    """Close the connection without an answer, as a dying service does."""
    # ASGI has no word for this; uvicorn's own send belongs to the cycle that holds the transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("democloud drops this connection")
    transport.abort()
    await asyncio.sleep(0.05)


def cutting(send: Send) -> Send:
    """Send half of each body under a length that fits: JSON that does not end."""
    begun: list[Message] = []

    async def cut(message: Message) -> None:
        if message["type"] == "http.response.start":
            begun.append(message)
            return
        half = message.get("body", b"")[: len(message.get("body", b"")) // 2]
        kept = [one for one in begun[0]["headers"] if one[0].lower() != b"content-length"]
        begun[0]["headers"] = [*kept, (b"content-length", str(len(half)).encode())]
        await send(begun[0])
        await send({"type": "http.response.body", "body": half})

    return cut


async def _until_gone(receive: Receive) -> None:
    """Wait until the client has given up, or for a long time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HANG_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass


class Front:
    """Stand before all services: note each request, and be out of order when told to."""

    def __init__(self, app: ASGIApp, cloud: Cloud) -> None:
        self.app = app
        self.cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        scope["democloud"] = {}
        if scope["type"] != "http" or scope["path"].startswith("/_demo"):
            await self.app(scope, receive, send)
            return
        entry = self._enter(scope)
        outage = (
            getattr(self.cloud.knobs, f"{entry['service']}_down", None)
            if entry["service"]
            else None
        )
        began = time.monotonic()
        try:
            await self._pass(outage, entry, scope, receive, send)
        finally:
            entry["seconds"] = round(time.monotonic() - began, 4)

    def _enter(self, scope: Scope) -> dict[str, Any]:
        query = scope["query_string"].decode()
        path = scope["path"] + (f"?{query}" if query else "")
        entry = {
            "time": time.time(),
            "peer": ":".join(map(str, scope["client"] or ())),
            "method": scope["method"],
            "path": path,
            "service": service_of(scope["path"]),
            "action": None,
            "server": None,
            "status": None,
        }
        self.cloud.log.append(entry)
        return entry

    async def _pass(
        self, outage: str | None, entry: dict[str, Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if outage == "hang":
            await _until_gone(receive)
        if outage == "slow":
            await asyncio.sleep(self.cloud.knobs.outage_seconds)
        if outage in ("drop", "hang"):
            await drop(send)
        elif outage == "503":
            entry["status"] = 503
            await Response(UNAVAILABLE, 503, media_type="text/html")(scope, receive, send)
        else:
            await self._serve(entry, scope, receive, send, cut=outage == "cut")

    async def _serve(
        self, entry: dict[str, Any], scope: Scope, receive: Receive, send: Send, *, cut: bool
    ) -> None:
        noted = scope["democloud"]
        answer = cutting(send) if cut else send

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                entry.update({key: noted[key] for key in ("action", "server") if key in noted})
            if not noted.get("lost"):
                await answer(message)

        await self.app(scope, receive, watch)
        if noted.get("lost"):
            entry["status"] = "lost"
            await drop(send)


async def root(request: Request) -> Response:
    """Say what this is and where its services are."""
    cloud: Cloud = request.app.state.cloud
    base = str(request.base_url).rstrip("/")
    regions = {
        region.name: f"{base}/{region.slug}/compute/v2.1" for region in cloud.regions.values()
    }
    return JSONResponse(
        {
            "democloud": "an OpenStack look-alike",
            "identity": f"{base}/identity/v3",
            "compute": regions,
        }
    )


def create_app(make_seed: Callable[[], Seed], ssh_port: int = 0) -> ASGIApp:
    """Build the look-alike from a seed; with a port, its machines answer SSH there."""
    cloud = Cloud(make_seed())

    @contextlib.asynccontextmanager
    async def with_machines(_app: Starlette) -> AsyncIterator[None]:
        doors = Doors(cloud, ssh_port) if ssh_port else None
        if doors:
            doors.begin()
        yield
        if doors:
            doors.shut()

    routes = [
        Route("/", root),
        *control.ROUTES,
        *keystone.ROUTES,
        *nova.ROUTES,
        *glance.ROUTES,
        *neutron.ROUTES,
    ]
    app = Starlette(routes=routes, lifespan=with_machines)
    app.router.redirect_slashes = False
    app.state.make_seed = make_seed
    app.state.cloud = cloud
    return Front(app, cloud)
