"""Offer the control API under /_demo/: knobs, the log of requests, what others do, reset."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from democloud import nova_actions
from democloud.clock import now
from democloud.faults import BadKnob
from democloud.http import Answer, Call, Refusal
from democloud.nova import delete_server
from democloud.state import Cloud, Region, Seed, Server, Token, User

OUTSIDER = "sysadmin-cli"
LOOPBACK = ("127.0.0.1", "::1", "localhost", "testclient")


class OutsideCall(Call):
    """A request nobody sent over HTTP: someone using the CLI, beside the panel."""

    where: Region
    wanted: Any
    server_id: str

    @property
    def region(self) -> Region:
        """Return the region of the server concerned."""
        return self.where

    def param(self, name: str) -> str:
        """Return the server concerned."""
        return self.server_id

    def json(self) -> Any:
        """Return the action."""
        return self.wanted


def _cloud(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.cloud
    return cloud


async def get_knobs(request: Request) -> Response:
    """Return all knobs."""
    return JSONResponse(_cloud(request).knobs.as_dict())


def _changes(raw: bytes) -> dict[str, Any]:
    changes = json.loads(raw)
    if not isinstance(changes, dict):
        raise BadKnob("knobs are an object")
    return changes


async def put_knobs(request: Request) -> Response:
    """Set the knobs that are named; `token_expired: true` lets all tokens expire, once."""
    cloud = _cloud(request)
    try:
        changes = _changes(await request.body())
        expire = changes.pop("token_expired", False)
        cloud.knobs.set(changes)
    except (ValueError, BadKnob) as problem:
        return JSONResponse({"error": str(problem)}, 400)
    if expire:
        cloud.tokens.clear()
    return JSONResponse(cloud.knobs.as_dict())


async def get_requests(request: Request) -> Response:
    """Return the log of requests, oldest first; `?since=N` leaves out the first N."""
    since = int(request.query_params.get("since", 0))
    log = _cloud(request).log
    return JSONResponse({"requests": log[since:], "count": len(log)})


async def delete_requests(request: Request) -> Response:
    """Forget the log."""
    _cloud(request).log.clear()
    return Response(None, 204)


async def reset(request: Request) -> Response:
    """Start anew from the seed."""
    make_seed: Callable[[], Seed] = request.app.state.make_seed
    _cloud(request).fill(make_seed())
    return Response(None, 204)


async def get_servers(request: Request) -> Response:
    """Return what the look-alike knows of each server, across regions and projects.

    ``?within=5`` leaves out those that did not change within the last five seconds.
    """
    within = request.query_params.get("within")
    since = now() - timedelta(seconds=float(within)) if within else None
    shown = (
        "id",
        "name",
        "region",
        "project_id",
        "vm_state",
        "task_state",
        "deleted",
        "rescue_image_id",
        "rescues",
    )
    found = [
        {name: getattr(server, name) for name in shown}
        for region in _cloud(request).regions.values()
        for server in region.servers.values()
        if since is None or server.updated >= since
    ]
    return JSONResponse({"servers": found})


async def get_server(request: Request) -> Response:
    """Return what was done to a server (by id or name), oldest first, and its state."""
    server = _cloud(request).server(request.path_params["server"])
    if server is None:
        return JSONResponse({"error": "there is no such server"}, 404)
    done = [
        {
            "action": one.name,
            "request_id": one.request_id,
            "user_id": one.user_id,
            "failed": one.message == "Error",
            "finished": any(event.finished for event in one.events),
        }
        for one in reversed(server.actions)
    ]
    return JSONResponse(
        {"vm_state": server.vm_state, "task_state": server.task_state, "actions": done}
    )


async def check_password(request: Request) -> Response:
    """Tell whether a rescued server would let a password in: `{"server": ..., "password": ...}`."""
    asked = json.loads(await request.body())
    server = _cloud(request).server(asked["server"])
    if server is None:
        return JSONResponse({"error": "there is no such server"}, 404)
    accepted = server.vm_state == "rescued" and server.rescue_password == asked["password"]
    return JSONResponse({"accepted": accepted})


async def put_user(request: Request) -> Response:
    """Change what is known of a user (by name): email, password, enabled, password_expired."""
    cloud = _cloud(request)
    user = cloud.user_named(request.path_params["name"])
    if user is None:
        return JSONResponse({"error": "there is no such user"}, 404)
    try:
        cloud.users[user.id] = replace(user, **_changes(await request.body()))
    except (ValueError, TypeError, BadKnob) as problem:
        return JSONResponse({"error": str(problem)}, 400)
    return Response(None, 204)


def _outsider(cloud: Cloud, server: Server, *, admin: bool) -> Token:
    ident = f"{0xC11:032x}"
    cloud.users.setdefault(ident, User(ident, OUTSIDER, "", {}))
    roles = ("admin", "member", "reader") if admin else ("member", "reader")
    return Token(
        "outside", ident, server.project_id, roles, ("password",), now(), now() + timedelta(hours=1)
    )


def _tamper(server: Server, what: str) -> bool:
    changes: dict[str, dict[str, Any]] = {
        "volume-backed": {"volume_backed": True, "image_id": "", "image_properties": {}},
        "stuck": {"task_state": "rescuing"},
        "rescued": {"vm_state": "rescued", "task_state": None},
        "auto-exit": {"vm_state": "active", "task_state": None, "rescue_image_id": None},
    }
    if what in changes:
        server.save(**changes[what])
    return what in changes


def _body(what: str, given: dict[str, Any]) -> dict[str, Any]:
    if what == "rescue":
        return {"rescue": given or None}
    if what == "reboot":
        return {"reboot": {"type": given.get("type", "HARD")}}
    if what == "resetState":
        return {"os-resetState": {"state": given.get("state", "active")}}
    return {what if what not in ("stop", "start") else f"os-{what}": given or None}


async def outside(request: Request) -> Response:
    """Let someone else act on a server (by id or name): rescue, unrescue, delete, lock, ...

    Not requests, but as if: volume-backed, stuck, rescued, auto-exit. The body is the action's
    value; `?admin=1` acts as an admin.
    """
    cloud, what = _cloud(request), request.path_params["action"]
    server = cloud.server(request.path_params["server"])
    if server is None:
        return JSONResponse({"error": "there is no such server"}, 404)
    if _tamper(server, what):
        return JSONResponse({"status": 204, "server": server.id})
    raw = await request.body()
    admin = bool(request.query_params.get("admin")) or what == "resetState"
    call = OutsideCall(request, cloud, b"{}", f"req-outside-{len(server.actions)}-{server.id[:8]}")
    call.version, call.token, call.server_id = (
        (2, 96),
        _outsider(cloud, server, admin=admin),
        server.id,
    )
    call.where = next(region for region in cloud.regions.values() if server.id in region.servers)
    call.wanted = _body(what, json.loads(raw) if raw else {})
    answer = _try(call, delete_server if what == "delete" else nova_actions.act)
    return JSONResponse(
        {"status": answer.status, "server": server.id, "body": answer.body}, answer.status
    )


def _try(call: Call, handler: Callable[[Call], Answer]) -> Answer:
    try:
        answer = handler(call)
    except Refusal as refusal:
        return Answer(refusal.status, {"error": refusal.message})
    return Answer(200 if answer.status == 204 else answer.status, answer.body)


def on_loopback(handler: Any) -> Any:
    """Answer only to this machine: the control API knows no password."""

    async def guarded(request: Request) -> Response:
        client = request.client.host if request.client else ""
        if client not in LOOPBACK:
            return JSONResponse({"error": "the control API answers on loopback only"}, 403)
        response: Response = await handler(request)
        return response

    return guarded


ROUTES = [
    Route("/_demo/knobs", on_loopback(get_knobs), methods=["GET"]),
    Route("/_demo/knobs", on_loopback(put_knobs), methods=["PUT"]),
    Route("/_demo/requests", on_loopback(get_requests), methods=["GET"]),
    Route("/_demo/requests", on_loopback(delete_requests), methods=["DELETE"]),
    Route("/_demo/servers", on_loopback(get_servers), methods=["GET"]),
    Route("/_demo/servers/{server}", on_loopback(get_server), methods=["GET"]),
    Route("/_demo/users/{name}", on_loopback(put_user), methods=["PUT"]),
    Route("/_demo/password-check", on_loopback(check_password), methods=["POST"]),
    Route("/_demo/outside/{server}/{action}", on_loopback(outside), methods=["POST"]),
    Route("/_demo/reset", on_loopback(reset), methods=["POST"]),
]
