"""Tell what was done to a server: os-instance-actions, alive or deleted."""

from typing import Any

from democloud import nova_query, nova_views
from democloud.clock import parse
from democloud.http import Answer, Call, Refusal
from democloud.nova_base import find_server, invalid_query
from democloud.state import Action, Server


def list_actions(call: Call) -> Answer:
    """List what was done to a server, the newest first."""
    server = find_server(call, deleted=call.version >= (2, 21))
    actions, query = list(server.actions), call.request.query_params
    limit = 1000
    if call.version >= (2, 58):
        actions, limit = _chosen(call, server)
    page = actions[:limit]
    body: dict[str, Any] = {
        "instanceActions": [nova_views.action(call, server, one) for one in page]
    }
    if call.version >= (2, 58) and "limit" in query and len(page) == limit and page:
        path = f"servers/{server.id}/os-instance-actions"
        body["links"] = nova_query.next_link(call, path, page[-1].request_id)
    return Answer(200, body)


def _chosen(call: Call, server: Server) -> tuple[list[Action], int]:
    query, actions = call.request.query_params, list(server.actions)
    limit = query.get("limit", "1000")
    if not limit.isdigit():
        raise invalid_query("limit", limit, f"{limit!r} does not match '^[0-9]*$'")
    if "changes-since" in query:
        nova_query.check_time("changes-since", query["changes-since"])
        actions = [one for one in actions if one.updated >= parse(query["changes-since"])]
    if "marker" in query:
        at = next((n for n, one in enumerate(actions) if one.request_id == query["marker"]), None)
        if at is None:
            raise Refusal(400, "Marker None could not be found.")
        actions = actions[at + 1 :]
    return actions, int(limit)


def show_action(call: Call) -> Answer:
    """Return one action with what the host did for it."""
    server = find_server(call, deleted=call.version >= (2, 21))
    wanted = call.param("id")
    found = next((one for one in server.actions if one.request_id == wanted), None)
    if found is None:
        raise Refusal(404, f"Action {wanted} not found")
    view = nova_views.action(call, server, found)
    if call.version >= (2, 51) or call.is_admin:
        view["events"] = [nova_views.event(call, server, one) for one in reversed(found.events)]
    return Answer(200, {"instanceAction": view})
