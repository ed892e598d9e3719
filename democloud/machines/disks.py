"""Hold disks: partitions and what is on them, whatever name a system gives them at its boot."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from democloud.machines.tree import Node

SECTOR = 512
MIB, GIB = 1 << 20, 1 << 30
VERSIONS = {"ext4": "1.0", "vfat": "FAT32", "LVM2_member": "LVM2 001", "crypto_LUKS": "2"}
VERSIONS |= {"swap": "1", "iso9660": "Joliet Extension"}
#: the shapes of partitions: the type's name and its GUID
PART_TYPES = {
    "linux": ("Linux filesystem", "0fc63daf-8483-4772-8e79-3d69d8477de4"),
    "root-x86": ("Linux root (x86-64)", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    "root-arm": ("Linux root (ARM-64)", "b921b045-1df0-41c3-af44-4c6f280d3fae"),
    "bios": ("BIOS boot", "21686148-6449-6e6f-744e-656564454649"),
    "efi": ("EFI System", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
    "swap": ("Linux swap", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
    "lvm": ("Linux LVM", "e6d6d379-f507-44c2-a23c-238f2a3df928"),
    "boot": ("Linux extended boot", "bc13c2ff-59e6-4262-a352-b275fd6f7172"),
    "reserved": ("Microsoft reserved", "e3c9e316-0b5c-4db8-817d-f92df00215ae"),
    "data": ("Microsoft basic data", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
}


@dataclass(eq=False)
class FileSystem:
    """What blkid finds on a device: a file system, swap, or what holds further devices."""

    type: str
    uuid: str
    size: int
    label: str = ""
    root: Node | None = None
    #: of the size, what is taken by more than the files held here
    taken: int = 0
    damaged: bool = False
    #: of a physical volume: its group's name and logical volumes
    group: str = ""
    volumes: dict[str, "FileSystem"] = field(default_factory=dict)
    #: of an encrypted device: what is inside, and what opens it
    inner: "FileSystem | None" = None
    passphrase: str = ""

    @property
    def tree(self) -> Node:
        """Return the root of its files, which swap and the like have not."""
        if self.root is None:
            raise ValueError(f"{self.type} holds no files")
        return self.root

    @property
    def used(self) -> int:
        """Return how many bytes are in use."""
        files = self.root.walk() if self.root else ()
        return self.taken + sum(one.size for one in files if one.kind == "file" and not one.made)

    @property
    def free(self) -> int:
        """Return how many bytes may still be written; ext4 keeps some back."""
        kept = self.size // 20 if self.type == "ext4" else 0
        return self.size - kept - self.used


@dataclass(eq=False)
class Partition:
    """A partition, by its number."""

    number: int
    size: int
    kind: str
    uuid: str
    content: FileSystem | None = None
    label: str = ""


@dataclass(eq=False)
class Disk:
    """A disk with partitions, or with one thing on all of it."""

    size: int
    uuid: str
    partitions: list[Partition] = field(default_factory=list)
    content: FileSystem | None = None
    serial: str = ""
    model: str = ""
    table: str = "gpt"
    read_only: bool = False


@dataclass(eq=False)
class Block:
    """A block device as the running system names it."""

    name: str
    path: str
    kernel: str
    type: str
    size: int
    numbers: str
    content: FileSystem | None = None
    disk: Disk | None = None
    partition: Partition | None = None
    parent: "Block | None" = None
    children: list["Block"] = field(default_factory=list)

    @property
    def read_only(self) -> bool:
        """Tell whether the device itself takes no writes."""
        return self.disk is not None and self.disk.read_only

    def walk(self) -> Iterator["Block"]:
        """Go through this and what is on it."""
        yield self
        for child in self.children:
            yield from child.walk()


class Bench:
    """The disks of a running system by name, its active volume groups and opened containers."""

    def __init__(self, disks: dict[str, Disk]) -> None:
        self.disks = disks
        self.groups: set[str] = set()
        self.opened: dict[str, FileSystem] = {}

    def blocks(self) -> list[Block]:
        """Return the disks, each with what is on it."""
        mapped: list[str] = []
        return [self._disk(name, number, mapped) for number, name in enumerate(self.disks)]

    def all(self) -> list[Block]:
        """Return all block devices."""
        return [one for disk in self.blocks() for one in disk.walk()]

    def find(self, wanted: str) -> Block | None:
        """Return the device of a path, or of UUID=, LABEL=, PARTUUID=."""
        found = [one for one in self.all() if wanted in (one.path, f"/dev/{one.kernel}")]
        tag, _, value = wanted.partition("=")
        if value:
            found = [one for one in self.all() if tags(one).get(tag) == value.strip('"')]
        return found[0] if found else None

    def members(self) -> dict[str, tuple[Block, FileSystem]]:
        """Return the volume groups that are there, by name, with their physical volume."""
        held = ((one, one.content) for one in self.all())
        return {fs.group: (one, fs) for one, fs in held if fs and fs.group}

    def _disk(self, name: str, number: int, mapped: list[str]) -> Block:
        disk = self.disks[name]
        kind, major = ("rom", 11) if name.startswith("sr") else ("disk", 254)
        minor = 0 if kind == "rom" else 16 * number
        made = Block(name, f"/dev/{name}", name, kind, disk.size, f"{major}:{minor}")
        made.content, made.disk = disk.content, disk
        for part in sorted(disk.partitions, key=lambda one: one.number):
            full, at = f"{name}{part.number}", f"{major}:{minor + part.number}"
            below = Block(full, f"/dev/{full}", full, "part", part.size, at, part.content, disk)
            below.partition, below.parent = part, made
            made.children.append(below)
            self._map(below, mapped)
        self._map(made, mapped)
        return made

    def _map(self, below: Block, mapped: list[str]) -> None:
        """Add what device mapper shows on a device: logical volumes, the opened inside."""
        fs = below.content
        if fs is None:
            return
        if fs.group in self.groups:
            for name, volume in fs.volumes.items():
                self._add(below, f"{dashed(fs.group)}-{dashed(name)}", "lvm", volume, mapped)
        for name, opened in self.opened.items():
            if fs.inner is opened:
                self._add(below, name, "crypt", opened, mapped)

    def _add(self, below: Block, name: str, kind: str, fs: FileSystem, mapped: list[str]) -> None:
        mapped.append(name)
        number = len(mapped) - 1
        path = f"/dev/mapper/{name}"
        made = Block(name, path, f"dm-{number}", kind, fs.size, f"253:{number}", fs, parent=below)
        below.children.append(made)
        self._map(made, mapped)


def dashed(name: str) -> str:
    """Write a name as device mapper does."""
    return name.replace("-", "--")


def tags(block: Block) -> dict[str, str]:
    """Return what blkid tells of a device, in its order."""
    fs, part = block.content, block.partition
    found = {
        "LABEL": fs.label if fs else "",
        "UUID": fs.uuid if fs else "",
        "BLOCK_SIZE": _block_size(fs) if fs else "",
        "TYPE": fs.type if fs else "",
        "PARTLABEL": part.label if part else "",
        "PARTUUID": part.uuid if part else "",
    }
    if block.type == "disk" and block.children:
        found |= {"PTUUID": block.disk.uuid if block.disk else "", "PTTYPE": "gpt"}
    return {name: value for name, value in found.items() if value}


def _block_size(fs: FileSystem) -> str:
    sizes = {"ext4": "4096", "xfs": "512", "vfat": "512", "ntfs": "512", "iso9660": "2048"}
    return sizes.get(fs.type, "")
