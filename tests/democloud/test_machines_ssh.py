"""The demo's machines over SSH: who is let in, by which key they are known, and what they do."""

import contextlib
import socket
import threading
import time

import paramiko
import pytest

from democloud.machines import keys
from democloud.machines.doors import MOST_TO_ONE
from democloud.seed_images import image_id
from instances import ssh
from tests.democloud.machines import (
    PASSWORD,
    Machines,
    addresses,
    can_listen,
)
from tests.services import wait_until

pytestmark = [
    pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8 is its own"),
]


@pytest.fixture(scope="module")
def rescued(answering):
    """Give web-1 in rescue mode, for the tests that only look or leave no trace."""
    answering.ask("POST", "reset")
    answering.rescue("web-1")
    with answering.entered("web-1") as machine:
        yield machine


# Tests on one machine, in their order: nothing resets the cloud meanwhile ----------------------


def test_commands_end_as_they_would(rescued):
    assert rescued.how == "password"
    done = rescued.run("sh-none")
    assert (done.status, done.out) == (127, b"") and b"not found" in done.err
    assert rescued.run("cat", stdin=b"there and back").out == b"there and back"
    assert rescued.run("cat", "/etc/hostname").out == b"rescue\n"
    assert rescued.run("echo", "a  b; reboot", "$HOME").out == b"a  b; reboot $HOME\n"
    assert rescued.run("mount", "/dev/vdz", "/mnt").status == 32


def test_a_command_that_waits_can_be_left(rescued):
    with pytest.raises(ssh.TimedOut):
        rescued.run("sleep", "30", timeout=0.3)
    assert rescued.run("hostname").out == b"rescue\n"


def test_files_are_read_and_put_in_place(rescued):
    assert rescued.run("mount", "/dev/vdb1", "/mnt").status == 0
    home = "/mnt/home/debian"
    listed = {entry.name: entry for entry in rescued.listdir(home)}
    assert listed[".ssh"].kind == "dir" and listed[".ssh"].uid == 1000
    assert rescued.read(f"{home}/.ssh/authorized_keys").data == b""
    rescued.write(f"{home}/.ssh/authorized_keys", b"a key\n" * 20_000)
    found = rescued.read(f"{home}/.ssh/authorized_keys")
    assert (len(found.data), found.mode, found.uid, found.gid) == (120_000, 0o600, 1000, 1000)
    _kept, copy = rescued.keep_beside(f"{home}/.ssh/authorized_keys", "now")
    assert rescued.lstat(copy).size == 120_000
    rescued.make_dir(f"{home}/new", 0o750, 1000, 1000)
    rescued.set_owner(f"{home}/new", 0o700, 0, 0)
    entry = rescued.lstat(f"{home}/new")
    assert (entry.mode & 0o7777, entry.uid, entry.gid) == (0o700, 0, 0)
    rescued.remove(f"{home}/new")
    rescued.remove(copy)
    with pytest.raises(ssh.NoSuchFile):
        rescued.lstat(copy)
    assert rescued.resolve("/mnt/etc/os-release") == "/mnt/usr/lib/os-release"
    assert rescued.run("umount", "/mnt").status == 0


def test_links_of_the_old_disk_stay_on_it(rescued):
    assert rescued.run("mount", "/dev/vdb1", "/mnt").status == 0
    rescued.run("ln", "-s", "/etc", "/mnt/out")
    with pytest.raises(ssh.LeavesRoot):
        rescued.read("/mnt/out/hostname")
    rescued.run("rm", "/mnt/out")
    assert rescued.run("umount", "/mnt").status == 0


def test_read_only_and_full_are_told_apart(rescued):
    assert rescued.run("mount", "-o", "ro,noload", "/dev/vdb1", "/mnt").status == 0
    with pytest.raises(ssh.ReadOnly):
        rescued.write("/mnt/etc/x", b"x")
    assert rescued.run("umount", "/mnt").status == 0


def test_a_terminal_edits_its_line(rescued):
    shell = rescued.shell(cols=100, rows=30)
    shown = b""

    def until(words):
        nonlocal shown
        end = time.monotonic() + 10
        while words not in shown:
            assert time.monotonic() < end, shown
            shown += shell.recv(0.5) or b""

    until(b"root@rescue:~# ")
    shell.send("ecko é\x7f\x7f\x7f\x7fho one\r".encode())
    until(b"\r\none\r\n")
    shell.send(b"sleep 60\r")
    time.sleep(0.2)
    shown = b""
    shell.send(b"\x03")
    until(b"root@rescue:~# ")
    shell.send(b"\x1b[A\x1b[A\r")
    until(b"\r\none\r\n")
    shell.send(b"passwd\rnew\rnew\r")
    until(b"updated successfully")
    assert b"new\r" not in shown
    shell.send(b"cat > /tmp/f\rline\r\x04cat /tmp/f\r")
    until(b"cat /tmp/f\r\nline\r\n")
    shell.send(b"stty size\r")
    until(b"\r\n30 100\r\n")
    shell.resize(120, 40)
    shell.send(b"stty size; stty -a; tty\r")
    until(b"\r\n40 120\r\n")
    until(b"rows 40; columns 120;")
    until(b"/dev/pts/0")
    assert rescued.run("stty", "size").status == 1  # nothing but a shell has a terminal
    shell.send(b"\x04")
    end = time.monotonic() + 5
    while shell.recv(0.2) != b"":
        assert time.monotonic() < end
    shell.close()


def test_another_channel_keeps_the_disk_busy(rescued):
    rescued.run("mount", "/dev/vdb1", "/mnt")
    shell = rescued.shell()
    shell.send(b"cd /mnt/etc; echo in\r")
    end = time.monotonic() + 5
    while b"in\r\n" not in (shell.recv(0.2) or b""):
        assert time.monotonic() < end
    assert b"busy" in rescued.run("umount", "/mnt").err
    shell.close()
    wait_until(lambda: rescued.run("umount", "/mnt").status == 0, "the shell letting go")


# Who is let in ----------------------------------------------------------------------------------


def refused(machines, name, user="root", password=PASSWORD, key=None):
    with (
        pytest.raises((ssh.AuthRefused, ssh.KeyOnly)) as caught,
        machines.entered(name, user, password, key),
    ):
        pass
    return caught.value.code


def test_the_password_is_of_one_rescue(machines):
    machines.rescue("web-3", password="the first")
    first = ssh.greet(machines.target("web-3"))
    assert refused(machines, "web-3", password="another") == "auth_refused"
    assert refused(machines, "web-3", user="debian", password="the first") == "auth_refused"
    with machines.entered("web-3", password="the first"):
        pass
    machines.unrescue("web-3")
    assert refused(machines, "web-3", password="the first") in ("auth_refused", "key_only")
    own = ssh.greet(machines.target("web-3"))
    machines.rescue("web-3", password="the second")
    assert refused(machines, "web-3", password="the first") == "auth_refused"
    second = ssh.greet(machines.target("web-3"))
    assert len({first, second, own}) == 3
    machines.unrescue("web-3")
    wait_until(lambda: machines.answers("web-3"), "web-3 answering")
    assert ssh.greet(machines.target("web-3")) == own


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("ci-runner-1", "Debian Rescue (temporary password)"),  # it has no config drive
        ("cache-2", "Distribution Rescue Made-in-Demo"),  # Nova attaches the old config drive
        ("cache-2", "Debian 12"),  # nothing in it reads admin_pass
    ],
)
def test_a_password_that_reaches_nobody_is_refused(machines, name, image):
    machines.rescue(name, image)
    assert refused(machines, name) in ("auth_refused", "key_only")


def test_an_image_of_keys_lets_the_key_pair_in(machines):
    machines.rescue("web-3", "Debian Rescue (SSH key)")
    with machines.entered("web-3", "debian", None, keys.pair_text("alice-laptop")) as machine:
        assert machine.how == "publickey"
        assert machine.run("sudo", "whoami").out == b"root\n"
    assert refused(machines, "web-3", "debian", None, keys.pair_text("dba")) == "auth_refused"


def test_with_clashing_labels_one_lands_on_the_broken_disk(machines):
    machines.rescue("web-4")
    with machines.entered("web-4") as machine:
        assert machine.run("findmnt", "-no", "SOURCE", "/").out == b"/dev/vdb1\n"
        assert machine.run("hostname").out == b"web-4\n"


def test_an_image_may_print_its_password(machines):
    machines.rescue("cache-2", "SystemRescue 12 (console)")
    said = next(line for line in machines.console("cache-2").splitlines() if "password of" in line)
    with machines.entered("cache-2", password=said.rsplit(" ", 1)[1]) as machine:
        assert b"/dev/vda1" in machine.run("blkid").out


def test_sshd_looks_at_rights_as_the_real_one(machines):
    key = keys.pair_text("alice-laptop")
    assert refused(machines, "web-3", "debian", None, key)  # others may write to the home
    machines.rescue("web-3")
    with machines.entered("web-3") as machine:
        machine.run("mount", "/dev/vdb1", "/mnt")
        machine.run("chmod", "go-w", "/mnt/home/debian")
        machine.run("umount", "/mnt")
    machines.unrescue("web-3")
    with machines.entered("web-3", "debian", None, key) as machine:
        assert machine.run("hostname").out == b"web-3\n"


def test_a_password_needs_an_sshd_that_takes_it(machines):
    def mended(*lines):
        machines.rescue("web-3")
        with machines.entered("web-3") as machine:
            machine.run("mount", "/dev/vdb1", "/mnt")
            for line in lines:
                assert machine.run(*line[0], stdin=line[1]).status == 0
            machine.run("umount", "/mnt")
        machines.unrescue("web-3")

    mended((("chroot", "/mnt", "chpasswd"), b"debian:my own\n"))
    assert refused(machines, "web-3", "debian", "my own") == "key_only"
    config = "/mnt/etc/ssh/sshd_config"
    mended((("sed", "-i", "s/^\\(PasswordAuthentication\\) no/\\1 yes/", config), b""))
    with machines.entered("web-3", "debian", "my own") as machine:
        assert machine.how == "password"


# Doors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "image"),
    [("web-3", "Debian Rescue (temporary password)"), ("web-3", "Ubuntu 24.04"), ("web-3", None)],
)
def test_the_console_vouches_for_the_host_key(machines, name, image):
    if image:
        machines.rescue(name, image)
    wait_until(lambda: machines.answers(name), "the machine answering")
    found = ssh.greet(machines.target(name)).fingerprint
    assert ssh.fingerprints_in(machines.console(name)) == [found]


def test_what_does_not_boot_does_not_answer_and_says_why(machines):
    for name, why in [("web-2", "Timed out waiting"), ("db-replica", "fsck")]:
        assert not machines.answers(name)
        assert why in machines.console(name) and "login:" not in machines.console(name)
    assert not machines.answers("staging") and not machines.answers("windows-ad")
    machines.act("staging", "start")
    wait_until(lambda: machines.answers("staging"), "staging answering")
    machines.act("staging", "stop")
    wait_until(lambda: not machines.answers("staging"), "staging going down")


def test_a_rebuild_makes_the_disk_anew(machines):
    assert not machines.answers("db-replica")
    machines.act("db-replica", "rebuild", imageRef=image_id("gra", "Debian 12"))
    wait_until(lambda: machines.answers("db-replica"), "db-replica answering")
    with machines.entered("db-replica", "debian", None, keys.pair_text("dba")) as machine:
        assert b"/dev/vda1" in machine.run("findmnt", "/").out


def test_a_machine_that_goes_down_ends_what_is_on_it(machines):
    machines.rescue("web-3")
    with machines.entered("web-3") as machine:
        waiting = threading.Thread(target=machines.unrescue, args=("web-3",))
        waiting.start()
        with pytest.raises(ssh.Gone):
            machine.run("sleep", "20")
        waiting.join()
    assert "rescue" not in machines.console("web-3").splitlines()[-1]


def test_sshd_comes_a_little_after_the_rescue(machines):
    machines.ask("PUT", "knobs", {"boot_seconds": 0.6})
    machines.rescue("web-3")
    since = time.monotonic()
    with pytest.raises(ssh.PortClosed):
        ssh.greet(machines.target("web-3"))
    wait_until(lambda: machines.answers("web-3"), "web-3 answering")
    assert 0.3 < time.monotonic() - since < 3


def test_connections_have_a_limit_and_the_api_goes_on(machines: Machines):
    where = (addresses()["cache-2"], machines.port)
    held = [socket.create_connection(where, timeout=5) for _one in range(MOST_TO_ONE)]
    try:
        wait_until(lambda: all(one.recv(3, socket.MSG_PEEK) == b"SSH" for one in held), "banners")
        late = socket.create_connection(where, timeout=5)
        assert late.recv(64) == b""
        late.close()
        began = time.monotonic()
        for _call in range(20):
            machines.ask("GET", "servers")
        assert (time.monotonic() - began) / 20 < 0.25
    finally:
        for one in held:
            one.close()

    def admitted() -> bool:
        with contextlib.suppress(ssh.SshError):
            return bool(ssh.greet(machines.target("cache-2")))
        return False

    wait_until(admitted, "room for one more")


def test_a_hostile_client_breaks_nothing(machines):
    where = (addresses()["cache-2"], machines.port)
    for said in (b"", b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\n" + bytes(70_000), b"\xff" * 500):
        with contextlib.suppress(OSError), socket.create_connection(where, timeout=5) as sock:
            sock.sendall(said)
    transport = paramiko.Transport(socket.create_connection(where))
    transport.start_client(timeout=5)
    for kind in ("direct-tcpip", "x11"):
        with pytest.raises(paramiko.SSHException):
            transport.open_channel(kind, where, where, timeout=5)
    transport.close()
    assert ssh.greet(machines.target("cache-2"))
