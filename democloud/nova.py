"""Answer as Nova 2.1 to 2.104 does: servers, flavors, metadata, key pairs."""

import secrets
import uuid
from collections.abc import Callable
from typing import Any

from starlette.routing import Route

from democloud import nova_host, nova_query, nova_schema, nova_views
from democloud.http import Answer, Call, Refusal, page
from democloud.nova_actions import act, check_state
from democloud.nova_base import (
    HIGHEST,
    LOWEST,
    SERVICE,
    UNEXPECTED,
    check_lock,
    demand,
    find_server,
    written,
)
from democloud.nova_history import list_actions, show_action
from democloud.state import Address, Flavor, Image, Server

MOST_METADATA = 128  # the default quota
METADATA_STATES = ("active", "paused", "suspended", "stopped")


def _v21(call: Call) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": written(HIGHEST),
        "min_version": written(LOWEST),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{call.base}/{call.region.slug}/compute/v2.1/"}],
    }


def versions(call: Call) -> Answer:
    """Answer at the root: which versions there are."""
    return Answer(200, {"versions": [_v21(call)]})


def version(call: Call) -> Answer:
    """Answer at /v2.1."""
    media = {
        "base": "application/json",
        "type": "application/vnd.openstack.compute+json;version=2.1",
    }
    return Answer(200, {"version": _v21(call) | {"media-types": [media]}})


def _listed(
    call: Call, page: list[Server], view: Callable[[Call, Server], dict[str, Any]]
) -> list[dict[str, Any]]:
    down = [one for one in page if call.cloud.knobs.fault("cell_down", one.id, one.name)]
    if not down:
        return [view(call, one) for one in page]
    if call.version < (2, 69):
        return [view(call, one) for one in page if one not in down]
    return [nova_views.unknown(call, one) if one in down else view(call, one) for one in page]


def _needs_neutron(call: Call) -> None:
    # Nova asks Neutron for the security groups of each server it shows in full.
    if call.cloud.knobs.is_away("neutron"):
        name = "keystoneauth1.exceptions.connection.ConnectFailure"
        raise Refusal(500, UNEXPECTED.format(name))


def list_basic(call: Call) -> Answer:
    """List servers by name and id."""
    page, more = nova_query.find(call, policy="index")
    body: dict[str, Any] = {"servers": _listed(call, page, nova_views.basic)}
    if more:
        body["servers_links"] = nova_query.next_link(call, "servers", page[-1].id)
    return Answer(200, body)


def list_detail(call: Call) -> Answer:
    """List servers in full."""
    _needs_neutron(call)
    page, more = nova_query.find(call, policy="detail")
    if 0 < call.cloud.knobs.longest_list < len(page):
        raise Refusal(500, UNEXPECTED.format("neutronclient.common.exceptions.NeutronException"))
    body: dict[str, Any] = {"servers": _listed(call, page, nova_views.listed)}
    if more:
        body["servers_links"] = nova_query.next_link(call, "servers/detail", page[-1].id)
    return Answer(200, body)


def show_server(call: Call) -> Answer:
    """Return one server."""
    _needs_neutron(call)
    server = find_server(call)
    if not call.cloud.knobs.fault("cell_down", server.id, server.name):
        return Answer(200, {"server": nova_views.detail(call, server)})
    if call.version < (2, 69):
        raise Refusal(503, "The service is currently unable to serve this request.")
    return Answer(200, {"server": nova_views.unknown(call, server)})


def _boot_from(call: Call, wanted: dict[str, Any]) -> tuple[Flavor, Image | None]:
    flavor = call.region.flavors.get(str(wanted.get("flavorRef")))
    if flavor is None:
        raise Refusal(400, "Invalid flavorRef provided.")
    image = call.region.images.get(str(wanted.get("imageRef")))
    if image is None and not wanted.get("block_device_mapping_v2"):
        raise Refusal(400, "Invalid imageRef provided.")
    return flavor, image


def _next_address(call: Call) -> Address:
    number = len(call.region.servers) + 2
    mac = f"fa:16:3e:ff:{number >> 8 & 255:02x}:{number & 255:02x}"
    return Address(call.region.network, f"10.20.{number >> 8 & 255}.{number & 255}", mac=mac)


def create_server(call: Call) -> Answer:
    """Build a server; with a network it gets one address."""
    demand(call, "servers:create")
    wanted = (call.json() or {}).get("server") or {}
    flavor, image = _boot_from(call, wanted)
    server = Server(
        str(uuid.uuid4()),
        wanted["name"],
        call.region.name,
        call.who.project_id,
        call.who.user_id,
        flavor,
        image.id if image else "",
        vm_state="building",
        task_state="spawning",
        power_state=0,
        launched_at=None,
        volume_backed=image is None,
        metadata=dict(wanted.get("metadata", {})),
        key_name=wanted.get("key_name"),
        config_drive=bool(wanted.get("config_drive", False)),
        hostname=wanted["name"],
        image_properties=dict(image.properties) if image else {},
        addresses=[] if wanted.get("networks", "none") == "none" else [_next_address(call)],
    )
    call.region.servers[server.id] = server
    action = nova_host.record(call, server, "create")
    seconds = call.cloud.knobs.spawn_seconds
    nova_host.start(
        call, server, action, "compute__do_build_and_run_instance", seconds, nova_host.finish_spawn
    )
    body: dict[str, Any] = {
        "id": server.id,
        "links": nova_views.links(call, "servers", server.id),
        "OS-DCF:diskConfig": "MANUAL",
        "security_groups": [{"name": "default"}],
        "adminPass": secrets.token_urlsafe(9),
    }
    return Answer(202, {"server": body}, headers={"Location": body["links"][0]["href"]})


def rename_server(call: Call) -> Answer:
    """Change a server's name or description."""
    server = find_server(call)
    demand(call, "servers:update")
    wanted = (call.json() or {}).get("server") or {}
    server.save(**{key: wanted[key] for key in ("name", "description") if key in wanted})
    return Answer(200, {"server": nova_views.detail(call, server)})


def delete_server(call: Call) -> Answer:
    """Delete a server, in whatever state it is."""
    server = find_server(call)
    demand(call, "servers:delete")
    check_lock(call, server)
    if server.task_state != "deleting":
        server.save(task_state="deleting")
        action = nova_host.record(call, server, "delete")
        seconds = call.cloud.knobs.other_seconds
        nova_host.start(
            call, server, action, "compute_terminate_instance", seconds, nova_host.finish_delete
        )
    return Answer(204)


def list_flavors(call: Call) -> Answer:
    """List flavors; /detail in full."""
    full = call.request.url.path.endswith("/detail")
    found = [nova_views.flavor(call, one, full=full) for one in call.region.flavors.values()]
    if call.request.query_params.get("marker"):
        found = []
    return Answer(200, {"flavors": found})


def show_flavor(call: Call) -> Answer:
    """Return one flavor."""
    one = call.region.flavors.get(call.param("id"))
    if one is None:
        raise Refusal(404, f"Flavor {call.param('id')} could not be found.")
    return Answer(200, {"flavor": nova_views.flavor(call, one, full=True)})


def show_metadata(call: Call) -> Answer:
    """Return all metadata of a server."""
    return Answer(200, {"metadata": find_server(call).metadata})


def change_metadata(call: Call) -> Answer:
    """Add metadata to a server."""
    wanted = (call.json() or {}).get("metadata", {})
    nova_schema.metadata(wanted)
    server = _with_metadata(call, "update" if call.request.method == "PUT" else "create")
    kept = {} if call.request.method == "PUT" else server.metadata
    _save_metadata(server, {**kept, **wanted})
    return Answer(200, {"metadata": server.metadata})


def _save_metadata(server: Server, metadata: dict[str, str]) -> None:
    if len(metadata) > MOST_METADATA:
        raise Refusal(403, f"Maximum number of metadata items exceeds {MOST_METADATA}")
    server.save(metadata=metadata)


def _with_metadata(call: Call, what: str) -> Server:
    server = find_server(call)
    demand(call, f"server-metadata:{what}")
    check_lock(call, server)
    check_state(
        f"{'delete' if what == 'delete' else 'update'} metadata", server, METADATA_STATES, None
    )
    return server


def change_metadata_item(call: Call) -> Answer:
    """Set, show or delete one item of a server's metadata."""
    key, method = call.param("key"), call.request.method
    if method == "PUT":
        server = _with_metadata(call, "update")
        _save_metadata(server, {**server.metadata, **(call.json() or {}).get("meta", {})})
        return Answer(200, {"meta": {key: server.metadata.get(key)}})
    server = find_server(call)
    if key not in server.metadata:
        raise Refusal(404, "Metadata item was not found")
    if method == "GET":
        return Answer(200, {"meta": {key: server.metadata[key]}})
    _with_metadata(call, "delete")
    server.save(metadata={k: v for k, v in server.metadata.items() if k != key})
    return Answer(204)


def _of_server(name: str, shown: Any) -> Any:
    def show(call: Call) -> Answer:
        server = find_server(call)
        return Answer(200, {name: shown(server) if callable(shown) else shown})

    return show


def _volumes(server: Server) -> list[dict[str, Any]]:
    return [
        {"id": one, "volumeId": one, "serverId": server.id, "device": "/dev/vda"}
        for one in server.volumes
    ]


def console(call: Call) -> Answer:
    """Refuse a console: nothing here has a screen."""
    kind = ((call.json() or {}).get("remote_console") or {}).get("type", "novnc")
    find_server(call)
    demand(call, "os-remote-consoles")
    raise Refusal(400, f"Unavailable console type {kind}.")


def keypairs(call: Call) -> Answer:
    """List the names of the keys in use."""
    names = {
        s.key_name
        for s in call.region.servers.values()
        if s.key_name and s.project_id == call.who.project_id
    }
    fingerprint = {"type": "ssh", "public_key": "ssh-ed25519 AAAA", "fingerprint": "SHA256:demo"}
    return Answer(
        200, {"keypairs": [{"keypair": {"name": name, **fingerprint}} for name in sorted(names)]}
    )


def keypair(call: Call) -> Answer:
    """Return one key pair: there is none that could be shown."""
    raise Refusal(404, f"Keypair {call.param('name')} not found for user {call.who.user_id}")


def limits(call: Call) -> Answer:
    """Answer that there are no limits."""
    mine = [
        s
        for s in call.region.servers.values()
        if s.project_id == call.who.project_id and not s.deleted
    ]
    return Answer(
        200,
        {
            "limits": {
                "rate": [],
                "absolute": {"maxTotalInstances": -1, "totalInstancesUsed": len(mine)},
            }
        },
    )


def zones(_call: Call) -> Answer:
    """Return the one availability zone."""
    zone = {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}
    return Answer(200, {"availabilityZoneInfo": [zone]})


def nothing(_call: Call) -> Answer:
    """Answer a path Nova does not know: the router's page, not Nova's JSON."""
    return Answer(404, text=page(404, "The resource could not be found."))


METADATA = {"GET": show_metadata, "POST": change_metadata, "PUT": change_metadata}
SERVER = {"GET": show_server, "PUT": rename_server, "DELETE": delete_server}
SERVERS = {"GET": list_basic, "POST": create_server}


def _by_method(handlers: dict[str, Any]) -> Any:
    def handle(call: Call) -> Answer:
        handler = handlers.get(call.request.method if call.request.method != "HEAD" else "GET")
        return handler(call) if handler else nothing(call)

    return SERVICE.endpoint(handle)


ROOT = "/{region}/compute"
ONE = f"{ROOT}/v2.1/servers/{{server}}"
ROUTES = [
    Route(f"{ROOT}", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/v2.1", SERVICE.endpoint(version)),
    Route(f"{ROOT}/v2.1/", SERVICE.endpoint(version)),
    Route(f"{ROOT}/v2.1/servers", _by_method(SERVERS), methods=["GET", "POST"]),
    Route(f"{ROOT}/v2.1/servers/detail", SERVICE.endpoint(list_detail)),
    Route(ONE, _by_method(SERVER), methods=list(SERVER)),
    Route(f"{ONE}/action", SERVICE.endpoint(act), methods=["POST"]),
    Route(f"{ONE}/os-instance-actions", SERVICE.endpoint(list_actions)),
    Route(f"{ONE}/os-instance-actions/{{id}}", SERVICE.endpoint(show_action)),
    Route(f"{ONE}/metadata", _by_method(METADATA), methods=list(METADATA)),
    Route(
        f"{ONE}/metadata/{{key}}",
        SERVICE.endpoint(change_metadata_item),
        methods=["GET", "PUT", "DELETE"],
    ),
    Route(f"{ONE}/os-server-password", SERVICE.endpoint(_of_server("password", ""))),
    Route(f"{ONE}/ips", SERVICE.endpoint(_of_server("addresses", nova_views.bare_addresses))),
    Route(
        f"{ONE}/os-volume_attachments", SERVICE.endpoint(_of_server("volumeAttachments", _volumes))
    ),
    Route(f"{ONE}/os-interface", SERVICE.endpoint(_of_server("interfaceAttachments", []))),
    Route(f"{ONE}/os-security-groups", SERVICE.endpoint(_of_server("security_groups", []))),
    Route(f"{ONE}/tags", SERVICE.endpoint(_of_server("tags", lambda server: server.tags))),
    Route(f"{ONE}/remote-consoles", SERVICE.endpoint(console), methods=["POST"]),
    Route(f"{ROOT}/v2.1/flavors", SERVICE.endpoint(list_flavors)),
    Route(f"{ROOT}/v2.1/flavors/detail", SERVICE.endpoint(list_flavors)),
    Route(f"{ROOT}/v2.1/flavors/{{id}}", SERVICE.endpoint(show_flavor)),
    Route(f"{ROOT}/v2.1/os-keypairs", SERVICE.endpoint(keypairs)),
    Route(f"{ROOT}/v2.1/os-keypairs/{{name}}", SERVICE.endpoint(keypair)),
    Route(f"{ROOT}/v2.1/limits", SERVICE.endpoint(limits)),
    Route(f"{ROOT}/v2.1/os-availability-zone", SERVICE.endpoint(zones)),
    Route(
        f"{ROOT}/v2.1/{{rest:path}}",
        SERVICE.endpoint(nothing),
        methods=["GET", "POST", "PUT", "DELETE"],
    ),
]
