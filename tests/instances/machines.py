"""What the tools on rescued machines say, as lsblk 2.38, findmnt and blkid print it."""

import json
from typing import Any

MIB = 1024 * 1024
GIB = 1024 * MIB


def device(path: str, kind: str = "part", *inside: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return a device of ``lsblk --json --bytes --paths``."""
    unknown = dict.fromkeys(
        ("fstype", "label", "uuid", "partuuid", "parttypename", "partlabel"), None
    )
    known = {"name": path, "kname": path, "path": path, "type": kind, "size": GIB}
    where = {"mountpoints": [facts.pop("on", None)], "ro": False}
    children = {"children": list(inside)} if inside else {}
    return {**known, **unknown, **where, **facts, **children}


def lsblk(*devices: dict[str, Any]) -> bytes:
    return json.dumps({"blockdevices": list(devices)}).encode()


def findmnt(*mounts: tuple[str, str, str, str]) -> bytes:
    names = ("source", "target", "fstype", "options")
    return json.dumps(
        {"filesystems": [dict(zip(names, one, strict=True)) for one in mounts]}
    ).encode()


#: the rescue distribution's own disk
RESCUE = device(
    "/dev/vda", "disk",
    device("/dev/vda1", fstype="ext4", label="rescue", uuid="r-1", on="/"),
    size=2 * GIB,
)  # fmt: skip
#: a Debian cloud image, whose root is the first partition
DEBIAN = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", fstype="ext4", label="cloudimg-rootfs", uuid="d-1", size=9 * GIB,
           parttypename="Linux filesystem"),
    device("/dev/vdb14", size=3 * MIB, parttypename="BIOS boot"),
    device("/dev/vdb15", fstype="vfat", label="UEFI", uuid="D-15", size=124 * MIB),
    size=10 * GIB,
)  # fmt: skip
IN_RESCUE = findmnt(
    ("sysfs", "/sys", "sysfs", "rw,nosuid"), ("/dev/vda1", "/", "ext4", "rw,relatime")
)
ON_MNT = findmnt(
    ("/dev/vda1", "/", "ext4", "rw,relatime"),
    ("/dev/vdb1", "/mnt", "ext4", "ro,nosuid,nodev,noexec,relatime,norecovery"),
    ("/dev/vdb15", "/mnt/boot/efi", "vfat", "ro"),
)
