"""Where the panel connects to for a machine: the internet, and what its operator allows."""

import ctypes
import fcntl
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from instances.ssh import NotAllowed, Target, greet, permitted
from instances.ssh.target import is_own
from tests.services import free_port

ANYBODYS = "8.8.8.8"
_CLONE_NEWNET = 0x40000000
_SIOCSIFADDR, _SIOCSIFFLAGS, _IFF_UP = 0x8916, 0x8914, 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.5",
        "172.16.3.4",
        "192.168.0.7",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:0",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fd00::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_inner_addresses_are_refused(address: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        permitted(Target(address))
    assert refused.value.reason == str(refused.value) == "private"


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "example.org",
        "127.0.0.1.nip.io",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "8.8.8.8 ",
        "8.8.8.8\n",
        "8.8.8.8/32",
        "8.8.8.8:22",
        "[::1]",
        "fe80::1%lo",
        "2a00::1%1",
        "",
        "-oProxyCommand=id",
        "root@8.8.8.8",
        None,
        134744072,
        b"\x08\x08\x08\x08",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    # Whatever the operator allows: a name could lead elsewhere the next time it is asked for.
    with pytest.raises(NotAllowed) as refused:
        permitted(Target(address, 22, ("0.0.0.0/0", "::/0")))
    assert refused.value.reason == "not_an_address"


def test_no_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_args: object, **_more: object) -> None:
        raise AssertionError("a name was looked up")

    for function in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, function, asked)
    with pytest.raises(NotAllowed):
        greet(Target("localhost", free_port(), ("127.0.0.0/8",)))


@pytest.mark.parametrize("port", [0, -1, 65536, 10**9])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(NotAllowed) as refused:
        permitted(Target(ANYBODYS, port))
    assert refused.value.reason == "port"


def test_the_internet_is_open() -> None:
    assert permitted(Target(ANYBODYS)) == ipaddress.ip_address(ANYBODYS)
    assert permitted(Target("2a00:1450:4007:80e::200e", 65535)).version == 6


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("127.0.0.1", ("127.0.0.0/8",)),
        ("::ffff:127.0.0.1", ("127.0.0.0/8",)),
        ("::1", ("10.0.0.0/8", "::1/128")),
        ("10.1.2.3", ("10.1.2.3/8",)),  # written with an address of it
        ("fd00::1", ("fd00::/8",)),
    ],
)
def test_the_operator_may_allow_more(address: str, networks: tuple[str, ...]) -> None:
    assert permitted(Target(address, 22, networks)) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("10.1.2.3", ("10.2.0.0/16",)),
        ("127.0.0.1", ("::1/128",)),
        ("::ffff:127.0.0.1", ("10.0.0.0/8",)),
        ("0.0.0.0", ("0.0.0.0/0",)),  # is this machine, whatever was meant
        ("224.0.0.1", ("0.0.0.0/0",)),
        ("::ffff:0.0.0.0", ("0.0.0.0/0", "::/0")),
        ("ff02::1", ("::/0",)),
    ],
)
def test_and_no_more_than_that(address: str, networks: tuple[str, ...]) -> None:
    with pytest.raises(NotAllowed):
        permitted(Target(address, 22, networks))


def test_a_refused_address_is_not_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        with pytest.raises(NotAllowed):
            greet(Target("127.0.0.1", listening.getsockname()[1]))
        with pytest.raises(TimeoutError):
            listening.accept()


def _leave_the_network() -> None:
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None or unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no namespace")


def in_a_network_of_its_own(act: Callable[[], None]) -> None:
    """Act where this machine has one address of the internet's, or skip."""
    failed: list[BaseException] = []

    def acted() -> None:
        try:
            _leave_the_network()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                name = struct.pack(
                    "16sHH4s8x", b"lo", socket.AF_INET, 0, socket.inet_aton(ANYBODYS)
                )
                fcntl.ioctl(probe, _SIOCSIFADDR, name)
                fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
            act()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=acted)  # the network is this thread's alone
    thread.start()
    thread.join()
    if failed and isinstance(failed[0], OSError):
        pytest.skip(f"a network of the test's own needs root and namespaces: {failed[0]}")
    if failed:
        raise failed[0]


def test_the_panels_own_address_is_refused() -> None:
    def act() -> None:
        with pytest.raises(NotAllowed) as refused:
            permitted(Target(ANYBODYS))
        assert refused.value.reason == "own"
        assert permitted(Target("1.1.1.1"))
        assert permitted(Target(ANYBODYS, 22, ("8.8.8.0/24",)))

    in_a_network_of_its_own(act)


def test_where_anything_may_be_bound_the_route_tells() -> None:
    def act() -> None:
        # By the thread's own entry: /proc/sys shows the network of who opens it.
        Path("/proc/sys/net/ipv4/ip_nonlocal_bind").write_text("1\n")
        assert is_own(ipaddress.ip_address(ANYBODYS))
        assert not is_own(ipaddress.ip_address("1.1.1.1"))  # bound, but no way there

    in_a_network_of_its_own(act)


def test_own_or_not_without_any_rights() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("2001:db8::77"))
