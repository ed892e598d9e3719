"""What is said of each line of an fstab, by what was seen on the disks."""

import pytest

from instances.disks import Disk, Disks, Role, Volume
from instances.recovery.fstab_check import faults

GROUP = Volume("/dev/mapper/vg0-my--data", "lvm", 9, "xfs", uuid="AB-CD")
OWN = Volume(
    "/dev/vdb", "disk", 99,
    inside=(
        Volume("/dev/vdb1", "part", 50, "ext4", "root", "1111-AAAA", part_uuid="p-1"),
        Volume("/dev/vdb2", "part", 9, "LVM2_member", uuid="pv", inside=(GROUP,)),
        Volume("/dev/vdb3", "part", 9, "ntfs", "win", "N1"),
    ),
)  # fmt: skip
RESCUE = Volume("/dev/vda", "disk", 9, "ext4", "rescue", "2222")
SEEN = Disks((Disk(RESCUE, Role.RESCUE), Disk(OWN, Role.OLD)))


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("UUID=1111-AAAA / ext4 defaults 0 1", []),
        ('UUID="1111-aaaa" / ext4 defaults 0 1', []),
        ("UUID=2222 /x ext4 nofail", ["fstab_missing_spared"]),  # on the rescue disk alone
        ("UUID=3333 /x ext4", ["fstab_missing"]),
        ("UUID=3333 /x ext4 noauto", ["fstab_missing_spared"]),
        ("LABEL=root / ext4", []),
        ("LABEL=ROOT / ext4", ["fstab_missing"]),
        ("PARTUUID=p-1 / ext4", []),
        ("PARTUUID=p-2 / ext4", ["fstab_missing"]),
        ("PARTLABEL=x /x ext4", []),  # an older lsblk tells none
        ("/dev/disk/by-uuid/3333 /x ext4", ["fstab_missing"]),
        ("/dev/disk/by-id/virtio-1 /x ext4", []),  # cannot be told from here
        ("/dev/vdb1 / ext4", ["fstab_unstable"]),
        ("/dev/sdz9 /x ext4", ["fstab_unstable", "fstab_no_nofail"]),
        ("/dev/mapper/vg0-my--data /x xfs nofail", []),
        ("/dev/vg0/my-data /x xfs nofail", []),
        ("/dev/vg0/gone /x xfs", ["fstab_missing"]),
        ("UUID=AB-CD /x ext4 nofail", ["fstab_other_type"]),
        ("UUID=N1 /x ntfs-3g nofail", []),
        ("UUID=AB-CD /x auto nofail", []),
        ("UUID=AB-CD /x xsf nofail", ["fstab_type"]),
        ("UUID=AB-CD /x xfs", ["fstab_no_nofail"]),
        ("UUID=AB-CD /boot xfs", []),
        ("tmpfs /tmp tmpfs defaults", []),
        ("sshfs#a:/ /x fuse.sshfs defaults", []),
        ("nas:/x /x nfs defaults", ["fstab_network"]),
        ("nas:/x /x nfs nofail", []),
        ("/srv /x none bind", []),
        ("/swap.img none swap sw", []),
    ],
)
def test_a_line(line, codes):
    assert [code for code, _values in faults(f"# one\n{line}\n", SEEN)[2]] == codes


def test_a_place_that_is_mounted_twice():
    text = "tmpfs /a tmpfs\ntmpfs /b tmpfs\ntmpfs /a/ tmpfs\n/s1 none swap\n/s2 none swap\n"
    told = faults(text, SEEN)
    assert told[3] == [("fstab_twice", {"where": "/a", "line": 1})]
    assert not (told[1] or told[2] or told[5])


def test_where_no_kinds_are_known_nothing_is_called_missing():
    bare = Disks((Disk(Volume("/dev/vdb", "disk", 9), Role.OLD),), kinds_unknown=True)
    assert faults("UUID=3333 / ext4\n", bare)[1] == []
