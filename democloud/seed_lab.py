"""The cast and images of the lab, so that the contract tests can ask both the same questions."""

from democloud.clock import ago
from democloud.faults import instant
from democloud.state import (
    Credential,
    Flavor,
    Image,
    Project,
    Region,
    Seed,
    User,
    fixed_hex,
    fixed_uuid,
)

MEMBER = ("reader", "member")
ADMIN = ("reader", "member", "manager", "admin")
PROJECTS = ("admin", "alpha", "beta", "gamma")
ROLES: dict[str, dict[str, tuple[str, ...]]] = {
    "admin": {"admin": ADMIN},
    "support": {"alpha": ADMIN, "beta": ADMIN, "gamma": ADMIN},
    "alice": {"alpha": MEMBER},
    "bob": {"beta": MEMBER},
    "carol": {"gamma": MEMBER},
    "rita": {"alpha": ("reader",), "beta": ("reader",)},
    "erin": {"alpha": MEMBER, "beta": MEMBER, "gamma": MEMBER},
    "portal": {"alpha": MEMBER, "beta": MEMBER, "gamma": MEMBER},
    "nobody": {},
}
IMAGES = {
    "Distribution Rescue Made-in-Lab": {
        "os_distro": "debian",
        "hw_rescue_device": "disk",
        "hw_rescue_bus": "virtio",
    },
    "Debian Rescue (temporary password)": {"os_distro": "debian", "rescue": "true"},
    "Debian 12": {"os_distro": "debian", "os_version": "12"},
    "Ubuntu 24.04": {"os_distro": "ubuntu", "os_version": "24.04"},
    "AlmaLinux 9": {"os_distro": "almalinux", "os_version": "9"},
}
FLAVORS = {"s1-2": (2048, 1, 10), "b2-7": (7168, 2, 50), "c2-15": (15360, 4, 100)}


def project_id(name: str) -> str:
    """Return the id of a project of the lab."""
    return fixed_hex("lab", "project", name)


def _region() -> Region:
    region = Region("lab", "lab")
    for number, (name, properties) in enumerate(IMAGES.items()):
        ident, born = fixed_uuid("lab", "image", name), ago(days=9, minutes=number)
        region.images[ident] = Image(
            ident, name, project_id("admin"), disk_format="raw", min_disk=1, size=65536,
            created=born, updated=born, properties=dict(properties),
        )  # fmt: skip
    golden = fixed_uuid("lab", "image", "alpha golden image")
    region.images[golden] = Image(
        golden, "alpha golden image", project_id("alpha"), "private", disk_format="raw"
    )
    for name, (ram, vcpus, disk) in FLAVORS.items():
        region.flavors[fixed_uuid("lab", "flavor", name)] = Flavor(
            fixed_uuid("lab", "flavor", name), name, ram, vcpus, disk
        )
    return region


def lab_seed() -> Seed:
    """Return the lab's people and images, without servers and without waiting."""
    users = [
        User(
            fixed_hex("lab", "user", name),
            name,
            "lab",
            {project_id(one): held for one, held in roles.items()},
            email=f"{name}@example.org",
        )
        for name, roles in ROLES.items()
    ]
    credentials = [
        Credential(
            fixed_hex("lab", "credential", name, project),
            f"app-{name}-{project}",
            fixed_hex("lab", "secret", name, project),
            fixed_hex("lab", "user", name),
            project_id(project),
            MEMBER,
        )
        for name, project in (
            ("alice", "alpha"),
            ("bob", "beta"),
            ("carol", "gamma"),
            ("portal", "gamma"),
        )
    ]
    projects = [Project(project_id(name), name, f"Team {name}") for name in PROJECTS]
    return Seed([_region()], projects, users, credentials, instant())
