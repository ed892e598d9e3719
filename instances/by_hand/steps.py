"""A step by hand, and what is known of the machine it is for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instances.by_hand.place import MNT, USUAL, Place

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: stands where nobody knows the name
SOMEBODY = "USER"
UNNAMED = "/dev/VOLUMES/ROOT"
UNNAMED_RAID = "/dev/md/NAME"
#: where a distribution's installer puts the root in a btrfs; @ for the others
USUAL_SUBVOLUMES = {"debian": "@rootfs", "fedora": "root"}
#: distributions that keep a label with each file and refuse those without
SELINUX = frozenset({"almalinux", "centos", "fedora", "rhel", "rocky"})


@dataclass(frozen=True)
class Step:
    """One thing to do. ``where`` it is typed: rescue (as root), chroot, or yours (computer)."""

    title: StrOrPromise
    text: StrOrPromise = ""
    commands: tuple[str, ...] = ()
    where: str = "rescue"


@dataclass(frozen=True)
class Facts:
    """What is known of one machine; "" is unknown."""

    place: Place = USUAL
    #: of the old system
    user: str = ""
    distro: str = ""
    #: what the person keeps in the panel
    public_key: str = ""
    #: the line that logs in to the rescue system, and whether one then becomes root
    ssh: str = ""
    sudo: bool = False
    server: str = ""
    #: a name for a file on the person's computer
    name: str = "instance"

    @property
    def who(self) -> str:
        return self.user or SOMEBODY

    @property
    def home(self) -> str:
        """The home directory below the mounted disk, quoted for a shell."""
        path = f"{MNT}/root" if self.user == "root" else f"{MNT}/home/{self.who}"
        return shlex.quote(path)

    @property
    def device(self) -> str:
        """The file system to mount, or a word in its place."""
        return self.place.root or (UNNAMED_RAID if self.place.raid else UNNAMED)

    @property
    def subvolume(self) -> str:
        """The subvolume of a btrfs to mount; unknown, it is the distribution's usual one."""
        known = self.place.subvolume
        return USUAL_SUBVOLUMES.get(self.distro, "@") if known is None else known

    @property
    def may_have_selinux(self) -> bool:
        return not self.distro or self.distro in SELINUX
