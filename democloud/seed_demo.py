"""The demo's people and servers: fixed ids, so that a restart keeps them."""

from typing import Any

from democloud.clock import ago, now
from democloud.seed_images import demo_images, image_id, project_id
from democloud.state import (
    Action,
    Address,
    Credential,
    Event,
    Fault,
    Flavor,
    Project,
    Region,
    Seed,
    Server,
    User,
    fixed_hex,
    fixed_uuid,
)

MEMBER = ("reader", "member")
FLAVORS = {
    "s1-2": (2048, 1, 10),
    "b2-7": (7168, 2, 50),
    "b2-15": (15360, 4, 100),
    "r2-30": (30720, 2, 50),
    "a1-4": (4096, 2, 20),
}
USERS: dict[str, dict[str, tuple[str, ...]]] = {
    "alice": {"acme": MEMBER},
    "rita": {"acme": ("reader",)},
    "mallory": {"othercorp": MEMBER},
    "admin": {"admin": ("reader", "member", "manager", "admin")},
}
CREDENTIALS = {
    "acme": ("alice", "acme"),
    "acme-reader": ("rita", "acme"),
    "othercorp": ("mallory", "othercorp"),
    "admin": ("admin", "admin"),
}
D12, U24, A9 = "Debian 12", "Ubuntu 24.04", "AlmaLinux 9"
#: what ails the disks of some, for those who go and look (machines/layouts.py)
DISKS = {
    "web-1": "lost-key",
    "web-2": "bad-fstab",
    "web-3": "open-home",
    "web-4": "clash",
    "lb-1": "wrong-key",
    "db-primary": "lvm",
    "db-replica": "damaged",
    "cache-1": "luks",
    "cache-2": "full",
    "mail": "lost-key",
    "staging": "swap-home",
    "web-eu-1": "lost-key",
}
Row = tuple[str, str, str, dict[str, Any]]
ACME_GRA: list[Row] = [
    ("web-1", "b2-7", D12, {"key_name": "alice-laptop", "floating": True}),
    ("web-2", "b2-7", D12, {"key_name": "alice-laptop"}),
    ("web-3", "b2-7", D12, {"key_name": "alice-laptop"}),
    ("web-4", "b2-7", U24, {"key_name": "deploy"}),
    ("lb-1", "s1-2", "Debian 13", {"floating": True, "security_groups": ["default", "public-web"]}),
    ("lb-2", "s1-2", "Debian 13", {"security_groups": ["default", "public-web"]}),
    (
        "db-primary",
        "r2-30",
        D12,
        {"key_name": "dba", "volumes": 1, "description": "PostgreSQL 16, the books"},
    ),
    ("db-replica", "r2-30", D12, {"key_name": "dba", "volumes": 1}),
    ("db-archive", "b2-15", "", {"volume_backed": True, "volumes": 1}),
    ("mail", "b2-7", A9, {"floating": True, "metadata": {"owner": "ops", "backup": "daily"}}),
    ("ci-runner-1", "b2-15", U24, {"config_drive": False, "key_name": "ci"}),
    ("ci-runner-2", "b2-15", U24, {"config_drive": False}),
    ("cache-1", "s1-2", D12, {}),
    ("cache-2", "s1-2", D12, {}),
    (
        "billing",
        "b2-15",
        A9,
        {"locked_by": "owner", "locked_reason": "month-end close, ask Claire"},
    ),
    ("reports", "b2-7", A9, {"vm_state": "paused", "power_state": 3}),
    ("staging", "b2-7", U24, {"vm_state": "stopped", "power_state": 4}),
    (
        "search-2",
        "b2-15",
        D12,
        {"vm_state": "error", "power_state": 0, "fault": "No valid host was found. "},
    ),
    (
        "import-2026-11",
        "b2-7",
        D12,
        {"vm_state": "building", "task_state": "spawning", "launched_at": None},
    ),
    ("old-intranet", "s1-2", "AlmaLinux 9", {"vm_state": "shelved_offloaded", "power_state": 4}),
    ("vpn", "s1-2", D12, {"vm_state": "rescued", "outside": True, "key_name": "alice-laptop"}),
    ("windows-ad", "b2-15", "Windows Server 2022", {"security_groups": ["default", "closed"]}),
    ("<script>alert(1)</script>", "s1-2", D12, {}),
    ("متجر-الويب 🛒", "s1-2", U24, {}),
    ("legacy-norescue", "b2-7", A9, {}),
    ("slow-boot", "b2-7", "Ubuntu 24.04 (UEFI)", {"key_name": "deploy"}),
]
ACME_SBG: list[Row] = [
    ("web-eu-1", "b2-7", D12, {"key_name": "alice-laptop", "floating": True}),
    ("web-eu-2", "b2-7", D12, {"key_name": "alice-laptop"}),
    ("db-eu", "r2-30", D12, {"key_name": "dba", "volumes": 1}),
    ("backup-1", "b2-15", A9, {"volumes": 2}),
    ("backup-nounrescue", "b2-15", A9, {}),
    ("dns-1", "s1-2", "Debian 13", {"floating": True}),
    ("dns-2", "s1-2", "Debian 13", {"vm_state": "stopped", "power_state": 4}),
    ("edge-arm", "a1-4", "Debian 12 (arm64)", {}),
]
OTHERCORP_GRA: list[Row] = [
    ("shop-1", "b2-7", U24, {}),
    ("shop-2", "b2-7", U24, {}),
    ("shop-db", "r2-30", "Other Corp golden image", {}),
    ("erp", "b2-15", "Windows Server 2022", {}),
    ("payroll", "b2-7", D12, {"locked_by": "owner"}),
]


def user_id(name: str) -> str:
    """Return the id of a user of the demo."""
    return fixed_hex("demo", "user", name)


def _addresses(region: Region, project: str, number: int, *, floating: bool) -> list[Address]:
    shift = {"acme": 10, "othercorp": 150}[project] + number
    # Addresses of this computer's own, so that ssh to them leads to the demo's machines.
    net, prefix = ("127.77.1", "2001:db8:a") if region.slug == "gra" else ("127.77.2", "2001:db8:b")
    mac = f"fa:16:3e:{len(region.slug):02x}:{shift >> 8:02x}:{shift & 255:02x}"
    if floating:
        inside = Address("private", f"10.8.0.{shift}", mac=mac)
        return [inside, Address("private", f"{net}.{shift}", kind="floating", mac=mac)]
    both = (f"{net}.{shift}", 4), (f"{prefix}::{shift:x}", 6)
    return [Address("Ext-Net", address, version, mac=mac) for address, version in both]


def _reached_at(addresses: list[Address]) -> str:
    """Return the address one would choose: floating before fixed."""
    found = [one.address for one in addresses if one.version == 4]
    return found[-1]


def _server(region: Region, project: str, user: str, number: int, row: Row) -> Server:
    name, flavor, image, special = row[0], row[1], row[2], dict(row[3])
    floating, outside = special.pop("floating", False), special.pop("outside", False)
    fault, volumes = special.pop("fault", None), special.pop("volumes", 0)
    born = ago(days=300 - 7 * number, minutes=11 * number)
    ident = fixed_uuid(region.slug, project, "server", name)
    base = image_id(region.slug, image) if image else ""
    addresses = _addresses(region, project, number, floating=floating)
    server = Server(
        ident,
        name,
        region.name,
        project_id(project),
        user_id(user),
        _flavor(region, flavor),
        base,
        created=born,
        # A restart forgets what was done; as all changed now, a mirror of changes heals itself.
        updated=now(),
        addresses=addresses,
        ssh_address=_reached_at(addresses),
        disk=DISKS.get(name, "sound"),
        volumes=[fixed_uuid(ident, "volume", str(one)) for one in range(volumes)],
        image_properties=dict(region.images[base].properties) if base else {},
        hostname=_hostname(name),
        **{"config_drive": True, "launched_at": born, **special},
    )
    if fault:
        server.fault = Fault(500, fault, ago(hours=3))
    server.actions.append(_past(server, "create", user_id(user), server.created))
    if outside:
        _rescued_by_hand(server, region)
    return server


def _hostname(name: str) -> str:
    kept = (one for one in name.lower() if one.isascii() and (one.isalnum() or one in "-."))
    return "".join(kept).strip("-")


def _flavor(region: Region, name: str) -> Flavor:
    return region.flavors[fixed_uuid(region.slug, "flavor", name)]


def _past(server: Server, name: str, user: str, started: Any) -> Action:
    event = Event(f"compute_{name}_instance", started, started, "Success")
    request = f"req-{fixed_uuid(server.id, name)}"
    return Action(name, request, user, server.project_id, started, started, events=[event])


def _rescued_by_hand(server: Server, region: Region) -> None:
    started = ago(minutes=47)
    server.actions.insert(0, _past(server, "rescue", user_id("rita"), started))
    server.rescue_image_id = image_id(region.slug, "Debian Rescue (SSH key)")
    server.launched_at = started
    server.rescues = 1


def _region(name: str, slug: str) -> Region:
    region = Region(name, slug, images=demo_images(slug))
    for flavor, (ram, vcpus, disk) in FLAVORS.items():
        ident = fixed_uuid(slug, "flavor", flavor)
        region.flavors[ident] = Flavor(ident, flavor, ram, vcpus, disk)
    return region


def _add(region: Region, project: str, user: str, rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        server = _server(region, project, user, number, row)
        region.servers[server.id] = server


def _credential(name: str) -> Credential:
    user, project = CREDENTIALS[name]
    secret = "demo-" + fixed_hex("demo", "secret", name)
    held = USERS[user][project]
    return Credential(
        fixed_hex("demo", "credential", name),
        name,
        secret,
        user_id(user),
        project_id(project),
        held,
    )


def demo_seed(*, with_servers: bool = True) -> Seed:
    """Return two regions, three projects and, if wanted, their servers."""
    gra, sbg = _region("Demo-GRA", "gra"), _region("Demo-SBG", "sbg")
    if with_servers:
        _add(gra, "acme", "alice", ACME_GRA)
        _add(sbg, "acme", "alice", ACME_SBG)
        _add(gra, "othercorp", "mallory", OTHERCORP_GRA)
    projects = [
        Project(project_id(name), name, f"The demo's {name}")
        for name in ("acme", "othercorp", "admin")
    ]
    users = [
        User(user_id(name), name, "demo", {project_id(one): held for one, held in roles.items()})
        for name, roles in USERS.items()
    ]
    return Seed([gra, sbg], projects, users, [_credential(name) for name in CREDENTIALS])
