"""Disks told apart: the rescue system's and the old one, whatever lies on them, whoever speaks."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.disks import Disks, NotUnderstood, Role, is_device, is_mountable, understand
from tests.instances.machines import (
    DEBIAN,
    GIB,
    IN_RESCUE,
    MIB,
    ON_MNT,
    RESCUE,
    device,
    findmnt,
    lsblk,
)


def seen(*devices, mounts=IN_RESCUE, blkid=b"", rescue_last=False) -> Disks:
    return understand(lsblk(*devices), mounts, blkid=blkid, rescue_last=rescue_last)


def roles(disks: Disks) -> dict[str, str]:
    return {disk.volume.path: disk.role.value for disk in disks.disks}


def test_the_rescue_disk_comes_first_in_the_classic_way():
    disks = seen(RESCUE, DEBIAN)
    assert roles(disks) == {"/dev/vda": "rescue", "/dev/vdb": "old"}
    assert [volume.path for volume in disks.mountable] == ["/dev/vdb1", "/dev/vdb15"]
    root = disks.volume("/dev/vdb1")
    assert (root.size, root.fstype, root.label, root.uuid) == (
        9 * GIB, "ext4", "cloudimg-rootfs", "d-1",
    )  # fmt: skip
    assert root.holds_linux and not disks.volume("/dev/vdb15").holds_linux
    assert disks.volume("/dev/vda1").mountpoints == ("/",)
    assert disks.volume("/dev/vdb14").part_type == "BIOS boot"
    assert disks.volume("/dev/vdz") is None
    assert not disks.booted_old and not disks.kinds_unknown


def test_it_comes_last_when_the_image_asked_for_a_stable_place():
    own = device("/dev/vda", "disk", device("/dev/vda1", fstype="ext4"))
    rescue = device("/dev/vdb", "disk", device("/dev/vdb1", fstype="ext4", on="/"))
    mounts = findmnt(("/dev/vdb1", "/", "ext4", "rw"))
    disks = seen(own, rescue, mounts=mounts, rescue_last=True)
    assert roles(disks) == {"/dev/vda": "old", "/dev/vdb": "rescue"}
    assert [volume.path for volume in disks.mountable] == ["/dev/vda1"]
    assert not disks.booted_old
    assert roles(seen(rescue, mounts=mounts, rescue_last=True)) == {"/dev/vdb": "rescue"}


def test_the_place_counts_not_the_order_in_which_they_are_listed():
    many = [device(f"/dev/vd{letter}", "disk", fstype="ext4") for letter in ("z", "aa", "b", "a")]
    assert roles(seen(*many))["/dev/vda"] == "rescue"
    assert roles(seen(*many, rescue_last=True))["/dev/vdaa"] == "rescue"


def test_having_booted_the_broken_disk_is_noticed():
    disks = seen(RESCUE, DEBIAN, mounts=findmnt(("/dev/vdb1", "/", "ext4", "rw")))
    assert disks.booted_old
    assert "/dev/vdb1" not in [volume.path for volume in disks.mountable]


def test_a_root_on_no_disk_at_all_is_no_broken_one():
    for source in ("overlay", "tmpfs", "/dev/root"):
        assert not seen(RESCUE, DEBIAN, mounts=findmnt((source, "/", "x", "rw"))).booted_old
    assert not seen(RESCUE, mounts=b'{"filesystems": []}').booted_old
    assert seen(mounts=IN_RESCUE).disks == ()


def test_logical_volumes_are_reached_through_their_group():
    lvm = device(
        "/dev/vdb", "disk",
        device("/dev/vdb1", fstype="vfat"),
        device(
            "/dev/vdb2", "part",
            device("/dev/mapper/vg--0-root", "lvm", fstype="xfs", size=5 * GIB),
            device("/dev/mapper/vg--0-swap", "lvm", fstype="swap", size=50 * GIB),
            fstype="LVM2_member",
        ),
    )  # fmt: skip
    disks = seen(RESCUE, lvm)
    assert [volume.path for volume in disks.mountable] == ["/dev/mapper/vg--0-root", "/dev/vdb1"]
    assert not is_mountable(disks.volume("/dev/vdb2"))


@pytest.mark.parametrize("name", ["debian--vg-root", "rhel-root", "ubuntu--vg-ubuntu--lv"])
def test_the_volume_that_an_installer_makes_for_the_system_is_offered_first(name):
    group = device(
        "/dev/vdb2", "part",
        device("/dev/mapper/vg-home", "lvm", fstype="ext4", size=90 * GIB),
        device(f"/dev/mapper/{name}", "lvm", fstype="ext4", size=9 * GIB),
        device("/dev/mapper/vg-my--root", "lvm", fstype="ext4", size=80 * GIB),
        fstype="LVM2_member",
    )  # fmt: skip
    (first, *others) = seen(RESCUE, device("/dev/vdb", "disk", group)).mountable
    assert first.path == f"/dev/mapper/{name}"
    assert [volume.path for volume in others] == ["/dev/mapper/vg-home", "/dev/mapper/vg-my--root"]


def test_what_is_encrypted_is_shown_and_not_mounted_until_it_is_open():
    closed = device("/dev/vdb", "disk", device("/dev/vdb1", fstype="crypto_LUKS"))
    assert seen(RESCUE, closed).mountable == []
    assert seen(RESCUE, closed).volume("/dev/vdb1").is_locked
    inner = device("/dev/mapper/secret", "crypt", fstype="ext4")
    open_ = device("/dev/vdb", "disk", device("/dev/vdb1", "part", inner, fstype="crypto_LUKS"))
    assert [volume.path for volume in seen(RESCUE, open_).mountable] == ["/dev/mapper/secret"]
    assert not seen(RESCUE, open_).volume("/dev/vdb1").is_locked


def test_a_raid_lies_in_each_of_its_disks_and_is_offered_once():
    raid = device("/dev/md0", "raid1", fstype="ext4", uuid="m-0")
    halves = [
        device(f"/dev/vd{letter}", "disk", device(f"/dev/vd{letter}1", "part", raid,
               fstype="linux_raid_member"))
        for letter in "bc"
    ]  # fmt: skip
    disks = seen(RESCUE, *halves)
    assert roles(disks) == {"/dev/vda": "rescue", "/dev/vdb": "old", "/dev/vdc": "old"}
    assert [volume.path for volume in disks.mountable] == ["/dev/md0"]


def test_swap_windows_a_whole_disk_and_an_empty_one():
    disks = seen(
        RESCUE,
        device("/dev/vdb", "disk", device("/dev/vdb1", fstype="swap"),
               device("/dev/vdb2", fstype="ntfs", label="Windows")),
        device("/dev/vdc", "disk", fstype="ext4"),
        device("/dev/vdd", "disk"),
        device("/dev/sr0", "rom", fstype="iso9660", label="config-2"),
        device("/dev/loop0", "loop", fstype="squashfs"),
    )  # fmt: skip
    assert roles(disks) == {
        "/dev/vda": "rescue", "/dev/vdb": "old", "/dev/vdc": "old", "/dev/vdd": "other",
        "/dev/loop0": "rescue",
    }  # fmt: skip
    assert [volume.path for volume in disks.mountable] == ["/dev/vdc", "/dev/vdb2"]


def test_a_damaged_file_system_is_there_and_not_offered():
    disks = seen(RESCUE, device("/dev/vdb", "disk", device("/dev/vdb1", parttypename="Linux")))
    assert roles(disks)["/dev/vdb"] == "old"
    assert disks.mountable == []
    assert not disks.kinds_unknown


def test_the_likeliest_root_is_offered_first():
    parts = [
        device("/dev/vdb1", fstype="vfat", size=90 * GIB),
        device("/dev/vdb2", fstype="ext4", size=50 * GIB, label="data"),
        device("/dev/vdb3", fstype="xfs", size=10 * GIB, label="root"),
        device("/dev/vdb4", fstype="ext4", size=60 * GIB),
    ]
    offered = [volume.path for volume in seen(RESCUE, device("/dev/vdb", "disk", *parts)).mountable]
    assert offered == ["/dev/vdb3", "/dev/vdb4", "/dev/vdb2", "/dev/vdb1"]


BARE = (
    device("/dev/vda", "disk", device("/dev/vda1", on="/")),
    device("/dev/vdb", "disk", device("/dev/vdb1", size=9 * GIB), device("/dev/vdb2")),
)
BLKID = b"""
DEVNAME=/dev/vdb1
LABEL=cloudimg-rootfs
UUID=d-1
BLOCK_SIZE=4096
TYPE=ext4

nonsense

DEVNAME=/dev/vdb2
TYPE=swap
"""


def test_blkid_knows_what_lsblk_does_not_without_udev():
    disks = seen(*BARE, blkid=BLKID)
    root = disks.volume("/dev/vdb1")
    assert (root.fstype, root.label, root.uuid, root.size) == (
        "ext4", "cloudimg-rootfs", "d-1", 9 * GIB,
    )  # fmt: skip
    assert [volume.path for volume in disks.mountable] == ["/dev/vdb1"]
    assert not disks.kinds_unknown


def test_when_neither_knows_it_is_said():
    disks = seen(*BARE)
    assert disks.kinds_unknown
    assert disks.mountable == []


def test_blkid_does_not_overrule_lsblk():
    assert seen(RESCUE, DEBIAN, blkid=b"DEVNAME=/dev/vdb1\nTYPE=swap\n").mountable


def test_what_is_mounted_where():
    disks = seen(RESCUE, DEBIAN, mounts=ON_MNT)
    assert disks.mounted_at("/mnt").source == "/dev/vdb1"
    assert not disks.mounted_at("/mnt").writable
    assert disks.mounted_at("/").writable
    assert [mount.target for mount in disks.mounted_below("/mnt")] == ["/mnt/boot/efi", "/mnt"]
    assert disks.mounted_at("/mn") is None
    twice = findmnt(("/dev/vdb1", "/mnt", "ext4", "ro"), ("/dev/vdb1", "/mnt", "ext4", "rw"))
    assert seen(RESCUE, DEBIAN, mounts=twice).mounted_at("/mnt").writable  # the one on top


def test_an_older_lsblk_is_understood():
    """As 2.31 prints it: numbers as text, one mount point, its path in the name."""
    old = {"kname": "/dev/x", "label": None, "uuid": None, "ro": "0"}
    parts = [
        {"name": "/dev/vdb1", "type": "part", "size": "9663676416", "fstype": "ext4",
         "mountpoint": "/mnt", **old},
    ]  # fmt: skip
    whole = {"name": "/dev/vdb", "type": "disk", "size": "10737418240", "fstype": None,
             "mountpoint": None, "children": parts, **old, "ro": "1"}  # fmt: skip
    disks = seen(RESCUE, whole)
    part = disks.volume("/dev/vdb1")
    assert (part.size, part.mountpoints, part.read_only) == (9 * GIB, ("/mnt",), False)
    assert disks.volume("/dev/vdb").read_only
    assert disks.volume("/dev/vdb").mountpoints == ()


def test_it_is_kept_as_json_and_made_again():
    disks = seen(RESCUE, DEBIAN, mounts=ON_MNT)
    assert Disks.from_kept(json.loads(json.dumps(disks.kept()))) == disks
    assert {disk.role for disk in disks.disks} == {Role.RESCUE, Role.OLD}


# Hostile ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/dev/vda", "/dev/sdab12", "/dev/xvda1", "/dev/nvme0n1p2", "/dev/mmcblk0p1", "/dev/md127p1",
     "/dev/md/host:0", "/dev/dm-3", "/dev/mapper/vg--0-root", "/dev/loop7p1", "/dev/hda1"],
)  # fmt: skip
def test_a_device_may_stand_in_a_command(path):
    assert is_device(path)


@pytest.mark.parametrize(
    "path",
    ["", "vda", "/dev/", "/dev/vda;id", "/dev/vda1\n", "/dev/../etc/passwd", "/dev/mapper/..",
     "/dev/mapper/-o", "/dev/mapper/a/b", "/dev/mapper/a b", "/dev/$(id)", "/dev/sr0", "/dev/zram0",
     "/dev/mapper/a..b", "/dev/vdａ", "/dev/dm-٣", "/dev/null", "-o", f"/dev/mapper/{'a' * 129}"],
)  # fmt: skip
def test_anything_else_may_not(path):
    assert not is_device(path)


def test_a_device_with_an_odd_name_is_left_out_with_all_that_is_in_it():
    odd = device("/dev/vdb;reboot", "disk", device("/dev/vdb1", fstype="ext4"))
    assert roles(seen(RESCUE, odd)) == {"/dev/vda": "rescue"}


def test_the_longest_name_a_device_can_have_stays_whole():
    name = "/dev/mapper/" + 127 * "a"
    disk = device("/dev/vdb", "disk", device(name, "lvm", fstype="ext4"))
    assert [volume.path for volume in seen(RESCUE, disk).mountable] == [name]


def test_labels_are_one_short_line_and_nothing_a_terminal_acts_on():
    label = "\x1b]0;owned\x07<script>\n‮" + 1000 * "x"
    disk = device("/dev/vdb", "disk", fstype="ext4", label=label)
    kept = seen(RESCUE, disk).volume("/dev/vdb").label
    assert kept.startswith("�]0;owned�<script>��xx")
    assert len(kept) == 160


@pytest.mark.parametrize(
    "answer",
    [b"", b"lsblk: unknown column: PATH", b"\xff\xfe", b"[]", b"3", b"null", b'{"blockdevices": [',
     b"[" * 100_000, b'{"blockdevices": ' + 10_000 * b"1" + b"}"],
)  # fmt: skip
def test_what_no_tool_prints_is_not_understood(answer):
    with pytest.raises(NotUnderstood):
        understand(answer, IN_RESCUE, rescue_last=False)
    with pytest.raises(NotUnderstood):
        understand(lsblk(RESCUE), answer, rescue_last=False)


@pytest.mark.parametrize("size", ["²", "9" * 5000, -1, 1.5, True, None, [], "1 G", "١"])
def test_a_size_that_is_none_is_nothing(size):
    assert seen(device("/dev/vdb", "disk", size=size)).volume("/dev/vdb").size == 0


def test_what_lies_too_deep_is_left_out():
    inner = device("/dev/vdb1", fstype="ext4")
    for _level in range(200):
        inner = device("/dev/vdb1", "part", inner)
    disks = seen(RESCUE, device("/dev/vdb", "disk", inner))
    assert len(list(disks.volume("/dev/vdb").walk())) == 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(
        ["/dev/vda", "/dev/vdb", "/dev/vdb1", "disk", "part", "ext4", "/", "/mnt", "rw", "1"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["blockdevices", "filesystems", "children", "path", "name", "type", "size", "fstype",
             "label", "mountpoints", "mountpoint", "ro", "source", "target", "options"]
        ), inner, max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(JSON, JSON, st.binary(max_size=60), st.booleans())
def test_nothing_a_machine_says_breaks_it(devices, mounts, blkid, rescue_last):
    said = json.dumps({"blockdevices": devices}).encode()
    told = json.dumps({"filesystems": mounts}).encode()
    disks = understand(said, told, blkid=blkid, rescue_last=rescue_last)
    assert Disks.from_kept(json.loads(json.dumps(disks.kept()))) == disks
    assert all(is_device(volume.path) for volume in disks.mountable)


def test_a_million_devices_are_cut_off():
    many = [device("/dev/vdb1", size=MIB) for _one in range(2000)]
    disks = seen(RESCUE, device("/dev/vdb", "disk", *many))
    assert len(disks.volume("/dev/vdb").inside) == 256
