"""Which device of a rescued machine is what: as the panel saw it, else as it usually is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from instances.disks import LUKS, LVM, RAID, Disks, Mount, Role, Volume, is_device, subvolume_of

MNT = "/mnt"
OPENED = "/dev/mapper/old"  # an encrypted file system, once opened under this name
BOOT_LABELS = frozenset({"boot"})
#: what a system may lie in, and has to be opened or put together first
SHUT = frozenset({LVM, LUKS, RAID})
LARGEST_BOOT = 2 * 1024**3  # installers make /boot without a label, of half to one GiB


@dataclass(frozen=True)
class Part:
    """What is mounted somewhere in the old system: a device, maybe one subvolume of its btrfs."""

    device: str
    where: str
    subvolume: str = ""
    fstype: str = ""


@dataclass(frozen=True)
class Place:
    """Where the old system lies; a device is "" when there is none, or none is known."""

    root: str
    disk: str
    #: the panel has looked: these are this machine's own names
    seen: bool = False
    fstype: str = ""
    boot: str = ""
    efi: str = ""
    #: the subvolume of a btrfs that is the system; "" when it is all of it, None when nobody knows
    subvolume: str | None = ""
    #: what lies apart from the root, but for what the boot needs
    apart: tuple[Part, ...] = ()
    #: what must be done before the root is there
    raid: bool = False
    luks: str = ""
    lvm: bool = False
    #: how it was mounted when the panel looked
    mounted: Mount | None = None
    #: the system one is logged in to is the broken one
    booted_old: bool = False


#: Nova attaches the rescue disk first; with ``hw_rescue_*`` it is the last
USUAL = Place(root="/dev/vdb1", disk="/dev/vdb")
USUAL_KEPT = Place(root="/dev/vda1", disk="/dev/vda")


def place_of(
    disks: Disks | None, *, keeps_disks: bool = False, layout: tuple[Part, ...] = ()
) -> Place:
    """Find the old system among the disks seen; without any, say what is usual.

    ``layout``: what the panel's last mount put on /mnt, the root first.
    """
    usual = USUAL_KEPT if keeps_disks else USUAL
    old = [disk.volume for disk in disks.disks if disk.role == Role.OLD] if disks else []
    if disks is None or not old:
        return usual
    volumes = [volume for disk in old for volume in disk.walk() if is_device(volume.path)]
    shut = [volume for volume in volumes if volume.fstype in SHUT and not volume.inside]
    root = next((v for v in disks.mountable if v in volumes and _may_be_root(v, shut)), None)
    luks = "" if root else _first(shut, LUKS)
    lvm = root is None and not luks and bool(_first(shut, LVM))
    raid = root is None and bool(_first(shut, RAID))
    if root is None and not luks and not lvm and not raid:
        return usual
    on = next((disk.path for disk in old if root and root in disk.walk()), old[0].path)
    known = _known(disks, layout) if root and layout and layout[0].device == root.path else {}
    mounted = disks.mounted_at(MNT)
    return Place(
        root=root.path if root else OPENED if luks else "",
        disk=on,
        seen=True,
        fstype=root.fstype if root else "",
        boot=_on(known, "/boot") or next((v.path for v in volumes if _is_boot(v)), ""),
        efi=_on(known, "/boot/efi") or next((v.path for v in volumes if _is_efi(v)), ""),
        subvolume=known["/"].subvolume if known else _subvolume(root, mounted),
        apart=tuple(one for where, one in known.items() if not _is_of_the_start(where)),
        raid=raid,
        luks=luks,
        lvm=lvm,
        mounted=mounted,
        booted_old=disks.booted_old,
    )


def _may_be_root(volume: Volume, shut: list[Volume]) -> bool:
    """Tell whether the system may lie there: not beside what still has to be opened, if small."""
    beside = bool(shut) and volume.size <= LARGEST_BOOT and volume.kind == "part"
    return (volume.holds_linux and not _is_boot(volume) and not beside) or volume.fstype == "ntfs"


def _is_boot(volume: Volume) -> bool:
    return volume.holds_linux and volume.label.lower() in BOOT_LABELS


def _is_efi(volume: Volume) -> bool:
    named = "efi" in volume.label.lower() or "efi" in volume.part_type.lower()
    return volume.fstype == "vfat" and named


def _known(disks: Disks, layout: tuple[Part, ...]) -> dict[str, Part]:
    """Map the places in the old system to what the panel's last mount put there and still is."""
    seen = [(part, disks.volume(part.device)) for part in layout]
    return {part.where: replace(part, fstype=one.fstype) for part, one in seen if one}


def _subvolume(root: Volume | None, mounted: Mount | None) -> str | None:
    if root is None or root.fstype != "btrfs":
        return ""
    return subvolume_of(mounted.options) if mounted and mounted.source == root.path else None


def _on(known: dict[str, Part], where: str) -> str:
    part = known.get(where)
    return part.device if part and not part.subvolume else ""


def _is_of_the_start(where: str) -> bool:
    return where == "/" or where.startswith("/boot")


def _first(volumes: list[Volume], fstype: str) -> str:
    return next((volume.path for volume in volumes if volume.fstype == fstype), "")
