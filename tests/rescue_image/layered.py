"""Disks whose system lies deeper, as installers make them: made by the rescue system itself.

Its kernel has the device mapper, which the one that runs the tests may not have.
"""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.instances.recovery.old_disk import GONE, furnish

PHRASE = "the pass phrase that only its owner knows"
FAST = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"  # the emulated processor is slow
FSTAB = """# made by the installer
{root} / {fstype} defaults 0 1
LABEL={name}-boot /boot ext4 defaults 0 2
/dev/vdb1 /srv ext4 nofail 0 2
{home}
/dev/mapper/{group}-swap none swap sw 0 0
"""
MAKE = """set -e
printf 'label: {table}\\nsize=40MiB\\nsize=+\\n' | sfdisk -q {disk}
udevadm settle
mkfs.ext4 -q -L {name}-boot {disk}1
{within}
pvcreate -qy {inner}; vgcreate -qy {volumes} {inner}
lvcreate -qy -n swap -L 8M {volumes}; mkswap -q /dev/mapper/{group}-swap
lvcreate -qy -n root -L {size}M {volumes}
lvcreate -qy -n home -L 24M {volumes}
{mkfs} /dev/mapper/{group}-root; mkfs.ext4 -q /dev/mapper/{group}-home
mount /dev/mapper/{group}-root /mnt
tar -C /mnt --numeric-owner -xf -
mkdir /mnt/new; mount /dev/mapper/{group}-home /mnt/new
cp -a /mnt/home/. /mnt/new; umount /mnt/new; rm -r /mnt/new /mnt/home/*
umount /mnt
{damage}
vgchange -q -an {volumes}
{closed}"""
CUT_OFF = """mount {root} /mnt; mkdir /mnt/srv/last; sync -f /mnt
xfs_io -x -c 'shutdown -f' /mnt; umount /mnt"""


@dataclass(frozen=True)
class Layered:
    """A disk: /boot in its first partition, logical volumes in the second, maybe encrypted."""

    disk: str
    name: str
    volumes: str
    table: str = "gpt"
    fstype: str = "ext4"
    encrypted: bool = False
    #: how the old fstab names the volume that is mounted on /home
    home: str = "/dev/{volumes}/home"

    @property
    def part(self) -> str:
        return f"{self.disk}2"

    @property
    def group(self) -> str:
        """The name of its volume group as the device mapper writes it."""
        return self.volumes.replace("-", "--")

    @property
    def root(self) -> str:
        return f"/dev/mapper/{self.group}-root"

    @property
    def mib(self) -> int:
        return 420 if self.fstype == "xfs" else 140

    def script(self) -> str:
        """Return what makes it, given the files of its system on the standard input."""
        mkfs = {"xfs": "mkfs.xfs -q", "ext4": "mkfs.ext4 -q"}[self.fstype]
        damages = {
            "xfs": CUT_OFF,
            "ext4": "debugfs -w -R 'set_inode_field /srv links_count 7' {root}",
        }
        locks = (
            f"printf %s '{PHRASE}' | cryptsetup -q luksFormat {FAST} {self.part} -\n"
            f"printf %s '{PHRASE}' | cryptsetup open --key-file - {self.part} made"
        )
        return MAKE.format(
            table=self.table, disk=self.disk, name=self.name, volumes=self.volumes,
            group=self.group, mkfs=mkfs, size=304 if self.fstype == "xfs" else 40,
            inner="/dev/mapper/made" if self.encrypted else self.part,
            within=locks if self.encrypted else "",
            damage=damages[self.fstype].format(root=self.root),
            closed="cryptsetup close made" if self.encrypted else "",
        )  # fmt: skip

    def files(self, folder: Path) -> bytes:
        """Return its system's files, packed."""
        home = f"{self.home.format(volumes=self.volumes, group=self.group)} /home ext4 nofail 0 2"
        home += f"\n{GONE} /var ext4 defaults 0 2"
        tree = folder / self.name
        furnish(
            tree,
            FSTAB.format(
                root=self.root, fstype=self.fstype, name=self.name, home=home, group=self.group
            ),
        )
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(tree, ".")
        return packed.getvalue()


DEBIAN = Layered("/dev/vdb", "debian", "debian-vg", table="dos")
ALMA = Layered("/dev/vdc", "alma", "alma", fstype="xfs", home="/dev/mapper/{group}-home")
LOCKED = Layered("/dev/vdd", "locked", "locked-vg", encrypted=True)
