"""An old system's fstab, read so that it can be changed without losing a byte."""

from instances.recovery import fstab

TEXT = (
    "# a comment of UUID=1 / ext4\n"
    "\n"
    "UUID=1 / ext4 errors=remount-ro 0 1\n"
    "  LABEL=data\t/srv/my\\040data\txfs\tnofail,noatime\n"
    "/dev/vdb1 /mnt auto\n"
    "two columns\n"
    "#/dev/vdc /x ext4 defaults\n"
    "/dev/vdd none swap sw,noauto 0 0"
)


def test_what_mounts_something_is_read():
    found = list(fstab.entries(TEXT))
    assert [(one.number, one.device, one.where, one.fstype) for one in found] == [
        (3, "UUID=1", "/", "ext4"),
        (4, "LABEL=data", "/srv/my data", "xfs"),
        (5, "/dev/vdb1", "/mnt", "auto"),
        (8, "/dev/vdd", "none", "swap"),
    ]
    assert [one.options for one in found[:3]] == [
        ("errors=remount-ro",), ("nofail", "noatime"), ("defaults",),
    ]  # fmt: skip
    assert [one.needed_to_boot for one in found] == [True, False, True, False]
    assert found[1].text == "  LABEL=data\t/srv/my\\040data\txfs\tnofail,noatime"


def test_a_line_made_a_comment_leaves_every_other_byte():
    changed = fstab.commented_out(TEXT, {4, 8}, "kept")
    assert changed == TEXT.replace("  LABEL=data", "# kept:   LABEL=data").replace(
        "/dev/vdd", "# kept: /dev/vdd"
    )
    assert [one.number for one in fstab.entries(changed)] == [3, 5]
    assert fstab.commented_out(TEXT, set(), "kept") == TEXT
