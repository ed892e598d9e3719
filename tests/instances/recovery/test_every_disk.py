"""The five repairs on every kind of disk: looked at, done, proven, undone, and the disk clean."""

import shutil
import subprocess
import uuid

import pytest

from instances.models import Job, Machine
from instances.recovery import jobs, long_run, survey, words
from tests.instances.recovery import five, kinds_of_disk
from tests.instances.recovery.kinds_of_disk import KINDS, Disk
from tests.instances.recovery.old_disk import attach, detach, run


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(long_run, "FIRST_LOOKS", 0.05)


@pytest.fixture
def old(request, tmp_path, system):
    """Give an attached disk of the kind asked for."""
    kind = KINDS[request.param]
    if reason := kinds_of_disk.why_not(kind):
        pytest.skip(reason)
    disk = Disk(kind, tmp_path / "disk.img")
    try:
        disk.make(tmp_path)
        yield disk
    finally:
        system.let_go()
        disk.detach()


@pytest.mark.parametrize("old", KINDS, indirect=True)
def test_five_repairs(old, do, go_on, system, machine):
    if old.kind.damage:
        old.as_root(old.kind.damage)
        five.check_mends(old.root, do, go_on, codes=kinds_of_disk.MENDED[old.kind.fstype])
    assert five.finds_sound(old.root, do)

    looked = do("mount", device=old.root)
    assert (looked.state, looked.problem) == (Job.State.DONE, "")
    assert jobs.users_seen(machine.rescue)[:2] == ["admin", "fresh"]
    assert system.within("touch", "/mnt/etc/x").returncode != 0
    assert do("mount", device=old.root, writable=True).state == Job.State.DONE
    for name in five.REPAIRS:
        five.repair_and_undo(name, do, go_on, system.tell)
    five.repair("ssh_key", do, go_on, system.tell)
    assert do("check", device=old.root).problem == "check_mounted"

    assert do("unmount").state == Job.State.DONE
    assert Machine.objects.get().disks.mounted_below("/mnt") == []
    assert five.finds_sound(old.root, do)
    do("mount", device=old.root)
    assert five.REPAIRS["ssh_key"].shows(system.tell)


@pytest.mark.parametrize("old", ["xfs in a GPT partition", "btrfs with subvolumes"], indirect=True)
def test_looking_at_what_was_cut_off_changes_not_one_byte(old, do, system):
    old.cut_off()
    before = old.digest()
    job = do("mount", device=old.root)
    assert (job.state, job.problem) == (Job.State.DONE, "")
    assert "admin:x:1000" in system.tell("cat", "/mnt/etc/passwd")
    assert do("unmount").state == Job.State.DONE
    assert old.digest() == before
    # And there was something to be careful with: a plain read-only mount does write.
    old.as_root("mount -o ro {device} /mnt; umount /mnt")
    assert old.digest() != before


@pytest.fixture
def encrypted(tmp_path, system):
    """Give an attached disk on which there is nothing but what LUKS has locked."""
    if not shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin"):
        pytest.skip("not installed: cryptsetup (scripts/system-packages)")
    image = tmp_path / "locked.img"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    quick = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    lock = ["/usr/sbin/cryptsetup", "-q", "luksFormat", *quick, str(image), "-"]
    subprocess.run(lock, input=b"secret", check=True)
    device = attach(image, parts=0)
    yield device
    detach(device)


def test_what_is_encrypted_is_said_to_be_locked(encrypted, disk, do, machine):
    """With how to open it; neither it is offered nor what must not be written to."""
    looked = do("look")
    assert looked.state == Job.State.DONE
    assert ["locked", {"device": encrypted}] in looked.result["lines"]
    (told,) = [words.sentence(one) for one in looked.result["lines"] if one[0] == "locked"]
    assert f"cryptsetup open {encrypted} old" in told
    assert Machine.objects.get(pk=machine.pk).disks.volume(encrypted).is_locked
    for kind in ("mount", "check"):
        assert do(kind, device=encrypted).problem == "no_such_device"


def test_what_lies_there_now_is_told_not_what_lay_there_a_moment_ago(encrypted, tmp_path):
    other = tmp_path / "other.img"
    with other.open("wb") as file:
        file.truncate(8 << 20)
    run("mkfs.ext4", "-q", str(other))
    assert "crypto_LUKS" in run("blkid", "-o", "export")  # which blkid remembers
    run("losetup", "-d", encrypted)
    run("losetup", encrypted, str(other))
    told = [one for one in run(*survey.BLKID).split("\n\n") if f"DEVNAME={encrypted}\n" in one]
    assert len(told) == 1 and "\nTYPE=ext4" in told[0]


@pytest.fixture
def mirror(tmp_path, system):
    """Give the two disks of a RAID that nobody has put together."""
    array, disks = uuid.uuid4(), []
    try:
        for number in (0, 1):
            image = tmp_path / f"member-{number}.img"
            kinds_of_disk.raid_member(image, array, number)
            disks.append(attach(image, parts=0))
        yield sorted(disks)
    finally:
        for device in disks:
            detach(device)


def test_members_of_a_raid_say_what_has_to_be_done_first(mirror, disk, do, machine):
    looked = do("look")
    assert looked.state == Job.State.DONE
    (told,) = [
        words.sentence(one)
        for one in looked.result["lines"]
        if one[0] == "raid_apart" and mirror[0] in one[1]["devices"]
    ]
    assert f"not put together: {mirror[0]}, {mirror[1]}." in told
    assert "mdadm --assemble --scan in the terminal" in told
    seen = Machine.objects.get(pk=machine.pk).disks
    member = seen.volume(mirror[0])
    assert (member.fstype, member.label, member.is_apart) == ("linux_raid_member", "web-1:0", True)
    for kind in ("mount", "check"):  # half of a mirror must never be written to alone
        assert do(kind, device=mirror[0]).problem == "no_such_device"
