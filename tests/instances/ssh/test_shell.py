"""A shell on a terminal: what is typed, what is shown, how large it is, and its end."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from paramiko import common

from instances.ssh import (
    Gone,
    HostKey,
    Login,
    Machine,
    Shell,
    SshError,
    Target,
    TimedOut,
    TooMuch,
    connect,
    shell,
)
from tests.instances.ssh.hostile import (
    LOGIN,
    LOOPBACK,
    exit_status,
    inside,
    lying,
    pinned,
    raw_channel_data,
)
from tests.services import wait_until
from tests.sshd import Sshd


def until(opened: Shell, wanted: bytes, seconds: float = 10.0) -> bytes:
    """Read until something is shown."""
    shown, end = b"", time.monotonic() + seconds
    while wanted not in shown:
        assert time.monotonic() < end, shown
        piece = opened.recv(0.5)
        assert piece != b"", shown
        shown += piece or b""
    return shown


@pytest.fixture(scope="module")
def terminals(server: Sshd, host_key: HostKey, login: Login) -> None:
    """Skip where a server that is not root's may give no terminals: it would end instead."""
    if os.geteuid() == 0:
        return
    try:
        with connect(Target("127.0.0.1", server.port, LOOPBACK), host_key, login) as machine:
            machine.shell().close()
            machine.run("true")
    except SshError:
        pytest.skip("an SSH server that is not root's may give no terminals here")


@pytest.fixture
def opened(terminals: None, machine: Machine) -> Iterator[Shell]:
    found = machine.shell(100, 30)
    found.send(b"PS1='> '; unset HISTFILE; set +o vi; echo rea''dy\r")
    until(found, b"ready")
    yield found
    found.close()


def test_what_is_typed_is_done(opened: Shell) -> None:
    opened.send(b"echo $((6 * 7))a; tty; echo $TERM\r")
    shown = until(opened, b"xterm-256color\r\n")
    assert b"42a" in shown
    assert b"/dev/pts/" in shown


def test_its_size_is_the_terminals(opened: Shell) -> None:
    opened.send(b"stty size\r")
    until(opened, b"30 100\r\n")
    opened.resize(132, 43)
    opened.send(b"stty size\r")
    until(opened, b"43 132\r\n")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((0, 0), (1, 1)),
        ((-5, 10**9), (1, 1000)),
        ((80, 24), (80, 24)),
        ((1001, 1000), (1000, 1000)),
    ],
)
def test_a_size_is_one_that_a_terminal_can_have(
    asked: tuple[int, int], given: tuple[int, int]
) -> None:
    assert Shell.bounded(*asked) == given


def test_stderr_is_shown(opened: Shell) -> None:
    opened.send(b"echo o''ops >&2\r")
    until(opened, b"oops")


def test_silence_is_nothing(opened: Shell) -> None:
    while opened.recv(0.2):
        pass
    started = time.monotonic()
    assert opened.recv(0.1) is None
    assert 0.05 < time.monotonic() - started < 6
    assert opened.recv(0) is None


def test_control_signs_arrive(opened: Shell) -> None:
    opened.send(b"stty raw -echo; echo g''o; head -c 4 | od -An -tx1; stty sane\r")
    until(opened, b"go\n")
    opened.send(b"\x03\x1a\x04\x1b")
    until(opened, b"03 1a 04 1b")


def test_a_large_paste_arrives(opened: Shell) -> None:
    text = b"".join(b"%04d xxxxxxxxxxxxxxxxxxxxxxxx\n" % number for number in range(3000))
    opened.send(b"stty -echo; cat >/dev/null; echo do''ne\r")
    opened.recv(0.2)
    opened.send(text + b"\x04")
    until(opened, b"done")


def test_it_reads_while_it_writes(opened: Shell) -> None:
    opened.send(b"stty -echo; cat\r")
    opened.recv(0.2)
    line = os.urandom(30).hex().encode()
    writer = threading.Thread(
        target=lambda: [opened.send(line + b"%03d\n" % number) for number in range(300)]
    )
    writer.start()
    until(opened, line + b"299")
    writer.join()
    opened.send(b"\x03")


def test_its_end_is_seen(terminals: None, machine: Machine) -> None:
    found = machine.shell()
    found.send(b"exit 3\r")
    end = time.monotonic() + 10
    while found.recv(0.5) != b"":
        assert time.monotonic() < end
    assert found.recv() == b""
    with pytest.raises(Gone):
        while time.monotonic() < end:  # its output ends a moment before itself
            found.send(b"x")
    with pytest.raises(SshError):
        found.resize(80, 24)
    found.close()
    found.close()


def test_what_is_closed_is_closed(terminals: None, machine: Machine) -> None:
    found = machine.shell()
    found.close()
    with pytest.raises(Gone):
        found.send(b"x")
    while found.recv(0):
        pass
    assert machine.run("echo", "still here").out == b"still here\n"


def test_several_beside_a_command(terminals: None, machine: Machine) -> None:
    shells = [machine.shell() for _number in range(3)]
    for number, one in enumerate(shells):
        one.send(b"echo n''umber%d\r" % number)
    assert machine.run("echo", "hello").out == b"hello\n"
    for number, one in enumerate(shells):
        until(one, b"number%d" % number)
        one.close()


# At a server that lies --------------------------------------------------------------------------


def test_a_flood_that_ignores_the_flow_control() -> None:
    """What nobody reads is kept up to a bound, and then the server is hung up on."""
    for stderr in (False, True):
        sent = [0]

        def flood(channel: Any, stderr: bool = stderr, sent: list[int] = sent) -> None:
            piece = b"x" * 32000
            for _piece in range(2**30 // len(piece)):
                raw_channel_data(channel, piece, stderr=stderr)
                sent[0] += len(piece)

        with inside(shell=flood) as machine:
            found = machine.shell()
            machine._carrier.join(10)
            assert not machine._carrier.is_alive()
            assert sent[0] < 8_000_000
            shown = b""
            while piece := found.recv():
                shown += piece
            assert 500_000 < len(shown) < 1_200_000
            with pytest.raises(TooMuch):
                machine.run("true")


def test_stderr_does_not_stop_a_shell() -> None:
    def play(channel: Any) -> None:
        for _piece in range(100):
            channel.sendall_stderr(b"e" * 20_000)  # more than fits, unless it is read
        channel.sendall(b"the end")
        channel.close()

    with inside(shell=play) as machine:
        found, shown = machine.shell(), b""
        while piece := found.recv(5):
            shown += piece
        assert shown == b"e" * 2_000_000 + b"the end"


def test_a_server_that_takes_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_PATIENCE", 0.3)
    awake = threading.Event()
    with inside(shell=lambda _channel: awake.wait(10)) as machine:
        found = machine.shell()
        started = time.monotonic()
        with pytest.raises(TimedOut):
            found.send(b"x" * 4_000_000)
        assert time.monotonic() - started < 6
        found.close()
    awake.set()


def test_a_server_that_reads_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's own buffers fill, whatever the server gave leave to send."""
    monkeypatch.setattr(shell, "_PATIENCE", 0.3)
    monkeypatch.setattr(shell, "_MARGIN", 0.2)
    with (
        lying(shell=lambda channel: channel.transport.say(93, b"\0\0\0\0" + b"\x7f" * 4)) as (
            script,
            target,
        ),
        connect(target, pinned(), LOGIN) as machine,
    ):
        found = machine.shell()
        script.awake.clear()
        started = time.monotonic()
        with pytest.raises(TimedOut):
            found.send(b"x" * 64_000_000)
        assert time.monotonic() - started < 5
        # Half of a packet has been sent: nothing more may follow it.
        with pytest.raises(TimedOut):
            machine.run("true")
        assert time.monotonic() - started < 6
        script.awake.set()


def test_our_side_is_closed_after_the_last_that_is_sent() -> None:
    """Not when the server closes its own: OpenSSH ends the connection of who writes afterwards."""

    def ends(channel: Any) -> None:
        exit_status(channel, 0)
        channel.close()

    def closes_of(one: Shell) -> int:
        number = one._channel.remote_chanid.to_bytes(4, "big")
        wanted = bytes([common.MSG_CHANNEL_CLOSE]) + number
        return sum(wanted in (payload, bytes([kind]) + payload) for kind, payload in script.heard)

    with (
        lying(shell=lambda channel: channel.close(), exec=ends) as (script, target),
        connect(target, pinned(), LOGIN) as machine,
    ):
        found = machine.shell()
        while found.recv(1) != b"":
            pass
        assert machine.run("true").status == 0  # what was sent before has arrived before
        assert closes_of(found) == 0
        found.close()
        found.close()
        assert machine.run("true").status == 0
        assert closes_of(found) == 1


def test_sizes_as_they_arrive() -> None:
    awake = threading.Event()
    with (
        lying(shell=lambda _channel: awake.wait(10)) as (script, target),
        connect(target, pinned(), LOGIN) as machine,
    ):
        found = machine.shell(0, 10**6)
        found.resize(10**6, -1)
        # Paramiko does not wait for the answer, so the close may overtake it.
        wait_until(lambda: len(script.sizes) == 2, "the second size", 5)
        found.close()
    awake.set()
    assert script.sizes == [(1, 1000), (1000, 1)]


def test_deadlines_side_by_side(machine: Machine) -> None:
    """Neither thread leaves the other's deadline behind on the connection they share."""
    wire, inner = machine._carrier.wire, threading.Event()
    begun = threading.Event()

    def other() -> None:
        with wire.within(0.2):
            begun.set()
            inner.wait(5)

    thread = threading.Thread(target=other)
    with wire.within(0.3):
        thread.start()
        begun.wait(5)
        assert wire.left <= 0.2
    assert wire.left <= 0.2  # the other one's still stands
    inner.set()
    thread.join()
    assert wire.left == float("inf")
