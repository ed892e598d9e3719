"""What the disks of a rescued machine are, from what ``lsblk`` and ``findmnt`` say. Pure.

All texts come from the machine: hostile until escaped, never part of a command. A device is
named in a command only by a path that passed ``is_device``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

COLUMNS = (
    "NAME,KNAME,PATH,TYPE,SIZE,FSTYPE,LABEL,UUID,PARTUUID,PARTTYPENAME,PARTLABEL,MOUNTPOINTS,RO"
)
#: what a lsblk of before 2.37 (2021) knows; with --paths its NAME is the path
OLD_COLUMNS = "NAME,KNAME,TYPE,SIZE,FSTYPE,LABEL,UUID,MOUNTPOINT,RO"
MOST_DEVICES = 256
MOST_MOUNTS = 1000
DEEPEST = 8  # disk, partition, RAID, LUKS, LVM, and some more
LONGEST = 160  # the longest device that passes for one has 140
LVM, LUKS, RAID = "LVM2_member", "crypto_LUKS", "linux_raid_member"
LINUX = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs"})
#: what a live system is packed in: part of the system one is logged in to, never of an old one
LIVE = frozenset({"squashfs", "erofs"})
ROOT_LABELS = frozenset({"cloudimg-rootfs", "root", "rootfs", "/", "linux-root", "os"})
#: a logical volume that installers make for the system: vg-root, rootvg-rootlv, ubuntu--lv
ROOT_VOLUME = re.compile(r"/mapper/.+(?<!-)-(?:root(?:lv|vol)?|ubuntu--lv)$", re.ASCII)
DEVICE = re.compile(
    r"/dev/(?:(?:vd|sd|xvd|hd)[a-z]{1,2}\d{0,3}|nvme\d{1,3}n\d{1,3}(?:p\d{1,3})?|mmcblk\d(?:p\d{1,3})?"
    r"|md\d{1,3}(?:p\d{1,3})?|md/[\w.:-]{1,64}|dm-\d{1,4}|mapper/[A-Za-z0-9_][\w.+:-]{0,127}"
    r"|loop\d{1,3}(?:p\d{1,3})?)",
    re.ASCII,
)
ESCAPED = re.compile(r"\\(.)")
SUBVOLUME = re.compile(r"[\w@.-]{1,60}(?:/[\w@.-]{1,60}){0,5}", re.ASCII)


class NotUnderstood(Exception):
    """The machine's answer is not what its tools print."""


class Role(StrEnum):
    RESCUE = "rescue"  # the system one is logged in to
    OLD = "old"  # the instance's own disk
    OTHER = "other"


@dataclass(frozen=True)
class Volume:
    """A disk, a partition, or what lies inside one."""

    path: str
    kind: str  # disk, part, lvm, crypt, raid1, rom
    size: int
    fstype: str = ""
    label: str = ""
    uuid: str = ""
    part_type: str = ""
    mountpoints: tuple[str, ...] = ()
    read_only: bool = False
    inside: "tuple[Volume, ...]" = ()
    part_uuid: str = ""
    part_label: str = ""

    def walk(self) -> "Iterator[Volume]":
        """Yield this and all that lies inside."""
        yield self
        for volume in self.inside:
            yield from volume.walk()

    @property
    def holds_linux(self) -> bool:
        return self.fstype in LINUX

    @property
    def is_locked(self) -> bool:
        """Tell whether it is encrypted and nobody has opened it yet."""
        return self.fstype == LUKS and not self.inside

    @property
    def is_apart(self) -> bool:
        """Tell whether it is a member of a RAID that is not put together."""
        return self.fstype == RAID and not self.inside


@dataclass(frozen=True)
class Disk:
    """A whole disk and what it is to the rescue."""

    volume: Volume
    role: Role


@dataclass(frozen=True)
class Mount:
    source: str
    target: str
    fstype: str = ""
    options: tuple[str, ...] = ()

    @property
    def writable(self) -> bool:
        return "rw" in self.options


@dataclass(frozen=True)
class Disks:
    """The disks of a rescued machine, the rescue system's and the old one told apart."""

    disks: tuple[Disk, ...] = ()
    mounts: tuple[Mount, ...] = field(default=())
    #: the system one is logged in to was started from the old disk
    booted_old: bool = False
    #: the file systems' kinds are not known: the rescue system has no udev and no blkid
    kinds_unknown: bool = False

    def kept(self) -> dict[str, Any]:
        """Return it as JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_kept(cls, kept: dict[str, Any]) -> "Disks":
        """Make it again of what ``kept`` returned."""
        return cls(
            disks=tuple(Disk(_volume_kept(d["volume"]), Role(d["role"])) for d in kept["disks"]),
            mounts=tuple(Mount(**m | {"options": tuple(m["options"])}) for m in kept["mounts"]),
            booted_old=kept["booted_old"],
            kinds_unknown=kept["kinds_unknown"],
        )

    def volume(self, path: str) -> Volume | None:
        """Find a volume by its device."""
        return next((v for d in self.disks for v in d.volume.walk() if v.path == path), None)

    @property
    def own(self) -> list[Volume]:
        """List all that lies on the instance's own disks, whole disks included."""
        return [v for d in self.disks if d.role is not Role.RESCUE for v in d.volume.walk()]

    def mounted_at(self, target: str) -> Mount | None:
        """Return what is mounted there."""
        return next((mount for mount in reversed(self.mounts) if mount.target == target), None)

    def mounted_below(self, target: str) -> list[Mount]:
        """List what is mounted there and below, the deepest first."""
        found = [m for m in self.mounts if m.target == target or m.target.startswith(f"{target}/")]
        return sorted(found, key=lambda mount: mount.target.count("/"), reverse=True)

    @property
    def mountable(self) -> list[Volume]:
        """List the file systems that are not the rescue system's, the likeliest root first."""
        found = [v for d in self.disks if d.role != Role.RESCUE for v in d.volume.walk()]
        own = self.mounted_at("/")
        usable = [v for v in found if is_mountable(v) and (own is None or v.path != own.source)]
        once = {volume.path: volume for volume in usable}  # a RAID lies in each of its disks
        return sorted(once.values(), key=_unlikely_root)


def is_device(path: str) -> bool:
    """Tell whether a path may stand in a command as a block device."""
    return bool(DEVICE.fullmatch(path)) and ".." not in path


def is_subvolume(name: str) -> bool:
    """Tell whether a btrfs subvolume's name may stand in a command, and leads nowhere else."""
    return bool(SUBVOLUME.fullmatch(name)) and ".." not in name.split("/")


def subvolume_of(options: tuple[str, ...]) -> str:
    """Return which subvolume of a btrfs is mounted with some options; nothing for its top."""
    told = [one.removeprefix("subvol=") for one in options if one.startswith("subvol=")]
    name = told[-1].removeprefix("/") if told else ""
    return name if is_subvolume(name) else ""


def is_mountable(volume: Volume) -> bool:
    """Tell whether a volume holds a file system one can mount."""
    kinds = LINUX | {"ntfs", "vfat", "exfat", "iso9660", "f2fs", "jfs", "reiserfs"}
    return volume.fstype in kinds and is_device(volume.path)


def _unlikely_root(volume: Volume) -> tuple[bool, bool, int]:
    named = volume.label in ROOT_LABELS or bool(ROOT_VOLUME.search(volume.path))
    return (not volume.holds_linux, not named, -volume.size)


# Reading ------------------------------------------------------------------------------------------


def understand(lsblk: bytes, findmnt: bytes, *, blkid: bytes = b"", rescue_last: bool) -> Disks:
    """Read the tools' answers.

    ``rescue_last``: the rescue disk is attached behind the server's own (images with
    ``hw_rescue_*``), else before it. Raise ``NotUnderstood``.
    """
    volumes = [v for v in _volumes(_parsed(lsblk), "blockdevices") if v.kind in ("disk", "loop")]
    known = _blkid(blkid)
    bare = not any(v.fstype for top in volumes for v in top.walk())
    if bare and known:
        volumes = [_with_kinds(v, known) for v in volumes]
    mounts = tuple(_mounts(_parsed(findmnt)))
    here = next((m.source for m in reversed(mounts) if m.target == "/"), "")
    expected = _expected(volumes, rescue_last=rescue_last)
    booted = next((v for v in volumes if any(part.path == here for part in v.walk())), None)
    old_booted = booted is not None and expected is not None and booted.path != expected.path
    return Disks(
        disks=tuple(Disk(v, _role(v, expected)) for v in volumes),
        mounts=mounts,
        booted_old=old_booted,
        kinds_unknown=bare and not known,
    )


def _expected(volumes: list[Volume], *, rescue_last: bool) -> Volume | None:
    """Return the disk Nova attached for the rescue: by its place, for labels may clash."""
    disks = sorted((v for v in volumes if v.kind == "disk"), key=lambda v: (len(v.path), v.path))
    if not disks:
        return None
    return disks[-1] if rescue_last and len(disks) > 1 else disks[0]


def _role(volume: Volume, rescue: Volume | None) -> Role:
    if (rescue is not None and volume.path == rescue.path) or volume.fstype in LIVE:
        return Role.RESCUE
    return Role.OLD if any(v.fstype or v.kind != "disk" for v in volume.walk()) else Role.OTHER


def _parsed(answer: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        raise NotUnderstood from None
    if not isinstance(parsed, dict):
        raise NotUnderstood
    return parsed


def _dicts(raw: Any, most: int) -> list[dict[str, Any]]:
    """Return the objects of a list; nothing for what is none."""
    return [one for one in raw[:most] if isinstance(one, dict)] if isinstance(raw, list) else []


def _volumes(raw: dict[str, Any], name: str, depth: int = 0) -> tuple[Volume, ...]:
    if depth == DEEPEST:
        return ()
    found = [_volume(one, depth + 1) for one in _dicts(raw.get(name), MOST_DEVICES)]
    return tuple(volume for volume in found if is_device(volume.path))


def _volume(raw: dict[str, Any], depth: int) -> Volume:
    where = raw.get("mountpoints")
    where = where if isinstance(where, list) else [raw.get("mountpoint")]
    return Volume(
        path=_text(raw.get("path") or raw.get("name")),
        kind=_text(raw.get("type")),
        size=_size(raw.get("size")),
        fstype=_text(raw.get("fstype")),
        label=_text(raw.get("label")),
        uuid=_text(raw.get("uuid")),
        part_type=_text(raw.get("parttypename")),
        mountpoints=tuple(_text(one) for one in where if one)[:16],
        read_only=raw.get("ro") in (True, "1", 1),
        inside=_volumes(raw, "children", depth),
        part_uuid=_text(raw.get("partuuid")),
        part_label=_text(raw.get("partlabel")),
    )


def _size(raw: Any) -> int:
    """Return a number of bytes, which an older lsblk gives as text."""
    return int(raw) if re.fullmatch(r"[0-9]{1,19}", str(raw)) else 0


def _text(raw: Any) -> str:
    """Return a text of the machine on one line, without what a terminal would act on."""
    if not isinstance(raw, str):
        return ""
    return "".join(letter if letter.isprintable() else "�" for letter in raw[:LONGEST])


def _mounts(raw: dict[str, Any]) -> Iterator[Mount]:
    for one in _dicts(raw.get("filesystems"), MOST_MOUNTS):
        options = _text(one.get("options")).split(",")
        source, target = _text(one.get("source")), _text(one.get("target"))
        yield Mount(source, target, _text(one.get("fstype")), tuple(options))


def _blkid(answer: bytes) -> dict[str, dict[str, str]]:
    """Read ``blkid -o export``: paragraphs of NAME=value, what a shell would act on escaped."""
    found = {}
    for paragraph in answer.decode(errors="replace").split("\n\n")[:MOST_DEVICES]:
        pairs = dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
        found[pairs.get("DEVNAME", "")] = {
            name: _text(ESCAPED.sub(r"\1", value)) for name, value in pairs.items()
        }
    found.pop("", None)
    return found


def _with_kinds(volume: Volume, known: dict[str, dict[str, str]]) -> Volume:
    facts = known.get(volume.path, {})
    return replace(
        volume,
        fstype=facts.get("TYPE", ""),
        label=facts.get("LABEL", ""),
        uuid=facts.get("UUID", ""),
        inside=tuple(_with_kinds(inner, known) for inner in volume.inside),
    )


def _volume_kept(kept: dict[str, Any]) -> Volume:
    inside = tuple(_volume_kept(one) for one in kept["inside"])
    return Volume(**kept | {"mountpoints": tuple(kept["mountpoints"]), "inside": inside})
