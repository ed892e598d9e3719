"""Nova's and Glance's JSON into plain facts; every text in them is hostile until escaped."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from instances.lifecycle import Act


@dataclass(frozen=True)
class Server:
    """What the mirror keeps of a server; times are the cloud's own."""

    server_id: str
    name: str | None  # None: its cell is down, Nova knows little more than the id
    status: str
    vm_state: str
    task_state: str | None
    power_state: int
    locked: bool
    addresses: list[dict[str, Any]]
    image_id: str  # "" when it boots from a volume
    flavor_name: str
    flavor_ram: int
    flavor_disk: int
    key_name: str
    config_drive: bool
    volumes: int
    fault: str
    created_at: datetime | None
    launched_at: datetime | None
    updated_at: datetime | None
    deleted: bool


@dataclass(frozen=True)
class Image:
    image_id: str
    name: str
    status: str
    visibility: str
    owner: str
    hidden: bool
    disk_format: str
    min_ram: int
    size: int
    tags: list[str]
    properties: dict[str, str]
    updated_at: datetime | None


@dataclass(frozen=True)
class Accepted:
    """Nova took the call; ``password`` is the one it answered with, "" when it told none."""

    request_id: str
    password: str = ""


def _time(text: Any) -> datetime | None:
    if not text:
        return None
    parsed = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def server_from(raw: dict[str, Any]) -> Server:
    """Read a server of Nova's 2.47 to 2.96."""
    flavor = raw.get("flavor") or {}
    return Server(
        server_id=str(raw["id"]),
        name=raw.get("name"),
        status=str(raw.get("status") or "UNKNOWN"),
        vm_state=str(raw.get("OS-EXT-STS:vm_state") or ""),
        task_state=raw.get("OS-EXT-STS:task_state"),
        power_state=int(raw.get("OS-EXT-STS:power_state") or 0),
        locked=bool(raw.get("locked")),
        addresses=_addresses(raw.get("addresses") or {}),
        image_id=str((raw.get("image") or {}).get("id") or ""),
        flavor_name=str(flavor.get("original_name") or ""),
        flavor_ram=int(flavor.get("ram") or 0),
        flavor_disk=int(flavor.get("disk") or 0),
        key_name=str(raw.get("key_name") or ""),
        config_drive=str(raw.get("config_drive")).lower() in ("true", "1"),
        volumes=len(raw.get("os-extended-volumes:volumes_attached") or ()),
        fault=str((raw.get("fault") or {}).get("message") or ""),
        created_at=_time(raw.get("created")),
        launched_at=_time(raw.get("OS-SRV-USG:launched_at")),
        updated_at=_time(raw.get("updated")),
        deleted=raw.get("status") in ("DELETED", "SOFT_DELETED"),
    )


def _addresses(networks: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "address": str(port["addr"]),
            "version": int(port.get("version") or 4),
            "kind": str(port.get("OS-EXT-IPS:type") or "fixed"),
            "network": str(network),
        }
        for network, ports in networks.items()
        for port in ports
    ]


_IMAGE_FIELDS = frozenset(
    "id name status visibility owner os_hidden disk_format container_format min_ram min_disk size "
    "virtual_size tags created_at updated_at self file schema checksum protected direct_url "
    "locations stores os_hash_algo os_hash_value".split()
)


def image_from(raw: dict[str, Any]) -> Image:
    """Read an image of Glance's v2; what it does not know itself is a property."""
    return Image(
        image_id=str(raw["id"]),
        name=str(raw.get("name") or ""),
        status=str(raw.get("status") or ""),
        visibility=str(raw.get("visibility") or ""),
        owner=str(raw.get("owner") or ""),
        hidden=bool(raw.get("os_hidden")),
        disk_format=str(raw.get("disk_format") or ""),
        min_ram=int(raw.get("min_ram") or 0),
        size=int(raw.get("size") or 0),
        tags=[str(tag) for tag in raw.get("tags") or ()],
        properties={k: str(v) for k, v in raw.items() if k not in _IMAGE_FIELDS},
        updated_at=_time(raw.get("updated_at")),
    )


def act_from(raw: dict[str, Any]) -> Act:
    """Read an instance action; members see its failure as the message ``Error`` alone."""
    events = raw.get("events") or []
    return Act(
        request_id=str(raw["request_id"]),
        action=str(raw["action"]),
        user_id=raw.get("user_id"),
        failed=raw.get("message") == "Error" or any(e.get("result") == "Error" for e in events),
        host_started_at=_time(events[-1].get("start_time")) if events else None,
        finished=any(e.get("finish_time") for e in events),
    )
