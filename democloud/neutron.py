"""Answer as Neutron v2.0 does, to GET only: networks, ports, security groups, floating IPs."""

from typing import Any

from starlette.routing import Route

from democloud.http import Answer, Call, Refusal, Service, check_token, keystone_error
from democloud.state import Region, Server, fixed_uuid


def _prepare(call: Call) -> None:
    if not call.request.url.path.rstrip("/").endswith("/network"):
        check_token(call)


def _refuse(_call: Call, refusal: Refusal) -> Answer:
    if refusal.status == 401:
        return Answer(
            401, keystone_error(401, "Unauthorized", refusal.message), headers=refusal.headers
        )
    body = {
        "NeutronError": {
            "type": refusal.kind or "HTTPNotFound",
            "message": refusal.message,
            "detail": "",
        }
    }
    return Answer(refusal.status, body)


def _mark(call: Call) -> dict[str, str]:
    return {"x-openstack-request-id": call.request_id}


def versions(call: Call) -> Answer:
    """Answer at the root: which versions there are."""
    links = [{"rel": "self", "href": f"{call.base}/{call.region.slug}/network/v2.0/"}]
    return Answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


def _networks(region: Region, _project: str) -> list[dict[str, Any]]:
    ident = fixed_uuid(region.slug, "network", region.network)
    shown = {
        "id": ident,
        "name": region.network,
        "status": "ACTIVE",
        "shared": True,
        "admin_state_up": True,
    }
    return [
        {
            **shown,
            "router:external": True,
            "mtu": 1500,
            "subnets": [],
            "description": "",
            "tags": [],
        }
    ]


def _group_id(region: Region, project: str, name: str) -> str:
    return fixed_uuid(region.slug, "security-group", project, name)


def _rule(group: str, direction: str, ethertype: str, port: int | None = None) -> dict[str, Any]:
    return {
        "id": fixed_uuid(group, direction, ethertype, str(port)),
        "security_group_id": group,
        "direction": direction,
        "ethertype": ethertype,
        "protocol": "tcp" if port else None,
        "port_range_min": port,
        "port_range_max": port,
        "remote_ip_prefix": "0.0.0.0/0" if port else None,
        "remote_group_id": None,
        "description": None,
    }


def _groups(region: Region, project: str) -> list[dict[str, Any]]:
    names = {"default"} | {
        name
        for s in region.servers.values()
        if s.project_id == project
        for name in s.security_groups
    }
    found = []
    for name in sorted(names):
        ident = _group_id(region, project, name)
        rules = [_rule(ident, "egress", "IPv4"), _rule(ident, "egress", "IPv6")]
        rules += [_rule(ident, "ingress", "IPv4", 22)] if name != "closed" else []
        shown = {
            "id": ident,
            "name": name,
            "project_id": project,
            "tenant_id": project,
            "description": "",
        }
        found.append(
            {**shown, "security_group_rules": rules, "stateful": True, "tags": [], "shared": False}
        )
    return found


def _rules(region: Region, project: str) -> list[dict[str, Any]]:
    return [rule for group in _groups(region, project) for rule in group["security_group_rules"]]


def _port(region: Region, server: Server) -> dict[str, Any]:
    fixed = [
        {"subnet_id": fixed_uuid(region.slug, "subnet"), "ip_address": a.address}
        for a in server.addresses
    ]
    return {
        "id": fixed_uuid(region.slug, "port", server.id),
        "name": "",
        "device_id": server.id,
        "device_owner": "compute:nova",
        "network_id": fixed_uuid(region.slug, "network", region.network),
        "status": "ACTIVE",
        "admin_state_up": True,
        "project_id": server.project_id,
        "tenant_id": server.project_id,
        "mac_address": server.addresses[0].mac,
        "fixed_ips": fixed,
        "security_groups": [
            _group_id(region, server.project_id, name) for name in server.security_groups
        ],
        "port_security_enabled": True,
    }


def _ports(region: Region, project: str) -> list[dict[str, Any]]:
    mine = (
        s
        for s in region.servers.values()
        if s.project_id == project and s.addresses and not s.deleted
    )
    return [_port(region, server) for server in mine]


def _none(_region: Region, _project: str) -> list[dict[str, Any]]:
    return []


LISTS = {
    "networks": _networks,
    "ports": _ports,
    "security-groups": _groups,
    "security-group-rules": _rules,
    "floatingips": _none,
    "subnets": _none,
    "routers": _none,
    "extensions": _none,
}
NOT_FILTERS = ("fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse")


def _things(call: Call) -> tuple[str, list[dict[str, Any]]]:
    kind = call.param("kind")
    if kind not in LISTS:
        raise Refusal(404, "The resource could not be found.")
    return kind.replace("-", "_"), LISTS[kind](call.region, call.who.project_id)


def list_things(call: Call) -> Answer:
    """List networks, ports, ... of the caller's project."""
    key, found = _things(call)
    query = call.request.query_params
    for name in {one for one in query if one not in NOT_FILTERS}:
        wanted = query.getlist(name)
        found = [one for one in found if str(one.get(name)) in wanted]
    return Answer(200, {key: found})


def show_thing(call: Call) -> Answer:
    """Return one of them."""
    key, found = _things(call)
    one = next((one for one in found if one["id"] == call.param("id")), None)
    if one is None:
        raise Refusal(
            404, f"{key[:-1].replace('_', ' ').capitalize()} {call.param('id')} could not be found."
        )
    return Answer(200, {key[:-1]: one})


SERVICE = Service("neutron", _prepare, _refuse, _mark)
ROOT = "/{region}/network"
ROUTES = [
    Route(f"{ROOT}", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/v2.0/{{kind}}", SERVICE.endpoint(list_things)),
    Route(f"{ROOT}/v2.0/{{kind}}/{{id}}", SERVICE.endpoint(show_thing)),
]
