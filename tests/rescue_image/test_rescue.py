"""From the panel into our rescue image, which has the tools and touches no disk by itself."""

import pytest

from instances.models import Machine, Rescue
from instances.models.machine import Reach
from instances.recovery import access
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
