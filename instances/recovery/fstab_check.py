"""Say what is wrong with each line of an old fstab, by what was seen on the disks. Pure."""

import re
from collections.abc import Iterator

from instances.disks import Disks, Volume
from instances.recovery.fstab import Entry, entries
from instances.recovery.work import Line, line

TAGS = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "part_uuid", "PARTLABEL": "part_label"}
BY_TAG = re.compile(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/(.+)", re.DOTALL)
#: the kernel gives these names in the order it finds the disks, and rescue mode adds one
UNSTABLE = re.compile(r"/dev/(?:[svh]d|xvd|nvme|mmcblk)[\w]*", re.ASCII)
MAPPED = re.compile(r"/dev/(?:mapper/|md|[\w.+-]+/[\w.+-]+$)", re.ASCII)
NETWORK = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p virtiofs ceph glusterfs lustre ncpfs davfs afs".split()
)
ON_A_DEVICE = frozenset(
    "ext2 ext3 ext4 xfs btrfs vfat msdos ntfs ntfs3 ntfs-3g exfat f2fs iso9660 udf swap jfs "
    "reiserfs squashfs zfs bcachefs hfs hfsplus minix erofs nilfs2 auto".split()
)
OF_THE_KERNEL = frozenset(
    "none proc sysfs tmpfs ramfs devpts devtmpfs debugfs tracefs securityfs cgroup cgroup2 "
    "hugetlbfs mqueue configfs efivarfs binfmt_misc pstore bpf overlay aufs autofs usbfs "
    "fusectl ecryptfs rpc_pipefs nfsd fuse".split()
)
#: names of one file system
SAME = {"ntfs3": "ntfs", "ntfs-3g": "ntfs", "msdos": "vfat"}
NOWHERE = frozenset({"none", "swap"})


def is_root(entry: Entry) -> bool:
    """Tell whether a line mounts the system itself."""
    return entry.where.rstrip("/") == "" and entry.where.startswith("/")


def faults(text: str, seen: Disks) -> dict[int, list[Line]]:
    """Map the number of each line that mounts something to what is wrong with it."""
    found: dict[int, list[Line]] = {}
    earlier: dict[str, int] = {}
    for entry in entries(text):
        told = [*_of_type(entry), *_of_device(entry, seen)]
        where = entry.where.rstrip("/") or "/"
        if where in earlier and where not in NOWHERE:
            told.append(line("fstab_twice", where=where, line=earlier[where]))
        earlier.setdefault(where, entry.number)
        found[entry.number] = told
    return found


def _of_type(entry: Entry) -> Iterator[Line]:
    kind = entry.fstype
    known = ON_A_DEVICE | OF_THE_KERNEL | NETWORK
    if any(one not in known and not one.startswith("fuse.") for one in kind.split(",")):
        yield line("fstab_type", fstype=kind[:40])
    if kind in NETWORK and entry.needed_to_boot:
        yield line("fstab_network")


def _of_device(entry: Entry, seen: Disks) -> Iterator[Line]:
    bound = {"bind", "rbind", "loop"} & set(entry.options)
    elsewhere = entry.fstype in OF_THE_KERNEL | NETWORK or entry.fstype.startswith("fuse.")
    if bound or elsewhere:
        return
    if UNSTABLE.fullmatch(entry.device):
        yield line("fstab_unstable", device=entry.device[:80])
        yield from _patience(entry)
        return
    candidates = named(entry.device, seen)
    if candidates is None:
        return
    if not candidates:
        yield line(
            "fstab_missing" if entry.needed_to_boot else "fstab_missing_spared",
            device=entry.device[:100],
        )
        return
    kind = SAME.get(entry.fstype, entry.fstype)
    if kind in ON_A_DEVICE - {"auto"} and all(one.fstype != kind for one in candidates):
        yield line("fstab_other_type", fstype=kind, found=candidates[0].fstype or "?")
    yield from _patience(entry)


def _patience(entry: Entry) -> Iterator[Line]:
    """Tell of what makes the start wait for a disk that may be missing one day."""
    spared = is_root(entry) or entry.fstype == "swap" or entry.where.startswith(("/boot", "/usr"))
    if entry.needed_to_boot and not spared:
        yield line("fstab_no_nofail")


def named(device: str, seen: Disks) -> list[Volume] | None:
    """Find what a first column names; None where that cannot be told from here."""
    tag, _sign, value = device.partition("=")
    if by := BY_TAG.fullmatch(device):
        tag, value = by[1].upper(), by[2]
    if tag in TAGS:
        value, attribute = value.strip("\"'"), TAGS[tag]
        known = [(getattr(one, attribute), one) for one in seen.own]
        if not any(text for text, _volume in known):
            return None if tag.startswith("PART") or seen.kinds_unknown else []
        fold = str.casefold if tag.endswith("UUID") else str
        return [volume for text, volume in known if text and fold(text) == fold(value)]
    if MAPPED.match(device):
        return [one for one in seen.own if one.path == _mapped(device)]
    return None


def _mapped(device: str) -> str:
    """Return the name lsblk shows for a logical volume: /dev/GROUP/NAME has another."""
    parts = device.split("/")
    if len(parts) == 4 and parts[2] not in ("mapper", "md", "disk"):
        return "/dev/mapper/" + "-".join(one.replace("-", "--") for one in parts[2:])
    return device
