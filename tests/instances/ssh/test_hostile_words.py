"""Servers that flood, or speak no SSH that is safe: bounded, and told apart."""

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from paramiko import common

from instances.ssh import (
    Gone,
    NotAllowed,
    ProtocolTrouble,
    Target,
    TooMuch,
    TooOld,
    greet,
)
from tests.instances.ssh.hostile import (
    BANNER,
    Liar,
    answering,
    lying,
    packet,
    says,
    silent,
    string,
)
from tests.sshd import Sshd

Enter = Callable[..., str]


# Floods -----------------------------------------------------------------------------------------


def _floods(first: bytes, piece: bytes, sent: list[int]) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        for _time in range(2**30 // len(piece)):
            connection.sendall(piece)
            sent[0] += len(piece)

    return serve


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"x" * 65536),  # a line without end
        (BANNER, packet(common.MSG_IGNORE, string(b"x" * 30_000))),
        (BANNER, packet(common.MSG_DEBUG, b"\1" + string(b"x" * 30_000) + string(b"en"))),
        (BANNER + struct.pack(">I", 2**18), b"x" * 65536),  # one packet
        (BANNER + struct.pack(">I", 2**32 - 1), b"x" * 65536),
    ],
)
def test_a_flood_before_the_keys(first: bytes, piece: bytes) -> None:
    sent = [0]
    started = time.monotonic()
    with answering(_floods(first, piece, sent)) as target:
        with pytest.raises((TooMuch, ProtocolTrouble)):
            greet(target)
        assert time.monotonic() - started < 5
    assert sent[0] < 16_000_000  # what the network itself holds


@pytest.mark.parametrize("lines", [b"hello\n", b"\n"])
def test_lines_without_end_are_no_ssh(lines: bytes) -> None:
    with answering(_floods(b"", lines * 1000, [0])) as target, pytest.raises(ProtocolTrouble):
        greet(target)


@pytest.mark.parametrize("kind", [53, common.MSG_IGNORE])
def test_a_flood_before_the_log_in(kind: int, enter: Enter) -> None:
    """Banners, which a server may send before it lets one in."""
    sent = [0]

    def flood(liar: Liar) -> None:
        for _time in range(2**30 // 30_000):
            liar.say(kind, string(b"x" * 30_000), string(b"en"))
            sent[0] += 30_000

    started = time.monotonic()
    with lying(instead={common.MSG_USERAUTH_FAILURE: flood}) as (script, target):
        with pytest.raises(TooMuch):
            enter(target)
        assert time.monotonic() - started < 5
        assert script.said == []
    assert sent[0] < 16_000_000


# No SSH, or none that is safe -------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-1.5-old\r\n",
        b"\0\xff\r\n",
        BANNER + packet(99),
        BANNER + packet(common.MSG_NEWKEYS),
        BANNER + packet(common.MSG_KEXINIT, b"short"),
        BANNER + packet(common.MSG_EXT_INFO, b"\xff" * 4),
        BANNER + struct.pack(">I", 3) + b"abc",
    ],
)
def test_what_is_no_ssh(words: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        silent(connection)

    with answering(serve) as target:
        started = time.monotonic()
        with pytest.raises((ProtocolTrouble, Gone)):
            greet(target)
        assert time.monotonic() - started < 6


def test_who_hangs_up_at_once_is_gone() -> None:
    with answering(lambda connection: connection.close()) as target, pytest.raises(Gone):
        greet(target)


def test_extensions_without_end(enter: Enter) -> None:
    def endless(liar: Liar) -> None:
        liar.say(common.MSG_EXT_INFO, b"\xff" * 4)

    started = time.monotonic()
    steps: dict[str, Any] = {"instead": {common.MSG_SERVICE_ACCEPT: endless}}
    with lying(**steps) as (_script, target), pytest.raises(ProtocolTrouble):
        enter(target)
    assert time.monotonic() - started < 6


KEX, HOSTKEYS, CIPHERS, MACS = (
    b"curve25519-sha256@libssh.org",
    b"ssh-ed25519,ecdsa-sha2-nistp256",
    b"aes256-ctr",
    b"hmac-sha2-256",
)


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (0, b"diffie-hellman-group1-sha1"),
        (0, b"diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1"),
        (0, b"none"),
        (1, b"ssh-dss"),
        (1, b"ssh-rsa"),
        (1, b"ssh-ed25519-cert-v01@openssh.com"),
        (2, b"3des-cbc,aes256-cbc"),
        (2, b"none"),
        (2, b"arcfour"),
        (3, b"hmac-sha1,hmac-md5,hmac-sha1-96"),
        (3, b"none"),
    ],
)
def test_what_is_no_longer_safe_is_refused(place: int, names: bytes) -> None:
    offered = [KEX, HOSTKEYS, CIPHERS, MACS]
    offered[place] = names
    kex, host_keys, cipher, mac = map(string, offered)
    lists = kex + host_keys + cipher * 2 + mac * 2 + string(b"none") * 2 + string(b"") * 2
    words = BANNER + packet(common.MSG_KEXINIT, b"c" * 16, lists, b"\0" * 5)
    with answering(says(words)) as target, pytest.raises(TooOld):
        greet(target)


@pytest.mark.parametrize(
    "option",
    ["KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes256-cbc", "MACs hmac-sha1"],
)
def test_a_real_server_of_old(another: Callable[..., Sshd], option: str) -> None:
    old = another("old", option)
    with pytest.raises(TooOld):
        greet(Target("127.0.0.1", old.port, ("127.0.0.0/8",)))


def test_a_target_is_looked_at_before_anything(enter: Enter) -> None:
    with lying() as (script, target):
        for forbidden in (Target(target.address, target.port), Target("localhost", target.port)):
            with pytest.raises(NotAllowed):
                enter(forbidden)
    assert script.heard == []
