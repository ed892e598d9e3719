"""Show servers, flavors and actions as Nova does, field by field and by microversion."""

from typing import Any

from democloud.clock import iso, long_iso
from democloud.http import Call
from democloud.state import Action, Address, Event, Flavor, Server

STATUS = {
    "active": "ACTIVE",
    "building": "BUILD",
    "stopped": "SHUTOFF",
    "resized": "VERIFY_RESIZE",
    "paused": "PAUSED",
    "suspended": "SUSPENDED",
    "rescued": "RESCUE",
    "error": "ERROR",
    "deleted": "DELETED",
    "soft-delete": "SOFT_DELETED",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
}
BUSY_STATUS = {
    ("active", "rebooting"): "REBOOT",
    ("active", "reboot_started"): "REBOOT",
    ("active", "rebooting_hard"): "HARD_REBOOT",
    ("active", "reboot_started_hard"): "HARD_REBOOT",
    ("active", "updating_password"): "PASSWORD",
    ("active", "resize_prep"): "RESIZE",
    ("active", "resize_finish"): "RESIZE",
    ("stopped", "resize_prep"): "RESIZE",
    ("resized", "resize_reverting"): "REVERT_RESIZE",
    ("active", "rebuilding"): "REBUILD",
    ("stopped", "rebuilding"): "REBUILD",
    ("error", "rebuilding"): "REBUILD",
}
IMAGE_PROPERTIES = ("architecture", "os_admin_user", "os_distro", "os_secure_boot", "os_type")
WITH_PROGRESS = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")


def status(server: Server) -> str:
    """Return the status that goes with vm_state and task_state."""
    if server.deleted:
        return "DELETED"
    return BUSY_STATUS.get((server.vm_state, server.task_state or ""), STATUS[server.vm_state])


def links(call: Call, kind: str, ident: str) -> list[dict[str, str]]:
    """Return the two links each thing of Nova's has."""
    root = f"{call.base}/{call.region.slug}/compute"
    return [
        {"rel": "self", "href": f"{root}/v2.1/{kind}/{ident}"},
        {"rel": "bookmark", "href": f"{root}/{kind}/{ident}"},
    ]


def bookmark(call: Call, kind: str, ident: str) -> list[dict[str, str]]:
    """Return the bookmark link alone."""
    return links(call, kind, ident)[1:]


def basic(call: Call, server: Server) -> dict[str, Any]:
    """Return a server as /servers lists it."""
    return {"id": server.id, "name": server.name, "links": links(call, "servers", server.id)}


def addresses(server: Server) -> dict[str, list[dict[str, Any]]]:
    """Return addresses by network; a server that is being built has none yet."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in server.addresses if server.vm_state != "building" else []:
        found.setdefault(one.network, []).append(_address(one))
    return found


def bare_addresses(server: Server) -> dict[str, list[dict[str, Any]]]:
    """Return what /ips shows: less than the server itself."""
    return {
        network: [{"version": one["version"], "addr": one["addr"]} for one in found]
        for network, found in addresses(server).items()
    }


def _address(one: Address) -> dict[str, Any]:
    return {
        "version": one.version,
        "addr": one.address,
        "OS-EXT-IPS:type": one.kind,
        "OS-EXT-IPS-MAC:mac_addr": one.mac,
    }


def _known_to_nova(name: str) -> bool:
    return name in IMAGE_PROPERTIES or name.startswith(("hw_", "img_"))


def _image(call: Call, server: Server) -> Any:
    if server.volume_backed or not server.image_id:
        return ""
    image: dict[str, Any] = {
        "id": server.image_id,
        "links": bookmark(call, "images", server.image_id),
    }
    if call.version >= (2, 98):
        known = server.image_properties.items()
        image["properties"] = {name: value for name, value in known if _known_to_nova(name)}
    return image


def _flavor(call: Call, flavor: Flavor) -> dict[str, Any]:
    if call.version < (2, 47):
        return {"id": flavor.id, "links": bookmark(call, "flavors", flavor.id)}
    return {
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": 0,
        "swap": 0,
        "original_name": flavor.name,
        "extra_specs": {},
    }


def _volumes(call: Call, server: Server) -> list[dict[str, Any]]:
    if call.version < (2, 3):
        return [{"id": one} for one in server.volumes]
    return [{"id": one, "delete_on_termination": False} for one in server.volumes]


def detail(call: Call, server: Server, *, single: bool = True) -> dict[str, Any]:
    """Return a server in full; `single` adds what lists leave out."""
    shown = status(server)
    view: dict[str, Any] = {
        "accessIPv4": "",
        "accessIPv6": "",
        "addresses": addresses(server),
        "created": iso(server.created),
        "flavor": _flavor(call, server.flavor),
        "hostId": server.host_id,
        "id": server.id,
        "image": _image(call, server),
        "links": links(call, "servers", server.id),
        "metadata": server.metadata,
        "name": server.name,
        "status": shown,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "updated": iso(server.updated),
        "OS-DCF:diskConfig": "MANUAL",
    }
    if shown in ("ERROR", "DELETED") and server.fault:
        fault = server.fault
        view["fault"] = {
            "code": fault.code,
            "created": iso(fault.created),
            "message": fault.message,
        }
    if shown in WITH_PROGRESS:
        view["progress"] = 0
    view |= {
        "OS-EXT-AZ:availability_zone": "nova",
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": long_iso(server.launched_at),
        "OS-SRV-USG:terminated_at": long_iso(server.terminated_at),
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": _volumes(call, server),
    }
    if server.security_groups and server.addresses:
        view["security_groups"] = [{"name": name} for name in server.security_groups]
    if call.is_admin:
        view |= _for_admins(call, server)
    view |= _by_version(call, server, single=single)
    return view


def listed(call: Call, server: Server) -> dict[str, Any]:
    """Return a server as lists in full show it."""
    return detail(call, server, single=False)


def unknown(call: Call, server: Server) -> dict[str, Any]:
    """Return what Nova still knows of a server whose cell is down."""
    return {
        "id": server.id,
        "status": "UNKNOWN",
        "tenant_id": server.project_id,
        "created": iso(server.created),
        "links": links(call, "servers", server.id),
    }


def _for_admins(call: Call, server: Server) -> dict[str, Any]:
    shown = {
        "host": "demo-compute",
        "instance_name": "instance-00000001",
        "hypervisor_hostname": "demo-compute",
    }
    if call.version >= (2, 3):
        shown |= {"hostname": server.hostname, "root_device_name": "/dev/vda"}
    view: dict[str, Any] = {f"OS-EXT-SRV-ATTR:{key}": value for key, value in shown.items()}
    return view | ({"host_status": "UP"} if call.version >= (2, 16) else {})


def _by_version(call: Call, server: Server, *, single: bool) -> dict[str, Any]:
    added: list[tuple[tuple[int, int], str, Any]] = [
        ((2, 9), "locked", server.locked_by is not None),
        ((2, 19), "description", server.description),
        ((2, 26), "tags", server.tags),
        ((2, 63), "trusted_image_certificates", None),
        ((2, 73), "locked_reason", server.locked_reason),
        ((2, 90), "OS-EXT-SRV-ATTR:hostname", server.hostname),
        ((2, 96), "pinned_availability_zone", None),
        ((2, 100), "scheduler_hints", {}),
    ]
    if single:
        added.append(((2, 71), "server_groups", []))
    return {name: value for since, name, value in added if call.version >= since}


def flavor(call: Call, one: Flavor, *, full: bool) -> dict[str, Any]:
    """Return a flavor as lists or as itself."""
    view: dict[str, Any] = {"id": one.id, "name": one.name, "links": links(call, "flavors", one.id)}
    if call.version >= (2, 55):
        view["description"] = None
    if not full:
        return view
    view |= {
        "ram": one.ram,
        "disk": one.disk,
        "swap": 0 if call.version >= (2, 75) else "",
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "vcpus": one.vcpus,
        "os-flavor-access:is_public": True,
    }
    if call.version < (2, 102):
        view |= {"OS-FLV-DISABLED:disabled": False, "rxtx_factor": 1.0}
    return view | ({"extra_specs": {}} if call.version >= (2, 61) else {})


def action(call: Call, server: Server, one: Action) -> dict[str, Any]:
    """Return an action without its events."""
    view = {
        "action": one.name,
        "instance_uuid": server.id,
        "request_id": one.request_id,
        "user_id": one.user_id,
        "project_id": one.project_id,
        "start_time": long_iso(one.started),
        "message": one.message,
    }
    return view | ({"updated_at": long_iso(one.updated)} if call.version >= (2, 58) else {})


def event(call: Call, server: Server, one: Event) -> dict[str, Any]:
    """Return an event; its details are for admins only."""
    view: dict[str, Any] = {
        "event": one.name,
        "start_time": long_iso(one.started),
        "finish_time": long_iso(one.finished),
        "result": one.result,
    }
    if call.is_admin:
        view["traceback"] = f"Traceback: {one.details}" if one.details else None
    if call.version >= (2, 62):
        view["hostId"] = server.host_id
        if call.is_admin:
            view["host"] = "demo-compute"
    if call.version >= (2, 84) and call.is_admin:
        view["details"] = one.details
    return view
