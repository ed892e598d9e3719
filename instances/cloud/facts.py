"""Nova's and Glance's JSON into plain facts; every text in them is hostile until escaped."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from instances.observed import Act


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
class Happened:
    """Something that was done to a server, for telling of it."""

    request_id: str
    action: str
    user_id: str  # "" when the cloud did it by itself
    at: datetime | None
    failed: bool

    def kept(self) -> dict[str, Any]:
        """Return it as a row keeps it."""
        return asdict(self) | {"at": self.at.isoformat() if self.at else ""}


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


LONGEST_PASSWORD = 255  # as Nova's schema has it for what is given to it
MOST = 2**31 - 1  # what a database's integer holds


def text_of(raw: Any, most: int = 255) -> str:
    """Read a text as every database can hold it: no NUL, no half of a pair, not endless."""
    if raw is None:
        return ""
    return str(raw).replace("\x00", "").encode(errors="replace").decode()[:most]


def _number(raw: Any, most: int = MOST) -> int:
    return max(0, min(int(raw or 0), most))


def _time(text: Any) -> datetime | None:
    if not text:
        return None
    parsed = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def server_from(raw: dict[str, Any]) -> Server:
    """Read a server of Nova's 2.47 to 2.96."""
    flavor = raw.get("flavor") or {}
    status = text_of(raw.get("status") or "UNKNOWN", 32)
    return Server(
        server_id=_id(raw["id"]),
        name=None if raw.get("name") is None else text_of(raw["name"]),
        status=status,
        vm_state=text_of(raw.get("OS-EXT-STS:vm_state"), 32),
        task_state=text_of(raw.get("OS-EXT-STS:task_state"), 64) or None,
        power_state=_number(raw.get("OS-EXT-STS:power_state")),
        locked=bool(raw.get("locked")),
        addresses=_addresses(raw.get("addresses") or {}),
        image_id=text_of((raw.get("image") or {}).get("id"), 64),
        flavor_name=text_of(flavor.get("original_name")),
        flavor_ram=_number(flavor.get("ram")),
        flavor_disk=_number(flavor.get("disk")),
        key_name=text_of(raw.get("key_name")),
        config_drive=str(raw.get("config_drive")).lower() in ("true", "1"),
        volumes=len(raw.get("os-extended-volumes:volumes_attached") or ()),
        fault=text_of((raw.get("fault") or {}).get("message"), 2000),
        created_at=_time(raw.get("created")),
        launched_at=_time(raw.get("OS-SRV-USG:launched_at")),
        updated_at=_time(raw.get("updated")),
        deleted=status in ("DELETED", "SOFT_DELETED"),
    )


def _id(raw: Any) -> str:
    """Read an id; what is not one cannot be asked for either."""
    if not isinstance(raw, str) or not raw or len(raw) > 64 or not raw.isprintable():
        raise ValueError("not an id")
    return raw


def password_from(raw: Any) -> str:
    """Read the password that Nova answered with; "" for what nobody could type in."""
    fits = isinstance(raw, str) and len(raw) <= LONGEST_PASSWORD and raw.isprintable()
    return raw if fits else ""


def _addresses(networks: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "address": text_of(port["addr"], 64),
            "version": _number(port.get("version") or 4),
            "kind": text_of(port.get("OS-EXT-IPS:type") or "fixed", 16),
            "network": text_of(network),
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
        image_id=_id(raw["id"]),
        name=text_of(raw.get("name")),
        status=text_of(raw.get("status"), 32),
        visibility=text_of(raw.get("visibility"), 32),
        owner=text_of(raw.get("owner"), 64),
        hidden=bool(raw.get("os_hidden")),
        disk_format=text_of(raw.get("disk_format"), 32),
        min_ram=_number(raw.get("min_ram")),
        size=_number(raw.get("size"), 2**63 - 1),
        tags=[text_of(tag) for tag in raw.get("tags") or ()],
        properties={text_of(k): text_of(v) for k, v in raw.items() if k not in _IMAGE_FIELDS},
        updated_at=_time(raw.get("updated_at")),
    )


def happened_from(raw: dict[str, Any]) -> Happened:
    """Read an instance action as a page tells of it."""
    return Happened(
        request_id=text_of(raw["request_id"], 64),
        action=text_of(raw["action"], 64),
        user_id=text_of(raw.get("user_id"), 64),
        at=_time(raw.get("start_time")),
        failed=raw.get("message") == "Error",
    )


def act_from(raw: dict[str, Any]) -> Act:
    """Read an instance action; members see its failure as the message ``Error`` alone."""
    events = raw.get("events") or []
    return Act(
        request_id=text_of(raw["request_id"], 64),
        action=text_of(raw["action"]),
        user_id=text_of(raw.get("user_id")) or None,
        failed=raw.get("message") == "Error" or any(e.get("result") == "Error" for e in events),
        started_at=_time(raw.get("start_time")),
        host_started_at=_time(events[-1].get("start_time")) if events else None,
        finished=any(e.get("finish_time") for e in events),
    )
