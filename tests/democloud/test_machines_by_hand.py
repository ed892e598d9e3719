"""The demo's machines by the programs a person has: OpenSSH's ssh and sftp."""

import os
import shutil
import subprocess

import pytest

from democloud.machines import keys
from tests.democloud.machines import PASSWORD, addresses, can_listen
from tests.services import wait_until

pytestmark = [
    pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8 is its own"),
    pytest.mark.skipif(not shutil.which("ssh"), reason="needs OpenSSH's client"),
]


@pytest.fixture
def client(tmp_path):
    """Give ssh and sftp with a password to answer, or a key."""
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
    ask.chmod(0o755)
    options = [
        *("-o", "StrictHostKeyChecking=accept-new"),
        *("-o", "IdentitiesOnly=yes"),
        *("-F", "none"),
    ]
    words = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}

    def run(machines, user, name, *command, program="ssh", key=None, stdin=""):
        known = f"UserKnownHostsFile={tmp_path / user}"  # one each, as the panel's line has
        given = [*options, "-o", known]
        if key:
            path = tmp_path / "key"
            path.write_text(key)
            path.chmod(0o600)
            given += ["-i", str(path), "-o", "BatchMode=yes"]
        port = "-P" if program == "sftp" else "-p"
        line = [program, *given, port, str(machines.port), f"{user}@{addresses()[name]}", *command]
        return subprocess.run(
            line, input=stdin, capture_output=True, text=True, env=words, timeout=30
        )

    return run


def test_the_guide_by_hand(machines, client):
    """What the guide tells a person to type, by the programs a person has."""
    lost = client(machines, "debian", "web-1", "true", key=keys.pair_text("alice-laptop"))
    assert lost.returncode == 255 and "Permission denied" in lost.stderr
    machines.rescue("web-1")
    line = keys.pair_line("alice-laptop")
    typed = "\n".join([
        "lsblk -o NAME,SIZE,FSTYPE,LABEL,MOUNTPOINT",
        "mount /dev/vdb1 /mnt",
        f"echo '{line}' >> /mnt/home/debian/.ssh/authorized_keys",
        "cd / && sync && umount /mnt",
        "exit 3",
    ])  # fmt: skip
    wait_until(lambda: machines.answers("web-1"), "web-1 answering")
    done = client(machines, "root", "web-1", "-tt", stdin=f"{typed}\n")
    assert done.returncode == 3, done
    assert "cloudimg-rootfs" in done.stdout and "root@rescue:/# " in done.stdout
    machines.unrescue("web-1")
    wait_until(lambda: machines.answers("web-1"), "web-1 answering")
    done = client(machines, "debian", "web-1", "hostname", key=keys.pair_text("alice-laptop"))
    assert (done.returncode, done.stdout) == (0, "web-1\n"), done


def test_sftp_by_hand(machines, client, tmp_path):
    machines.rescue("cache-2")
    wait_until(lambda: machines.answers("cache-2"), "cache-2 answering")
    (tmp_path / "up").write_bytes(os.urandom(300_000))
    batch = [
        f"put {tmp_path}/up /root/up", "rename /root/up /root/moved", "mkdir /root/folder",
        "chmod 600 /root/moved", "symlink /root/moved /root/link", "ls -la /root",
        f"get /root/link {tmp_path}/down", "rm /root/moved", "rmdir /root/folder",
        "-get /root/moved",
    ]  # fmt: skip
    done = client(machines, "root", "cache-2", program="sftp", stdin="\n".join(batch) + "\n")
    assert done.returncode == 0, done
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    assert "-rw-------" in done.stdout and "not found" in done.stderr
