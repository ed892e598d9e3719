"""Where the password comes from when the config drive has none, or one that is no longer right."""

import subprocess
from types import SimpleNamespace

import pytest

from instances import metadata_hash, ssh
from instances.lifecycle import State
from instances.models import LeftHash, Rescue
from instances.models.machine import Reach
from instances.passwords import make_password
from tests.rescue_image.conftest import STALE
from tests.services import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def left(rescue):
    """Give what the panel itself leaves in the server's metadata, before it asks for the rescue."""
    kept = {}
    Rescue.objects.update(
        state=State.REQUESTED, by_metadata=True, sealed_password=rescue.sealed(make_password())
    )
    rescue.refresh_from_db()
    cloud = SimpleNamespace(put_metadata=lambda _server, key, value: kept.update({key: value}))
    assert metadata_hash.step(rescue, cloud) == (metadata_hash.ON, "")
    assert LeftHash.objects.get().left_at and len(kept) == 1
    Rescue.objects.update(state=State.READY)
    rescue.refresh_from_db()
    return kept


def test_the_hash_that_the_panel_leaves_comes_before_an_old_config_drive(
    left, starts, leads_to, tried, rescue
):
    """So it is with hw_rescue_*: the drive attached is the one of the server's creation.

    By UEFI, with the drive behind AHCI, for once.
    """
    vm = starts(drive={"admin_pass": STALE}, metadata={"meta": left}, uefi=True)
    vm.wait_for("Rescue: root logs in with the password whose hash is in the server")
    leads_to(vm)
    wait_until(lambda: tried().reach == Reach.IN, "the new password let in", 60)
    assert rescue.password() not in (*left.values(), vm.console) and STALE not in vm.console
    Rescue.objects.update(sealed_password=rescue.sealed(STALE))
    assert tried().reach == Reach.REFUSED


def test_without_a_password_only_the_servers_key_lets_in(starts, leads_to, tmp_path):
    key = tmp_path / "server"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "web", "-f", str(key)]
    subprocess.run(make, check=True)
    hostile = tmp_path / "hostile.img"
    public = key.with_suffix(".pub").read_text().strip()
    vm = starts(hostile_disk(hostile), metadata={"meta": {}, "public_keys": {"web": public}})
    vm.wait_for("Rescue: root logs in with the SSH key of this server; no temporary password")
    found = vm.greeting()
    assert found.fingerprint in ssh.fingerprints_in(vm.console)
    with (
        pytest.raises(ssh.KeyOnly),
        ssh.connect(vm.target, found, ssh.Login("root", password=STALE), timeout=60),
    ):
        pass
    login = ssh.Login("root", private_key=key.read_text())
    with ssh.connect(vm.target, found, login, timeout=60) as machine:
        assert machine.run("id", "-u").out == b"0\n"
        assert b"config-2" in machine.run("lsblk", "-no", "LABEL", "/dev/vdb").out


def hostile_disk(image):
    """Make an old disk whose system was broken into, and which calls itself a config drive."""
    folder = image.parent / "forged" / "openstack" / "latest"
    folder.mkdir(parents=True)
    (folder / "meta_data.json").write_text(f'{{"admin_pass": "{STALE}"}}')
    make = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "config-2", "-J", "-r", "-o", str(image)]
    subprocess.run([*make, str(image.parent / "forged")], check=True, capture_output=True)
    with image.open("r+b") as disk:
        disk.truncate(200 * 1024 * 1024)
    return image
