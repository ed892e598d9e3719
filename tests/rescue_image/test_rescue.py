"""From the panel into our rescue image, to a server that lets its owner in again."""

import subprocess

import pytest

from instances import ssh
from instances.models import Job, Machine, Rescue
from instances.models.machine import Reach
from instances.recovery import access, jobs
from tests.rescue_image import qemu
from tests.rescue_image.conftest import PASSWORD
from tests.services import wait_until

pytestmark = pytest.mark.django_db

#: what the metadata of a real server holds besides
METADATA = {"uuid": "5f1c6c0e-1111-4222-8333-444455556666", "name": "web-1", "meta": {}}


@pytest.fixture(scope="module")
def disk(old_disk, tmp_path_factory):
    """Give the broken server's disk, to be changed."""
    return qemu.copy_on_write(old_disk, tmp_path_factory.mktemp("disk") / "web-1.qcow2")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Give the pair of keys whose public half will be put back."""
    path = tmp_path_factory.mktemp("keys") / "alice"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(make, check=True)
    return path


@pytest.fixture(scope="module")
def vm(starts, disk, tmp_path_factory):
    """Give a rescued machine as Nova makes it: the rescue disk, the old one, the config drive.

    Three empty disks behind them are for what lies on several.
    """
    folder = tmp_path_factory.mktemp("empty")
    more = [qemu.empty(folder / f"{number}.raw") for number in range(3)]
    started = starts(disk, *more, drive=METADATA | {"admin_pass": PASSWORD})
    started.wait_for("Rescue: root logs in with the temporary password.")
    return started


@pytest.fixture
def told(vm, tried, leads_to):
    """Run a command on the rescued machine as root, and return what it says."""
    leads_to(vm)
    wait_until(lambda: tried().reach == Reach.IN, "the panel let in", 60)
    row = Machine.objects.get()

    def tell(*command):
        with access.entered(row) as machine:
            done = machine.run(*command, timeout=90)
        assert done.status == 0, done.err
        return done.out.decode()

    return tell


def test_only_the_password_given_lets_the_panel_in(vm, leads_to, tried, rescue):
    leads_to(vm)
    Rescue.objects.update(sealed_password=rescue.sealed("another"))
    wait_until(lambda: tried().reach in (Reach.REFUSED, Reach.IN), "SSH", 60)
    assert tried().reach == Reach.REFUSED
    Rescue.objects.update(sealed_password=rescue.sealed(PASSWORD))
    row = tried()
    assert (row.reach, row.vouched_by) == (Reach.IN, "console")
    assert row.fingerprint in vm.console


def test_no_disk_is_used(told, vm):
    """No byte was written to the customer's, nor to the image's own: the password is on none."""
    assert told("cat", "/proc/swaps").count("\n") == 1
    assert "/dev/vd" not in told("cat", "/proc/self/mountinfo")
    assert "web-1-root" in told("lsblk", "-o", "LABEL,MOUNTPOINTS", "/dev/vdb")
    assert [qemu.written(disk) for disk in vm.disks[:2]] == [0, 0]
    assert PASSWORD not in vm.console


def test_nothing_is_put_together_because_a_disk_appears(told):
    """Neither logical volumes nor RAID: what a damaged one needs is decided by a person."""
    make = """set -e
    pvcreate -qy /dev/vdc; vgcreate -qy lost /dev/vdc; lvcreate -qy -n root -L 8M lost
    vgchange -qan lost
    mdadm -q --create /dev/md7 --run --metadata 1.2 -l1 -n2 /dev/vdd /dev/vde
    mdadm -q --stop /dev/md7
    rm -rf /run/lvm/pvs_online /run/lvm/vgs_online  # what was seen before counts as new again
    udevadm trigger --action=add --settle /dev/vdc /dev/vdd /dev/vde
    sleep 5"""
    told("sh", "-c", make)
    assert told("lvs", "--noheadings", "-o", "lv_active", "lost").strip() == ""
    assert "vdd" not in told("cat", "/proc/mdstat")
    told("vgchange", "-q", "--activate", "y", "lost")
    told("mdadm", "--assemble", "--scan")
    assert "vdd" in told("cat", "/proc/mdstat")


@pytest.mark.parametrize(
    "tool",
    ["lvm", "mdadm", "cryptsetup", "e2fsck", "xfs_repair", "btrfs", "ntfsfix", "fsck.vfat",
     "grub-install", "arch-chroot", "sfdisk", "ddrescue"],
)  # fmt: skip
def test_the_tools_are_there(told, tool):
    assert told("sh", "-c", f"command -v {tool}").startswith("/")


def test_a_person_is_told_what_to_do(told):
    assert "mount -o ro /dev/vdb1 /mnt" in told("cat", "/etc/motd")
    assert told("sh", "-c", "systemctl --failed --no-legend") == ""
    assert told("env", "-u", "LC_ALL", "locale", "charmap").strip() == "UTF-8"
    assert "nameserver 10.0.2.3" in told("cat", "/etc/resolv.conf")


def test_a_key_is_put_back_and_lets_its_owner_in(
    vm, leads_to, tried, do, alice, disk, keys, tmp_path
):
    leads_to(vm)
    row = tried()
    assert do("look").state == Job.State.DONE
    row.refresh_from_db()
    roles = {d.volume.path: str(d.role) for d in row.disks.disks}
    assert (roles["/dev/vda"], roles["/dev/vdb"]) == ("rescue", "old")
    assert roles["/dev/loop0"] == "rescue"  # where the rescue system lies
    assert [v.path for v in row.disks.mountable] == ["/dev/vdb1"]
    done = do("mount", device="/dev/vdb1")
    assert (done.state, done.result["kept"]["users"]) == (Job.State.DONE, ["admin", "root"])
    assert do("mount", device="/dev/vdb1", writable=True).state == Job.State.DONE
    public = keys.with_suffix(".pub").read_text().strip()
    planned = do("ssh_key", user="admin", public_key=public, key_name="alice")
    assert planned.state == Job.State.PLANNED, planned.problem
    jobs.confirm(job=planned, by=alice)
    jobs.run(planned.pk)
    planned.refresh_from_db()
    assert planned.state == Job.State.DONE, planned.problem
    assert do("unmount").state == Job.State.DONE
    assert qemu.written(disk) > 0
    with access.entered(row) as machine:
        machine.run("systemctl", "poweroff")
    vm.gone()

    repaired = qemu.Vm(tmp_path / "repaired", disk)
    try:
        repaired.wait_for("web-1 login:")
        with ssh.connect(
            repaired.target,
            ssh.greet(repaired.target, timeout=60),
            ssh.Login("admin", private_key=keys.read_text()),
            timeout=60,
        ) as machine:
            assert machine.how == "publickey"
            assert machine.run("hostname").out == b"web-1\n"
    finally:
        repaired.stop()
