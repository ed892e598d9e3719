"""The five repairs on logical volumes and behind encryption, on the rescue image's own kernel."""

import io
import tarfile

import pytest

from instances.models import Job, Machine
from instances.models.machine import Reach
from instances.recovery import access, jobs, words
from tests.instances.recovery import five
from tests.instances.recovery.old_disk import furnish
from tests.rescue_image import qemu
from tests.rescue_image.conftest import PASSWORD
from tests.rescue_image.layered import ALMA, DEBIAN, LOCKED, PHRASE
from tests.services import wait_until

pytestmark = pytest.mark.django_db
#: a file system that was cut off has its log put in place, one that is damaged is mended
MENDED = {"ext4": ["check_mended", "check_proven"], "xfs": ["check_replayed", "check_proven"]}


@pytest.fixture(scope="module")
def vm(starts, tmp_path_factory):
    """Give a rescued machine with three empty disks behind the rescue system's."""
    folder = tmp_path_factory.mktemp("layered")
    disks = [qemu.empty(folder / f"{one.name}.raw", one.mib) for one in (DEBIAN, ALMA, LOCKED)]
    started = starts(*disks, drive={"admin_pass": PASSWORD})
    started.wait_for("Rescue: root logs in with the temporary password.")
    return started


@pytest.fixture
def tell(vm, tried, leads_to):
    """Run a command on the rescued machine as root, and return what it says."""
    leads_to(vm)
    wait_until(lambda: tried().reach == Reach.IN, "the panel let in", 60)
    row = Machine.objects.get()

    def run(*command, stdin=None):
        with access.entered(row) as machine:
            done = machine.run(*command, timeout=180, stdin=stdin)
        assert done.status == 0, (command, done.err)
        return done.out.decode()

    return run


@pytest.fixture
def made(tell, tmp_path):
    """Make a disk as its installer would, once; nothing of it is in use then."""

    def make(layered):
        if layered.part not in tell("lsblk", "-nrpo", "NAME"):
            tell("sh", "-c", layered.script(), stdin=layered.files(tmp_path))
        return layered

    return make


@pytest.fixture
def go_on(alice):
    def next_stage(job, use_case):
        found = Job.objects.get(pk=job.pk)
        use_case(job=found, by=alice)
        jobs.run(found.pk)
        return Job.objects.get(pk=found.pk)

    return next_stage


def facts(job):
    return [(code, values.get("device", "")) for code, values in job.result["lines"]]


def five_repairs(old, do, go_on, tell, rescue):
    """Do all that may be done on a disk, and leave it clean."""
    assert old.root in [volume.path for volume in Machine.objects.get().disks.mountable][:3]
    five.check_mends(old.root, do, go_on, codes=MENDED[old.fstype])
    looked = do("mount", device=old.root)
    assert (looked.state, looked.problem) == (Job.State.DONE, "")
    assert facts(looked) == [
        ("mounted_ro", old.root), ("mounted_too", f"{old.disk}1"),
        ("mounted_too", f"/dev/mapper/{old.group}-home"),
    ]  # fmt: skip
    assert jobs.users_seen(rescue)[:2] == ["admin", "fresh"]
    assert do("mount", device=old.root, writable=True).state == Job.State.DONE
    for name in five.REPAIRS:
        five.repair_and_undo(name, do, go_on, tell)
    five.repair("ssh_key", do, go_on, tell)
    assert do("check", device=old.root).problem == "check_mounted"
    assert do("unmount").state == Job.State.DONE
    assert five.finds_sound(old.root, do)
    assert five.finds_sound(f"/dev/mapper/{old.group}-home", do)
    assert "/mnt" not in tell("cat", "/proc/self/mountinfo")
    tell("vgchange", "-q", "-an", old.volumes)  # which is refused while one is in use


@pytest.mark.parametrize("old", [DEBIAN, ALMA], ids=lambda one: one.name)
def test_on_logical_volumes(old, made, do, go_on, tell, rescue):
    made(old)
    assert f"{old.group}-root" not in tell("lsblk", "-nro", "NAME", old.disk)
    assert do("mount", device=old.root).problem == "no_such_device"
    assert [code for code, _device in facts(do("look"))][:1] == ["looked"]
    five_repairs(old, do, go_on, tell, rescue)


def test_behind_encryption_it_is_shown_as_locked_until_its_owner_opens_it(
    made, do, go_on, tell, rescue
):
    old = made(LOCKED)
    assert ("locked", old.part) in facts(do("look"))
    seen = Machine.objects.get().disks
    assert seen.volume(old.part).is_locked
    assert do("mount", device=old.part).problem == "no_such_device"
    assert do("check", device=old.part).problem == "no_such_device"
    # As the sentence says, with the panel's terminal.
    tell("cryptsetup", "open", "--key-file", "-", old.part, "old", stdin=PHRASE.encode())
    assert ("locked", old.part) not in facts(do("look"))
    assert not Machine.objects.get().disks.volume(old.part).is_locked
    five_repairs(old, do, go_on, tell, rescue)
    tell("cryptsetup", "close", "old")
    assert ("locked", old.part) in facts(do("look"))


MIRROR = """set -e
truncate -s 48M /run/left /run/right
for half in left right; do losetup -f /run/$half; done
set -- $(losetup -nOname -j /run/left) $(losetup -nOname -j /run/right)
mdadm -q --create /dev/md/old --run --homehost=web-1 --metadata 1.2 -l1 -n2 $1 $2
mkfs.ext4 -q -L mirrored /dev/md/old
mount /dev/md/old /mnt; tar -C /mnt --numeric-owner -xf -; umount /mnt
mdadm -q --stop /dev/md/old
udevadm settle
echo $1 $2"""
FSTAB = "LABEL=mirrored / ext4 defaults 0 1\n"


def test_a_raid_is_put_together_by_who_was_told_how(do, tell, tmp_path):
    """What a look says to run brings the old system back, here with one half of a mirror lost."""
    furnish(tmp_path / "tree", FSTAB)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(tmp_path / "tree", ".")
    halves = tell("sh", "-c", MIRROR, stdin=packed.getvalue()).split()
    try:
        look = do("look")
        assert ("raid_apart", {"devices": ", ".join(sorted(halves))}) in told(look)
        seen = Machine.objects.get().disks
        assert [seen.volume(half).fstype for half in halves] == ["linux_raid_member"] * 2
        assert do("mount", device=halves[0]).problem == "no_such_device"
        (sentence,) = [words.sentence(one) for one in told(look) if one[0] == "raid_apart"]
        command = "mdadm --assemble --scan"
        assert command in sentence
        tell("sh", "-c", f"losetup -d {halves[1]}")  # and now only one half is left
        tell(*command.split())
        assert "[U_]" in tell("cat", "/proc/mdstat") or "[_U]" in tell("cat", "/proc/mdstat")
        look = do("look")
        assert "raid_apart" not in [code for code, _values in told(look)]
        (array,) = Machine.objects.get().disks.volume(halves[0]).inside
        assert (array.kind, array.fstype, array.label) == ("raid1", "ext4", "mirrored")
        mounted = do("mount", device=array.path)
        assert (mounted.state, mounted.problem) == (Job.State.DONE, "")
        assert "admin:x:1000" in tell("cat", "/mnt/etc/passwd")
        assert do("unmount").state == Job.State.DONE
    finally:
        tell("sh", "-c", f"mdadm -q --stop --scan; losetup -d {halves[0]}")


def told(job):
    return [(code, values) for code, values in job.result["lines"]]


def test_a_group_of_which_a_disk_is_missing_says_so(do, tell, tmp_path):
    """Its volumes stay off: which of the two disks to do without is decided by a person."""
    make = """set -e
    truncate -s 32M /run/one /run/two
    for one in one two; do losetup -f /run/$one; pvcreate -qy $(losetup -nOname -j /run/$one); done
    vgcreate -qy torn $(losetup -nOname -j /run/one) $(losetup -nOname -j /run/two)
    lvcreate -qy -an -Zn -Wn -n wide -L 40M torn
    losetup -d $(losetup -nOname -j /run/two)"""
    tell("sh", "-c", make)
    try:
        look = do("look")
        assert look.state == Job.State.DONE
        (said,) = [
            values["said"] for code, values in look.result["lines"] if code == "lvm_stays_off"
        ]
        assert "torn" in said
    finally:
        tell("sh", "-c", "losetup -d $(losetup -nOname -j /run/one)")
