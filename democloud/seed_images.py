"""The images of the demo: enough of each kind to make a picker think."""

from typing import Any

from democloud.clock import ago
from democloud.state import Image, fixed_hex, fixed_uuid

GB = 1 << 30
PASSWORD = {"rescue": "true", "rescue_access": "password"}
#: they also read its hash from the server's metadata
METADATA = {"rescue_password_metadata": "true"}
KEEPS_DISKS = {"hw_rescue_device": "disk", "hw_rescue_bus": "virtio"}
IMAGES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    (
        "Debian Rescue (temporary password)",
        {"size": 612 << 20},
        {"os_distro": "debian", **PASSWORD, **METADATA},
    ),
    (
        "Debian Rescue (SSH key)",
        {"size": 598 << 20},
        {"os_distro": "debian", "rescue": "true", "rescue_access": "key", "rescue_user": "debian"},
    ),
    (
        "Distribution Rescue Made-in-Demo",
        {"size": 740 << 20},
        {"os_distro": "debian", **KEEPS_DISKS, **METADATA},
    ),
    (
        "SystemRescue 12 (console)",
        {"size": 980 << 20, "disk_format": "iso"},
        {
            "rescue": "true",
            "rescue_access": "console",
            "hw_rescue_device": "cdrom",
            "hw_rescue_bus": "ide",
        },
    ),
    ("Debian 12", {"size": 350 << 20, "min_disk": 2}, {"os_distro": "debian", "os_version": "12"}),
    ("Debian 13", {"size": 361 << 20, "min_disk": 2}, {"os_distro": "debian", "os_version": "13"}),
    (
        "Ubuntu 24.04",
        {"size": 618 << 20, "min_disk": 4},
        {"os_distro": "ubuntu", "os_version": "24.04"},
    ),
    (
        "Ubuntu 24.04 (UEFI)",
        {"size": 620 << 20, "min_disk": 4},
        {"os_distro": "ubuntu", "os_version": "24.04", "hw_firmware_type": "uefi"},
    ),
    (
        "AlmaLinux 9",
        {"size": 580 << 20, "min_disk": 10},
        {"os_distro": "almalinux", "os_version": "9"},
    ),
    (
        "Debian 12 (arm64)",
        {"size": 341 << 20},
        {
            "os_distro": "debian",
            "os_version": "12",
            "architecture": "aarch64",
            "hw_architecture": "aarch64",
        },
    ),
    (
        "Windows Server 2022",
        {"size": 11 * GB, "min_disk": 50, "min_ram": 4096},
        {"os_type": "windows", "os_distro": "windows", "os_version": "2022"},
    ),
    (
        "Forensics workstation",
        {"size": 6 * GB, "min_ram": 65536},
        {"os_distro": "debian", **PASSWORD},
    ),
    ("netboot.xyz", {"size": 3 << 20, "disk_format": "iso"}, {}),
    ("Debian 11 (retired)", {"status": "deactivated"}, {"os_distro": "debian", "os_version": "11"}),
    (
        "Debian Rescue (next)",
        {"status": "queued", "size": None},
        {"os_distro": "debian", **PASSWORD},
    ),
    ("CentOS 7 (end of life)", {"os_hidden": True}, {"os_distro": "centos", "os_version": "7"}),
    (
        "web-1 before the upgrade",
        {"visibility": "private", "owner": "acme", "size": 3 * GB},
        {"image_type": "snapshot", "os_distro": "debian", "base_image_ref": "Debian 12"},
    ),
    (
        "db-archive snapshot",
        {"visibility": "private", "owner": "acme", "size": 0},
        {
            "block_device_mapping": '[{"source_type": "snapshot", "boot_index": 0}]',
            "bdm_v2": "true",
        },
    ),
    (
        "Partner hardened Debian",
        {"visibility": "shared", "owner": "othercorp", "members": {"acme": "accepted"}},
        {"os_distro": "debian"},
    ),
    (
        "Other Corp golden image",
        {"visibility": "private", "owner": "othercorp"},
        {"os_distro": "debian"},
    ),
]


def project_id(name: str) -> str:
    """Return the id of a project of the demo."""
    return fixed_hex("demo", "project", name)


def image_id(slug: str, name: str) -> str:
    """Return the id an image has in a region."""
    return fixed_uuid(slug, "image", name)


def demo_images(slug: str) -> dict[str, Image]:
    """Return the images of a region, by id."""
    made = (_image(slug, number, row) for number, row in enumerate(IMAGES))
    return {image.id: image for image in made}


def _image(slug: str, number: int, row: tuple[str, dict[str, Any], dict[str, str]]) -> Image:
    name, own, properties = row
    born = ago(days=40 + number)
    fields = {"owner": "admin", "min_disk": 1, **own}
    fields["owner"] = project_id(fields["owner"])
    fields["members"] = {project_id(one): state for one, state in fields.get("members", {}).items()}
    image = Image(
        image_id(slug, name),
        name,
        created=born,
        updated=born,
        properties=dict(properties),
        **fields,
    )
    if "base_image_ref" in image.properties:
        image.properties["base_image_ref"] = image_id(slug, image.properties["base_image_ref"])
    return image
