"""Give the tests of the door a real SSH server, and see that nothing stays open behind it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instances.ssh import HostKey, Login, Machine, Target, connect, greet
from instances.ssh.carrier import Carrier
from tests import sshd
from tests.instances.ssh.disk import Disk
from tests.instances.ssh.hostile import LOGIN, LOOPBACK, pinned
from tests.services import wait_until


def carriers() -> list[threading.Thread]:
    """Return the threads of connections that the door has opened."""
    return [thread for thread in threading.enumerate() if isinstance(thread, Carrier)]


@pytest.fixture(autouse=True)
def _nothing_stays_open(request: pytest.FixtureRequest) -> Iterator[None]:
    before = {*carriers()}
    timers = {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}
    yield
    assert {*carriers()} <= before
    now = {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}
    assert now <= timers


@pytest.fixture(scope="session")
def _installed() -> None:
    if not sshd.program():
        pytest.skip("OpenSSH's server is not installed: apt-get install openssh-server")


@pytest.fixture(scope="session")
def server(_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    """Give the SSH server most tests share."""
    # Not pytest's own folder: nobody but its owner may look into that.
    served = sshd.Sshd(tmp_path_factory.mktemp("sshd"))
    yield served
    served.stop()


@pytest.fixture
def another(_installed: None, tmp_path: Path) -> Iterator[Callable[..., sshd.Sshd]]:
    """Start servers for one test: ``another("a name", "an option", keys=("rsa",))``."""
    running: list[sshd.Sshd] = []

    def start(name: str, *options: str, **more: tuple[str, ...]) -> sshd.Sshd:
        running.append(sshd.Sshd(tmp_path / name, *options, **more))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def enter() -> Callable[..., str]:
    """Log in to one of the servers that do what no honest one does; return what let us in."""

    def how(target: Target, login: Login = LOGIN, timeout: float = 10.0) -> str:
        with connect(target, pinned(), login, timeout) as machine:
            return machine.how

    return how


@pytest.fixture
def target(server: sshd.Sshd) -> Target:
    """Give where that server is."""
    return Target("127.0.0.1", server.port, LOOPBACK)


@pytest.fixture(scope="session")
def host_key(server: sshd.Sshd) -> HostKey:
    """Give the server's host key, as it was pinned."""
    return greet(Target("127.0.0.1", server.port, LOOPBACK))


@pytest.fixture(scope="session")
def login(server: sshd.Sshd) -> Login:
    """Give a login by key, which works whoever runs the tests."""
    return Login(server.user, private_key=server.private_key)


@pytest.fixture(scope="module")
def machine(server: sshd.Sshd, host_key: HostKey, login: Login) -> Iterator[Machine]:
    """Give a machine that was logged in to, for the tests of one file."""
    target = Target("127.0.0.1", server.port, LOOPBACK)
    with connect(target, host_key, login) as machine:
        yield machine
    wait_until(lambda: not carriers(), "the connection's thread ending")


@pytest.fixture
def apart(server: sshd.Sshd) -> sshd.Sshd:
    """Give the server when it has accounts and a disk of its own."""
    if not server.apart:
        pytest.skip("accounts and a disk for one server need root and mounts")
    return server


@pytest.fixture
def disk(machine: Machine, server: sshd.Sshd) -> Disk:
    """Give the machine's disk, as each test begins with it."""
    found = Disk(machine, server.root)
    found.sh("find . -mindepth 1 -delete; umask 022; mkdir etc; printf 'old\\n' >etc/file")
    return found
