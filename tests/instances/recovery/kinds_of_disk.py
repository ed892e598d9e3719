"""Broken systems on disks of several kinds: partition tables and file systems, all real."""

import hashlib
import shutil
import struct
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from tests.instances.recovery.old_disk import GONE, MIB, attach, detach, furnish, run

NEEDED = {"ext4": "mkfs.ext4", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs"}
SMALLEST = {"ext4": 24, "xfs": 304, "btrfs": 128}  # MiB; the images are sparse
#: the disks are attached where the tests run: what is mounted here, nobody else sees
APART = ("unshare", "-m", "sh", "-ec")
#: as the power cut leaves it: what was done last is in the journal alone
CUT_OFF = """mount {device} /mnt; mkdir /mnt/srv/last; sync /mnt
xfs_io -x -c 'shutdown -f' /mnt; umount /mnt"""
DAMAGE = {
    "ext4": "debugfs -w -R 'set_inode_field /srv links_count 7' {device}",
    "xfs": CUT_OFF,
    "btrfs": "",
}
ALL = "mount {{device}} /mnt; cp -a {tree}/. /mnt; umount /mnt"
BY_PARTS = """mount {{device}} /mnt
for one in @ @home; do btrfs -q subvolume create /mnt/$one; done
cp -a {tree}/. /mnt/@; mv /mnt/@/home/* /mnt/@home; umount /mnt"""
MENDED = {"ext4": ["check_mended", "check_proven"], "xfs": ["check_replayed", "check_proven"]}
FSTAB = (
    "# made by the installer\n{root} / {fstype} {options} 0 1\n"
    + GONE
    + " /var ext4 defaults 0 2\n"
)


@dataclass(frozen=True)
class Kind:
    """How a disk is divided, and what lies in the part with the system."""

    table: str  # gpt, dos, or none at all
    fstype: str
    named: str = "UUID={uuid}"
    options: str = "defaults"
    subvolumes: tuple[str, ...] = ()

    @property
    def damage(self) -> str:
        return DAMAGE[self.fstype]


KINDS = {
    "ext4 in an MBR partition": Kind("dos", "ext4"),
    "ext4 in a GPT partition": Kind("gpt", "ext4", named="PARTUUID={part_uuid}"),
    "ext4 on a whole disk": Kind("", "ext4", named="LABEL={label}"),
    "xfs in a GPT partition": Kind("gpt", "xfs"),
    "btrfs with subvolumes": Kind(
        "gpt", "btrfs", options="subvol=@,compress=zstd:1", subvolumes=("@", "@home")
    ),
}


def why_not(kind: Kind) -> str:
    """Return what is missing to make such a disk here; nothing when it can be made."""
    tools = [NEEDED[kind.fstype], *(["sfdisk"] if kind.table else [])]
    if missing := [tool for tool in tools if not shutil.which(tool)]:
        return f"not installed: {', '.join(missing)} (scripts/system-packages)"
    known = Path("/proc/filesystems").read_text().split()
    return "" if kind.fstype in known else f"this kernel has no {kind.fstype}"


@dataclass
class Disk:
    """One made and attached: ``device`` is the disk, ``root`` where its system lies."""

    kind: Kind
    image: Path
    device: str = ""
    root: str = ""
    ids: dict[str, str] = field(default_factory=dict)

    def make(self, folder: Path) -> None:
        """Divide it, make the file system, and put the broken system there."""
        size = (SMALLEST[self.kind.fstype] + 4) * MIB
        with self.image.open("wb") as image:
            image.truncate(size)
        self.ids = {
            "uuid": str(uuid.uuid4()), "part_uuid": str(uuid.uuid4()),
            "label": f"r-{uuid.uuid4().hex[:8]}",
        }  # fmt: skip
        self._divide()
        self.device = attach(self.image, parts=1 if self.kind.table else 0)
        self.root = f"{self.device}p1" if self.kind.table else self.device
        self._fill(folder)

    def detach(self) -> None:
        if self.device:
            detach(self.device)

    def as_root(self, script: str) -> None:
        """Do something to it that an instance, or bad luck, would."""
        done = subprocess.run(
            [*APART, script.format(device=self.root)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def cut_off(self) -> None:
        """Leave it as a power cut does: what was written last is in the journal alone."""
        copy = self.image.with_suffix(".cut")
        self.as_root(
            "mount {device} /mnt; echo x > /mnt/last; sync /mnt/last; "
            f"cp --sparse=always {self.image} {copy}; umount /mnt"
        )
        run("cp", "--sparse=never", str(copy), self.device)
        run("blockdev", "--flushbufs", self.device)

    def digest(self) -> str:
        """Return what stands for every byte of it."""
        run("sync")
        with self.image.open("rb") as image:
            return hashlib.file_digest(image, "sha256").hexdigest()

    def _divide(self) -> None:
        if not self.kind.table:
            return
        part = f"start=1MiB, size={SMALLEST[self.kind.fstype]}MiB"
        part += f", uuid={self.ids['part_uuid']}" if self.kind.table == "gpt" else ", type=83"
        subprocess.run(
            ["sfdisk", "--quiet", str(self.image)],
            input=f"label: {self.kind.table}\n{part}\n", text=True, check=True,
        )  # fmt: skip

    def _fill(self, folder: Path) -> None:
        tree, fstype = folder / "tree", self.kind.fstype
        named = self.kind.named.format(**self.ids)
        fstab = FSTAB.format(root=named, fstype=fstype, options=self.kind.options)
        if "@home" in self.kind.subvolumes:
            fstab += f"{named} /home btrfs subvol=@home,nofail 0 0\n"
        furnish(tree, fstab)
        (tree / "root").mkdir()
        by_uuid = (
            ["-m", f"uuid={self.ids['uuid']}"] if fstype == "xfs" else ["-U", self.ids["uuid"]]
        )
        run(NEEDED[fstype], "-q", "-L", self.ids["label"], *by_uuid, self.root)
        self.as_root(BY_PARTS.format(tree=tree) if self.kind.subvolumes else ALL.format(tree=tree))


def raid_member(image: Path, array: uuid.UUID, number: int) -> None:
    """Make one of two disks of a mirror: the block that md finds its members by, version 1.2.

    As ``struct mdp_superblock_1`` of Linux's md_p.h has it; a kernel with md is not needed.
    """
    sectors = (8 * MIB) // 512
    block = bytearray(256 + 2 * 2)
    struct.pack_into("<IIII16s32s", block, 0, 0xA92B4EFC, 1, 0, 0, array.bytes, b"web-1:0")
    struct.pack_into("<QIIQII", block, 72, 0, 1, 0, sectors - 2048, 0, 2)  # raid1 of two
    struct.pack_into("<QQQQI", block, 128, 2048, sectors - 2048, 8, 0, number)
    struct.pack_into("<16s", block, 168, uuid.uuid4().bytes)
    struct.pack_into("<I", block, 220, 2)
    struct.pack_into("<HH", block, 256, 0, 1)
    total = sum(struct.unpack(f"<{len(block) // 4}I", block))
    struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    with image.open("wb") as disk:
        disk.truncate(8 * MIB)
        disk.seek(4096)
        disk.write(block)
