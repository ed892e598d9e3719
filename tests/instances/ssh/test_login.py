"""Going in, at a real server: who it is, with what, and what is said when it does not work."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instances.ssh import (
    AuthRefused,
    BadKey,
    Gone,
    HostKeyChanged,
    KeyOnly,
    Login,
    PortClosed,
    Target,
    connect,
    greet,
)
from instances.ssh.facts import HostKey
from tests.instances.ssh.hostile import LOOPBACK
from tests.services import free_port
from tests.sshd import PASSWORD, Sshd

Another = Callable[..., Sshd]


def test_greeting_shows_the_host_key(server: Sshd, target: Target) -> None:
    found = greet(target)
    assert found.kind == "ssh-ed25519"
    assert found.fingerprint == server.fingerprint()


@pytest.mark.parametrize("user", ["root", "rescued"])
def test_the_password_lets_in(apart: Sshd, target: Target, host_key: HostKey, user: str) -> None:
    with connect(target, host_key, Login(user, PASSWORD)) as machine:
        assert machine.how == "password"
        assert machine.run("id", "-un").out.decode().strip() == user


def test_a_wrong_password_is_refused(server: Sshd, target: Target, host_key: HostKey) -> None:
    with pytest.raises(AuthRefused), connect(target, host_key, Login(server.user, "guess")):
        pass


def test_a_wrong_key_is_refused(server: Sshd, target: Target, host_key: HostKey) -> None:
    other = server.make_key("other", "ecdsa").read_text()
    login = Login(server.user, private_key=other)
    with pytest.raises(AuthRefused), connect(target, host_key, login):
        pass


def test_after_a_wrong_key_the_password_is_tried(
    apart: Sshd, target: Target, host_key: HostKey
) -> None:
    other = apart.make_key("other", "ecdsa").read_text()
    with connect(target, host_key, Login("root", PASSWORD, other)) as machine:
        assert machine.how == "password"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_each_kind_of_key_lets_in(
    server: Sshd, target: Target, host_key: HostKey, kind: str
) -> None:
    key = server.make_key(f"login_{kind}", kind)
    authorized = server.folder / "authorized_keys"
    authorized.write_text(authorized.read_text() + Path(f"{key}.pub").read_text())
    login = Login(server.user, private_key=key.read_text())
    with connect(target, host_key, login) as machine:
        assert machine.how == "publickey"


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key_is_said(server: Sshd, target: Target, host_key: HostKey, text: str) -> None:
    with (
        pytest.raises(BadKey),
        connect(target, host_key, Login(server.user, private_key=text)),
    ):
        pass


def test_a_server_that_takes_keys_only(another: Another) -> None:
    strict = another("keys", "PasswordAuthentication no", "KbdInteractiveAuthentication no")
    target = Target("127.0.0.1", strict.port, LOOPBACK)
    pinned = greet(target)
    with pytest.raises(KeyOnly), connect(target, pinned, Login(strict.user, "secret")):
        pass


def test_the_pinned_key_is_asked_for_among_several(another: Another) -> None:
    kinds = ("ed25519", "ecdsa", "rsa")
    several = another("several", keys=kinds)
    target = Target("127.0.0.1", several.port, LOOPBACK)
    login = Login(several.user, private_key=several.private_key)
    for kind in kinds:
        public = (several.folder / f"host_{kind}.pub").read_text().split()
        pinned = HostKey(public[0], public[1])
        assert pinned.fingerprint == several.fingerprint(kind)
        with connect(target, pinned, login) as machine:
            assert machine.run("true").status == 0


def test_a_changed_host_key_is_not_gone_past(another: Another) -> None:
    first, second = another("first"), another("second", keys=("ecdsa",))
    pinned = greet(Target("127.0.0.1", first.port, LOOPBACK))
    there = Target("127.0.0.1", second.port, LOOPBACK)
    with (
        pytest.raises(HostKeyChanged) as changed,
        connect(there, pinned, Login(second.user, "secret")),
    ):
        pass
    assert changed.value.found == second.fingerprint("ecdsa")
    # OpenSSH's own account: nobody tried to log in
    assert b"Failed" not in (second.folder / "log").read_bytes()


def test_a_closed_port_is_said() -> None:
    with pytest.raises(PortClosed):
        greet(Target("127.0.0.1", free_port(), LOOPBACK))


def test_a_lost_connection_is_said(another: Another) -> None:
    doomed = another("doomed")
    target = Target("127.0.0.1", doomed.port, LOOPBACK)
    login = Login(doomed.user, private_key=doomed.private_key)
    with connect(target, greet(target), login) as machine:
        asked = time.monotonic()
        with pytest.raises(Gone):
            # The command's parent's parent is this connection's own sshd.
            machine.run("sh", "-c", "kill -9 $(ps -o ppid= -p $PPID) $PPID; sleep 20")
        assert time.monotonic() - asked < 15
        with pytest.raises(Gone):
            machine.run("true")


def test_no_secret_shows(
    server: Sshd, target: Target, host_key: HostKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = Login(server.user, "canary-password", "canary-key")
    assert "canary" not in repr(login)
    with (
        pytest.raises(BadKey) as refused,
        connect(target, host_key, login),
    ):
        pass
    with pytest.raises(AuthRefused) as also, connect(target, host_key, Login("root", "canary-pw")):
        pass
    assert "canary" not in caplog.text + repr(refused.value) + repr(also.value)
    assert not [record for record in caplog.records if record.name.startswith("paramiko")]
