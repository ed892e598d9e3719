"""A shell that lies: odd ends, floods and silence cost us neither memory nor time."""

import gc
import resource
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paramiko import common

from instances.ssh import Gone, Machine, ProtocolTrouble, TimedOut, TooMuch
from instances.ssh.machine import _Exchange
from tests.instances.ssh.hostile import exit_status, inside, raw_channel_data, string
from tests.services import wait_until

Play = Callable[[Any], None]


def then_close(*acts: Play) -> Play:
    def play(channel: Any) -> None:
        for act in acts:
            act(channel)
        channel.close()

    return play


def writes(data: bytes) -> Play:
    return lambda channel: channel.sendall(data)


def ends(status: int) -> Play:
    return lambda channel: exit_status(channel, status)


def asks(what: bytes, *more: bytes, reply: bool = False) -> Play:
    """Make a request of the channel, as only clients do, or nobody."""

    def act(channel: Any) -> None:
        where = struct.pack(">I", channel.remote_chanid)
        body = where + string(what) + bytes([reply]) + b"".join(more)
        channel.transport.say(common.MSG_CHANNEL_REQUEST, body)

    return act


@pytest.mark.parametrize(
    ("given", "status"),
    [(0, 0), (7, 7), (255, 255), (256, -1), (2**31, -1), (2**32 - 1, -1)],
)
def test_exit_statuses(given: int, status: int) -> None:
    with inside(exec=then_close(writes(b"out"), ends(given))) as machine:
        output = machine.run("true")
        assert (output.status, output.out) == (status, b"out")


@pytest.mark.parametrize(
    ("play", "status"),
    [
        (then_close(writes(b"out")), -1),
        (then_close(writes(b"out"), asks(b"exit-signal", string(b"KILL"), b"\0")), -1),
        (then_close(writes(b"out"), asks(b"exit-status")), 0),  # none in the packet
        (then_close(ends(1), writes(b"out"), ends(2)), 2),  # two of them
        (then_close(asks(b"shell"), asks(b"exec", string(b"id")), writes(b"out"), ends(4)), 4),
        (then_close(asks(b"auth-agent-req@openssh.com"), writes(b"out"), ends(5)), 5),
        (then_close(asks(b"pty-req"), asks(b"\xff\xfe"[:0]), writes(b"out"), ends(6)), 6),
    ],
)
def test_odd_ends(play: Play, status: int) -> None:
    with inside(exec=play) as machine:
        output = machine.run("true")
        assert (output.status, output.out) == (status, b"out")


def test_an_end_without_a_close() -> None:
    """Its output has ended and it has a status: nobody waits for more."""

    def play(channel: Any) -> None:
        channel.sendall(b"out")
        channel.shutdown_write()
        exit_status(channel, 3)
        raw_channel_data(channel, b" and more")

    with inside(exec=play) as machine:
        started = time.monotonic()
        output = machine.run("true", timeout=10)
        assert (output.status, output.out[:3]) == (3, b"out")
        assert time.monotonic() - started < 6


@pytest.mark.parametrize(
    "play",
    [
        lambda _channel: None,  # nothing at all
        lambda channel: exit_status(channel, 0),  # a status, and no end of its output
        lambda channel: channel.shutdown_write(),  # the end of its output, and no status
    ],
)
def test_a_command_that_does_not_end(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [0], _Exchange._read

    def counted(exchange: _Exchange) -> None:
        looks[0] += 1
        look(exchange)

    monkeypatch.setattr(_Exchange, "_read", counted)
    with inside(exec=play) as machine:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            machine.run("true", timeout=0.4)
        assert 0.3 < time.monotonic() - started < 6
        assert looks[0] < 20  # it waits, and does not spin


def test_a_command_that_takes_no_input() -> None:
    with inside(exec=lambda _channel: None) as machine:
        spent = time.thread_time()
        with pytest.raises(TimedOut):
            machine.run("cat", stdin=b"x" * 5_000_000, timeout=0.4)
        assert time.thread_time() - spent < 0.3


@pytest.mark.parametrize("mute", [common.MSG_CHANNEL_OPEN_SUCCESS, common.MSG_CHANNEL_SUCCESS])
def test_a_server_that_hangs_on_a_command(mute: int) -> None:
    with inside(exec=lambda _channel: None, mute=(mute,)) as machine:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            machine.run("true", timeout=0.4)
        assert time.monotonic() - started < 6


def test_a_terminal_that_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with inside(shell=None) as machine, pytest.raises(ProtocolTrouble):
        machine.shell()


def test_commands_that_are_refused() -> None:
    with inside(exec=None) as machine, pytest.raises(ProtocolTrouble):
        machine.run("true")
    with inside(open=False) as machine, pytest.raises(ProtocolTrouble):
        machine.run("true")


def test_a_server_that_hangs_up() -> None:
    with inside(exec=lambda channel: channel.transport.close()) as machine:
        for _time in range(2):
            with pytest.raises(Gone):
                machine.run("true")
        with pytest.raises(Gone):
            machine.read("/mnt/file")
        with pytest.raises(Gone):
            machine.shell()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (common.MSG_CHANNEL_DATA, b"\0\0\xff\xff" + string(b"x")),  # of a channel that is none
        (common.MSG_KEXINIT, b""),
        (common.MSG_USERAUTH_REQUEST, string(b"root") * 3),
        (common.MSG_EXT_INFO, b"\xff" * 4),
        (200, b""),
    ],
)
def test_packets_that_make_no_sense(kind: int, body: bytes) -> None:
    with inside(exec=lambda channel: channel.transport.say(kind, body)) as machine:
        started = time.monotonic()
        with pytest.raises((ProtocolTrouble, Gone, TimedOut)):
            machine.run("true", timeout=0.5)
        assert time.monotonic() - started < 6


def test_channels_that_the_server_opens_are_refused() -> None:
    refused = threading.Event()

    def play(channel: Any) -> None:
        for kind in (b"session", b"x11", b"auth-agent@openssh.com", b"forwarded-tcpip"):
            body = string(kind) + struct.pack(">III", 50, 2**20, 2**15) + bytes(64)
            channel.transport.say(common.MSG_CHANNEL_OPEN, body)
        channel.transport.say(common.MSG_GLOBAL_REQUEST, string(b"tcpip-forward") + b"\1")
        exit_status(channel, 0)
        channel.close()
        refused.set()

    with inside(exec=play) as machine:
        assert machine.run("true").status == 0
        assert refused.wait(5)
        assert machine.run("true").status == 0
        wait_until(lambda: len(machine._carrier._channels) == 0, "the channels being let go")


def test_a_packet_that_is_too_long() -> None:
    def play(channel: Any) -> None:
        channel.transport.say(common.MSG_IGNORE, string(b"x" * 300_000))
        exit_status(channel, 0)
        channel.close()

    with inside(exec=play) as machine, pytest.raises((ProtocolTrouble, Gone)):
        machine.run("true")


# Floods -----------------------------------------------------------------------------------------


def test_a_flood_on_stderr() -> None:
    sent = [0]

    def play(channel: Any) -> None:
        while True:
            channel.sendall_stderr(b"<script>" * 4000)
            sent[0] += 32_000

    with inside(exec=play) as machine:
        started = time.monotonic()
        with pytest.raises(TooMuch):
            machine.run("true", limit=300_000)
        assert time.monotonic() - started < 5
        assert sent[0] < 5_000_000


def test_stderr_without_end_and_a_true_answer() -> None:
    def play(channel: Any) -> None:
        channel.sendall_stderr(b"e" * 900_000)  # more than fits, unless it is read
        channel.sendall(b"out")
        exit_status(channel, 0)
        channel.close()

    with inside(exec=play) as machine:
        output = machine.run("true")
        assert (output.out, len(output.err)) == (b"out", 900_000)


def memory() -> int:
    """Return how many bytes of memory this process has."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("this system does not tell how much memory a process has")
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def test_a_gigabyte_is_cut_off(machine: Machine) -> None:
    before, received = memory(), machine._carrier.wire.received
    started = time.monotonic()
    for where in ("1", "2"):
        with pytest.raises(TooMuch):
            machine.run("sh", "-c", f"head -c 1073741824 /dev/zero >&{where}")
    assert time.monotonic() - started < 8
    assert machine._carrier.wire.received - received < 8_000_000
    assert memory() - before < 32_000_000
    assert machine.run("echo", "still here").out == b"still here\n"


def test_a_gigabyte_that_ignores_the_flow_control() -> None:
    sent = [0]

    def play(channel: Any) -> None:
        while True:
            raw_channel_data(channel, b"x" * 32_000)
            sent[0] += 32_000

    with inside(exec=play) as machine:
        started = time.monotonic()
        with pytest.raises(TooMuch):
            machine.run("true")
        assert time.monotonic() - started < 5
        # What comes after for a channel that is closed is not kept.
        machine._carrier.join(0.2)
        assert sum(len(one.in_buffer) for one in machine._carrier._channels.values()) < 2_000_000


def test_a_flood_of_nothing_is_bounded_in_time() -> None:
    def play(channel: Any) -> None:
        while True:
            channel.transport.say(common.MSG_IGNORE, string(b"x" * 1000))

    with inside(exec=play) as machine:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            machine.run("true", timeout=0.4)
        assert time.monotonic() - started < 6
