"""What work on a machine is made of, where a real machine would not say what is needed."""

import pytest

from instances import ssh
from instances.disks import Volume
from instances.models import Image, Machine
from instances.recovery import access, survey
from instances.recovery.kinds import KINDS, REPAIRS
from instances.recovery.mounts import options
from instances.recovery.work import CannotDo, Work, line, words_of
from tests.instances import rows
from tests.instances.machines import DEBIAN, IN_RESCUE, ON_MNT, RESCUE, device, lsblk


class Terminal:
    """Answers as a machine does, and remembers what it was told to run."""

    def __init__(self, **answers):
        self.answers, self.ran = answers, []

    def run(self, *argv, timeout=30):
        self.ran.append(argv)
        answer = self.answers.get(argv[0], b"")
        if callable(answer):
            answer = answer(argv)
        return answer if isinstance(answer, ssh.Output) else ssh.Output(0, answer, b"")


@pytest.fixture
def row(rescue):
    access.attend(rescue.pk)
    return Machine.objects.get()


def test_the_logical_volumes_are_switched_on_for_the_look(row):
    group = device("/dev/vdb", "disk", device("/dev/vdb1", fstype="LVM2_member"))
    terminal = Terminal(lsblk=lsblk(RESCUE, group), findmnt=IN_RESCUE)
    work = Work(terminal, row, {}, {}, {}, "", lambda: survey.take(terminal, row))
    assert KINDS["look"].apply(work).lines == [line("looked", disks=2)]
    assert [argv[0] for argv in terminal.ran] == [
        "lsblk", "findmnt", "blkid", "vgchange", "lsblk", "findmnt", "blkid",
    ]  # fmt: skip
    assert ("vgchange", "--activate", "y") in terminal.ran


def test_volumes_that_stay_off_are_told_of_in_the_machines_words(row):
    group = device("/dev/vdb", "disk", device("/dev/vdb1", fstype="LVM2_member"))
    refused = ssh.Output(5, b"", b"Refusing activation of partial LV vg/root.\n")
    terminal = Terminal(lsblk=lsblk(RESCUE, group), findmnt=IN_RESCUE, vgchange=refused)
    work = Work(terminal, row, {}, {}, {}, "", lambda: survey.take(terminal, row))
    told = KINDS["look"].apply(work).lines
    assert told[1:] == [line("lvm_stays_off", said="Refusing activation of partial LV vg/root.")]


def test_an_older_lsblk_is_asked_for_less(row):
    def old(argv):
        if "MOUNTPOINTS" in argv[-1]:
            return ssh.Output(1, b"", b"lsblk: unknown column: MOUNTPOINTS")
        return lsblk(RESCUE, DEBIAN)

    seen = survey.take(Terminal(lsblk=old, findmnt=IN_RESCUE), row)
    assert [disk.role for disk in seen.disks] == ["rescue", "old"]
    assert Machine.objects.get().disks == seen


def test_answers_that_are_none_are_said_to_be(row):
    with pytest.raises(CannotDo) as problem:
        survey.take(Terminal(lsblk=ssh.Output(127, b"", b"not found")), row)
    assert problem.value.code == "disks_not_understood"
    assert Machine.objects.get().disks is None


def test_an_image_with_a_stable_place_has_its_disk_last(row):
    Image.objects.filter(image_id=rows.RESCUE_IMAGE).update(properties={"hw_rescue_bus": "virtio"})
    seen = survey.take(Terminal(lsblk=lsblk(RESCUE, DEBIAN), findmnt=IN_RESCUE), row)
    assert [disk.role for disk in seen.disks] == ["old", "rescue"]


def test_a_command_that_fails_says_so_in_the_machines_words(row):
    said = b"\x1b[31mcp: cannot\n create: <b>No</b>\x1b[0m " + 700 * b"x"
    terminal = Terminal(cp=ssh.Output(1, b"", said), mv=ssh.Output(1, b"on its output", b""))
    work = Work(terminal, row, {}, {}, {}, "", lambda: None)
    with pytest.raises(CannotDo) as problem:
        work.run("cp", "a", "b")
    assert problem.value.values["command"] == "cp"
    assert "\x1b" not in problem.value.values["said"] and len(problem.value.values["said"]) == 300
    assert words_of(ssh.Output(1, b"", said[:39])) == "�[31mcp: cannot create: <b>No</b>�[0m"
    with pytest.raises(CannotDo) as problem:
        work.run("mv", "a", "b")
    assert problem.value.values["said"] == "on its output"


@pytest.mark.parametrize(
    ("fstype", "writable", "expected"),
    [
        ("ext4", False, "ro,noload,nosuid,nodev,noexec"),
        ("ext4", True, "rw,nosuid,nodev,noexec"),
        ("xfs", False, "ro,norecovery,nouuid,nosuid,nodev,noexec"),
        ("xfs", True, "rw,nouuid,nosuid,nodev,noexec"),
        ("ntfs", False, "ro,nosuid,nodev,noexec"),
    ],
)
def test_mounts_are_careful(fstype, writable, expected):
    assert options(Volume("/dev/vdb1", "part", 1, fstype), writable=writable) == expected


def test_the_kind_of_a_linux_file_system_is_given_and_no_other(row):
    terminal = Terminal(lsblk=lsblk(RESCUE, DEBIAN), findmnt=IN_RESCUE)
    terminal.read = lambda *_given, **_named: (_ for _ in ()).throw(ssh.NoSuchFile())
    for path in ("/dev/vdb1", "/dev/vdb15"):
        work = Work(terminal, row, {"device": path}, {}, {}, "", lambda: survey.take(terminal, row))
        with pytest.raises(CannotDo):
            KINDS["mount"].apply(work)
    assert [argv for argv in terminal.ran if argv[0] == "mount"] == [
        ("mount", "-t", "ext4", "-o", "ro,noload,nosuid,nodev,noexec", "/dev/vdb1", "/mnt"),
        ("mount", "-o", "ro,nosuid,nodev,noexec", "/dev/vdb15", "/mnt"),
    ]


def test_a_mount_or_an_unmount_that_does_not_show_is_not_called_done(row):
    mounted = Terminal(lsblk=lsblk(RESCUE, DEBIAN), findmnt=IN_RESCUE)
    mounted.read = lambda *_given, **_named: (_ for _ in ()).throw(ssh.NoSuchFile())
    work = Work(
        mounted, row, {"device": "/dev/vdb1"}, {}, {}, "", lambda: survey.take(mounted, row)
    )
    with pytest.raises(CannotDo) as problem:
        KINDS["mount"].apply(work)
    assert problem.value.code == "not_proven"
    still = Terminal(lsblk=lsblk(RESCUE, DEBIAN), findmnt=ON_MNT)
    work = Work(still, row, {}, {}, {}, "", lambda: survey.take(still, row))
    with pytest.raises(CannotDo) as problem:
        KINDS["unmount"].apply(work)
    assert problem.value.code == "not_proven"
    assert [argv[1] for argv in still.ran if argv[0] == "umount"] == ["/mnt/boot/efi", "/mnt"]


def test_every_repair_is_a_kind_of_work_that_asks_first():
    assert {*REPAIRS} < {*KINDS}
    assert all(kind.asks_first for kind in REPAIRS.values())
    assert not any(KINDS[key].asks_first for key in ("look", "mount", "unmount"))
