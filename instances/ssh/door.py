"""The door: greet a machine, check who it is, and only then log in."""

import contextlib
import io
from collections.abc import Callable, Iterator

import paramiko

from instances.ssh.carrier import Carrier
from instances.ssh.errors import (
    AuthRefused,
    BadKey,
    Gone,
    HostKeyChanged,
    KeyOnly,
    MoreAsked,
    TimedOut,
    TooMuch,
)
from instances.ssh.facts import HostKey, Login, Target
from instances.ssh.machine import Machine
from instances.ssh.target import permitted
from instances.ssh.wire import Wire


def greet(target: Target, timeout: float = 10.0) -> HostKey:
    """Return the host key a machine proves itself with; nothing secret is sent."""
    with _greeted(target, timeout) as carrier:
        return _host_key(carrier)


@contextlib.contextmanager
def connect(
    target: Target, host_key: HostKey, login: Login, timeout: float = 20.0
) -> Iterator[Machine]:
    """Log in, if the machine is the one that was accepted; else raise ``HostKeyChanged``."""
    with _greeted(target, timeout, kind=host_key.kind) as carrier:
        found = _host_key(carrier)
        if found != host_key:
            raise HostKeyChanged(found.fingerprint)
        with carrier.wire.translated():
            how = _enter(carrier, login)
        carrier.logged_in()
        yield Machine(carrier, how)


@contextlib.contextmanager
def _greeted(target: Target, timeout: float, *, kind: str = "") -> Iterator[Carrier]:
    wire = Wire(permitted(target), target.port, timeout)
    carrier = Carrier(wire, kind=kind)
    try:
        with wire.translated():
            carrier.greet()
        yield carrier
    finally:
        carrier.end()


def _host_key(carrier: Carrier) -> HostKey:
    with carrier.wire.translated():
        key = carrier.get_remote_server_key()
        return HostKey(key.get_name(), key.get_base64())


def _enter(carrier: Carrier, login: Login) -> str:
    """Log in by the first way that server and login have in common; return its name."""
    offered = _offered(carrier, login.user)
    if carrier.is_authenticated():
        return "none"
    if login.private_key is not None and "publickey" in offered:
        key = _private_key(login.private_key)
        if _tried(
            carrier, lambda: carrier.auth_publickey(login.user, key), last=not login.password
        ):
            return "publickey"
    if login.password is None:
        raise AuthRefused
    password = login.password
    if "password" in offered:
        _tried(carrier, lambda: carrier.auth_password(login.user, password, fallback=False))
        return "password"
    if "keyboard-interactive" in offered:
        answers = _OneAnswer(password)
        _tried(carrier, lambda: carrier.auth_by_asking(login.user, answers))
        return "keyboard-interactive"
    raise KeyOnly


def _offered(carrier: Carrier, user: str) -> list[str]:
    """Ask to be let in with nothing, to learn what would be taken."""
    try:
        return carrier.auth_none(user)
    except paramiko.BadAuthenticationType as refusal:
        return [str(name) for name in refusal.allowed_types]
    except paramiko.AuthenticationException:
        _check_it_was_said(carrier)
        return []


def _tried(carrier: Carrier, attempt: Callable[[], list[str]], *, last: bool = True) -> bool:
    """Tell whether an attempt let us in; raise when it was the last one."""
    try:
        more = attempt()
    except paramiko.AuthenticationException as refusal:
        _check_it_was_said(carrier)
        if isinstance(refusal, paramiko.BadAuthenticationType) and last:
            raise KeyOnly from None
        more = []
    if carrier.is_authenticated():
        return True
    if last:
        raise MoreAsked if more else AuthRefused
    return False


def _check_it_was_said(carrier: Carrier) -> None:
    """Raise when what paramiko calls a refusal was the end of the time, or of the connection."""
    wire = carrier.wire
    if wire.overdue or not wire.left:
        raise TimedOut from None
    if not carrier.is_active():
        raise (TooMuch if wire.flooded else Gone) from None


class _OneAnswer:
    """Answer one hidden question with the password, and nothing else."""

    def __init__(self, password: str) -> None:
        self._password: str | None = password

    def __call__(self, _title: str, _text: str, prompts: list[tuple[str, bool]]) -> list[str]:
        password, echoed = self._password, any(echo for _prompt, echo in prompts)
        if len(prompts) != 1 or echoed or password is None:
            return [""] * len(prompts)
        self._password = None
        return [password]


def _private_key(text: str) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(text))
    raise BadKey
