"""The whole way, on a virtual machine: from the click to a repaired server that lets its owner in.

The cloud is the look-alike, over HTTP; the test is its hypervisor, and starts what Nova would.
"""

import subprocess

import pytest

from instances import rescue, ssh
from instances.lifecycle import State
from instances.models import BootCheck, Instance, Job, Machine
from instances.models.clock import now
from instances.models.machine import Reach
from instances.recovery import access, aftermath, jobs
from teams.models import AuditEntry
from tests.democloud.machines import NETWORKS, addresses
from tests.instances.conftest import drive
from tests.rescue_image import qemu
from tests.services import wait_until

pytestmark = pytest.mark.django_db
NAME = "web-1"


class Hypervisor:
    """Where the server runs: in rescue beside the rescue image, else from its own disk."""

    def __init__(self, folder, image, disk):
        self.folder, self.image, self.disk = folder, image, disk
        self.vm = None

    def rescue(self, password):
        drive_ = qemu.config_drive(self.folder, {"name": NAME, "admin_pass": password})
        own = qemu.copy_on_write(self.image, self.folder / "rescue.qcow2")
        self.written_before = qemu.written(self.disk)
        self.start(own, self.disk, config_drive=drive_)

    def unrescue(self):
        """Take the power away, as Nova does: what was not written then is lost."""
        self.vm.stop()
        self.start(self.disk)

    def console_log(self, _server, lines):
        return self.vm.console

    def start(self, *disks, **more):
        folder = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        self.vm = qemu.Vm(folder, *disks, address=addresses()[NAME], **more)


@pytest.fixture
def host(image, old_disk, tmp_path, monkeypatch):
    """Give the hypervisor; the cloud's answer to who asks for the console comes from it."""
    made = Hypervisor(tmp_path, image, qemu.copy_on_write(old_disk, tmp_path / "web-1.qcow2"))
    for module in (access, aftermath):
        monkeypatch.setattr(module, "open_account", lambda _account: made)
    yield made
    if made.vm:
        made.vm.stop()


@pytest.fixture
def key(tmp_path):
    """Give the pair of keys whose public half will be put back."""
    path = tmp_path / "alice"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(make, check=True)
    return path


def let_reach(synced, host):
    synced.machine_port, synced.machine_networks = host.vm.port, NETWORKS[0]
    synced.save()


def gets_in(row):
    """Try the machine as the workers do, once."""
    access.attend(row.pk)
    access.read_console(row.pk)
    Machine.objects.filter(rescue=row).update(next_at=now(), lease_until=None)
    return access.probe(row.pk).reach == Reach.IN


def runs_again(row):
    """Look and knock as the workers do after an exit; tell whether that settled it."""
    BootCheck.objects.update(next_at=now())
    aftermath.knock(row.pk)
    return BootCheck.objects.get(rescue=row).ended_at is not None


def owner_gets_in(host, key):
    """Tell whether the key opens the server's own system."""
    target = host.vm.target
    login = ssh.Login("admin", private_key=key.read_text())
    try:
        with ssh.connect(target, host.vm.greeting(), login, timeout=60) as machine:
            return machine.how == "publickey" and machine.run("hostname").out == b"web-1\n"
    except (ssh.AuthRefused, ssh.KeyOnly):
        return False


def test_a_lost_key_is_put_back(host, key, start, demo, synced, alice):
    host.start(host.disk)
    host.vm.wait_for("web-1 login:")
    assert not owner_gets_in(host, key)
    host.vm.stop()

    row = drive(start(NAME))
    assert row.state == State.READY
    password = row.password()
    asked = {"server": row.instance.server_id, "password": password}
    assert demo._demo("POST", "password-check", json=asked) == {"accepted": True}
    host.rescue(password)
    let_reach(synced, host)
    host.vm.wait_for("Rescue: root logs in with the temporary password.")
    wait_until(lambda: gets_in(row), "the panel let in", 90)
    machine = Machine.objects.get(rescue=row)
    assert machine.vouched_by == "console" and machine.fingerprint in host.vm.console

    def done(kind, **params):
        job = jobs.ask(rescue=row, kind=kind, by=alice, params=params)
        jobs.run(job.pk)
        job = Job.objects.get(pk=job.pk)
        if job.state == Job.State.PLANNED:
            jobs.confirm(job=job, by=alice)
            jobs.run(job.pk)
            job.refresh_from_db()
        assert job.state == Job.State.DONE, (job.problem, job.problem_args)
        return job

    done("look")
    machine.refresh_from_db()
    roles = {disk.volume.path: str(disk.role) for disk in machine.disks.disks}
    assert (roles["/dev/vda"], roles["/dev/vdb"]) == ("rescue", "old")
    assert roles["/dev/loop0"] == "rescue"  # where the rescue system lies
    assert [volume.path for volume in machine.disks.mountable] == ["/dev/vdb1"]
    assert not machine.disks.booted_old
    assert done("mount", device="/dev/vdb1").result["kept"]["users"] == ["admin", "root"]
    assert qemu.written(host.disk) == host.written_before
    done("mount", device="/dev/vdb1", writable=True)
    public = key.with_suffix(".pub").read_text().strip()
    done("ssh_key", user="admin", public_key=public, key_name="alice")
    done("unmount")

    left = drive(rescue.request_exit(instance=Instance.objects.get(name=NAME), by=alice))
    assert left.state == State.CLOSED
    host.unrescue()
    let_reach(synced, host)
    assert aftermath.begin(row.pk)
    wait_until(lambda: runs_again(row), "the server running again", 300)
    check = BootCheck.objects.get()
    assert (check.state, check.shown_by, check.fault) == (BootCheck.State.UP, "port", "")
    assert owner_gets_in(host, key)
    acts = AuditEntry.objects.order_by("pk").values_list("act", flat=True)
    assert {"rescue.start", "machine.mount", "machine.ssh_key", "boot.up"} <= {*acts}
