"""From the click to a machine that lets its owner in again, on the demo's machines."""

import pytest

from instances import accounts, metadata_hash, rescue, ssh
from instances.disks import Role
from instances.lifecycle import State
from instances.models import Instance, Job, LeftHash, Machine
from instances.models.clock import now
from instances.models.machine import Reach
from instances.recovery import access, jobs
from tests.democloud.machines import NETWORKS, Machines, addresses, can_listen
from tests.instances.conftest import drive
from tests.services import free_port, running_democloud, wait_until

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8 is its own"),
]


@pytest.fixture(scope="module")
def machine_port():
    return free_port()


@pytest.fixture(scope="module")
def democloud(machine_port):
    """Give a look-alike cloud of these tests' own, whose machines answer."""
    with running_democloud("--instant", "--ssh-port", str(machine_port)) as url:
        yield url


@pytest.fixture
def machines(democloud, machine_port, demo, synced):
    """Give its machines, and let the account reach them."""
    synced.machine_port, synced.machine_networks = machine_port, NETWORKS[0]
    synced.save()
    return Machines(democloud, machine_port)


@pytest.fixture(scope="module")
def key():
    """Give a key pair of a person's own."""
    import io

    import paramiko
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption()
    ).decode()
    public = paramiko.Ed25519Key.from_private_key(io.StringIO(private))
    return private, f"{public.get_name()} {public.get_base64()}"


@pytest.fixture
def entered(machines, start):
    """Give a server in rescue, to which the panel has proven its way in."""

    def go(name="web-1"):
        row = drive(start(name))
        assert row.state == State.READY
        return row, tried(row)

    return go


def tried(row):
    """Try a machine as the workers do, until it rests."""
    access.attend(row.pk)
    access.read_console(row.pk)
    found = Machine.objects.get(rescue=row)
    for _try in range(20):
        Machine.objects.filter(rescue=row).exclude(next_at=None).update(next_at=now())
        access.probe(row.pk)
        found.refresh_from_db()
        if found.next_at is None:
            break
    return found


def done(row, by, kind, **params):
    job = jobs.ask(rescue=row, kind=kind, by=by, params=params)
    jobs.run(job.pk)
    job.refresh_from_db()
    if job.state == Job.State.PLANNED:
        jobs.confirm(job=job, by=by)
        jobs.run(job.pk)
        job.refresh_from_db()
    assert job.state == Job.State.DONE, (job.state, job.problem, job.problem_args)
    return job


def left(row, by):
    ended = drive(rescue.request_exit(instance=Instance.objects.get(pk=row.instance_id), by=by))
    assert ended.state == State.CLOSED


def lets_in(machines, name, user, private):
    """Tell whether a key opens a server's own system."""
    try:
        with machines.entered(name, user, None, private) as machine:
            return machine.run("hostname").out.decode().strip() == name
    except ssh.AuthRefused:
        return False


@pytest.mark.parametrize(
    ("name", "device", "user"),
    [
        ("web-1", "/dev/vdb1", "debian"),
        ("db-primary", "/dev/mapper/vg0-root", "debian"),
        ("staging", "/dev/vdb1", "ubuntu"),
    ],
)
def test_a_lost_key_is_put_back_and_lets_in(machines, entered, alice, key, name, device, user):
    private, public = key
    if name != "staging":  # which was off
        assert not lets_in(machines, name, user, private)
    row, machine = entered(name)
    assert (machine.reach, machine.vouched_by) == (Reach.IN, "console")
    assert machine.fingerprint in machines.console(name)
    assert machine.address == addresses()[name] and machine.address in row.ssh_command
    assert f"-p {machines.port} " in row.ssh_command
    done(row, alice, "look")
    machine.refresh_from_db()
    assert [disk.role for disk in machine.disks.disks] == [Role.RESCUE, Role.OLD]
    assert machine.disks.mountable[0].path == device and not machine.disks.booted_old
    done(row, alice, "mount", device=device, writable=True)
    assert user in jobs.users_seen(row)
    done(row, alice, "ssh_key", user=user, public_key=public, key_name="alice")
    done(row, alice, "unmount")
    left(row, alice)
    assert lets_in(machines, name, user, private)


def test_what_was_put_back_can_be_taken_back(machines, entered, alice, key):
    row, _machine = entered("web-1")
    done(row, alice, "mount", device="/dev/vdb1", writable=True)
    job = done(row, alice, "ssh_key", user="debian", public_key=key[1], key_name="alice")
    jobs.undo(job=job, by=alice)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.UNDONE
    done(row, alice, "unmount")
    left(row, alice)
    assert not lets_in(machines, "web-1", "debian", key[0])


def test_a_writable_mount_is_asked_for(machines, entered, alice, key):
    row, machine = entered("web-1")
    done(row, alice, "mount", device="/dev/vdb1", writable=False)
    job = jobs.ask(rescue=row, kind="ssh_key", by=alice,
                   params={"user": "debian", "public_key": key[1], "key_name": "a"})  # fmt: skip
    jobs.run(job.pk)
    job.refresh_from_db()
    jobs.confirm(job=job, by=alice)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem) == (Job.State.FAILED, "read_only")
    machine.refresh_from_db()
    assert "noload" in machine.disks.mounted_at("/mnt").options


def test_a_damaged_disk_is_not_mounted_to_write(machines, entered, alice):
    row, _machine = entered("db-replica")
    job = jobs.ask(rescue=row, kind="mount", by=alice,
                   params={"device": "/dev/vdb1", "writable": True})  # fmt: skip
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.problem == "mount_failed" and "cleaning" in job.problem_args["said"]


def test_the_broken_disk_may_be_what_was_booted(machines, entered, alice):
    row, machine = entered("web-4")
    assert machine.reach == Reach.IN
    done(row, alice, "look")
    machine.refresh_from_db()
    assert machine.disks.booted_old


def test_a_key_that_changed_gets_no_password(machines, entered):
    row, _machine = entered("web-1")
    machines.act("web-1", "unrescue")
    machines.until("web-1", "active")
    machines.rescue("web-1", password="somebody else's")
    wait_until(lambda: machines.answers("web-1"), "web-1 answering")
    Machine.objects.filter(rescue=row).update(next_at=now())
    assert access.probe(row.pk).reach == Reach.KEY_CHANGED


def test_no_other_account_reaches_loopback(machines, entered, synced):
    synced.machine_networks = ""
    synced.save()
    _row, machine = entered("web-1")
    assert machine.reach == Reach.NOT_ALLOWED


def test_a_machine_without_a_config_drive_lets_in_by_its_hash(machines, start, synced, alice):
    """Both sides of the way by the metadata: the panel leaves a hash, the machine takes it."""
    accounts.permit_metadata(account=synced, by=alice, permitted=True)
    row = drive(start("ci-runner-2"))
    assert (row.state, row.by_metadata) == (State.READY, True)
    assert tried(row).reach == Reach.IN
    instance = Instance.objects.with_panel_data().get(pk=row.instance_id)
    rescue.request_exit(instance=instance, by=alice)
    drive(row)
    metadata_hash.remove(row.instance_id)
    assert LeftHash.objects.get().removed_at
