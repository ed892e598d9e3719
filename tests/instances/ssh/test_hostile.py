"""Servers that hang, flood or lie on the way in: bounded, and not a byte of the password."""

import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import paramiko
import pytest
from paramiko import common

from instances.ssh import (
    AuthRefused,
    Gone,
    HostKeyChanged,
    KeyOnly,
    Login,
    MoreAsked,
    ProtocolTrouble,
    Silent,
    SshError,
    Target,
    TimedOut,
    connect,
    greet,
)
from tests.instances.ssh.hostile import (
    BANNER,
    KEY,
    LOGIN,
    OTHER_KEY,
    PASSWORD,
    Liar,
    answering,
    lying,
    pinned,
    says,
    silent,
    string,
)

USERAUTH = range(50, 80)
Enter = Callable[..., str]


# The host key -----------------------------------------------------------------------------------


def test_another_host_key_gets_nothing_of_the_password() -> None:
    with lying(key=OTHER_KEY) as (script, target):
        with pytest.raises(HostKeyChanged) as changed, connect(target, pinned(), LOGIN):
            pass
        assert changed.value.found == pinned(OTHER_KEY).fingerprint
        time.sleep(0.05)  # whatever was still on its way
        assert script.said == []
        assert not [kind for kind, _payload in script.heard if kind in (5, *USERAUTH)]
        for word in (PASSWORD, LOGIN.user):
            assert word.encode() not in script.everything_heard()
        # The same server with its own key: what would be heard is heard.
        with connect(target, pinned(OTHER_KEY), LOGIN) as machine:
            assert machine.how == "password"
        assert script.said == [PASSWORD]
        assert PASSWORD.encode() in script.everything_heard()


def test_greeting_says_nothing_of_ours() -> None:
    with lying() as (script, target):
        assert greet(target) == pinned()
    assert not [kind for kind, _payload in script.heard if kind in (5, *USERAUTH)]


def test_a_key_that_the_server_does_not_have(enter: Enter) -> None:
    """It shows the public key that was accepted, and signs with its own."""

    class Borrowed(paramiko.ECDSAKey):
        def asbytes(self) -> bytes:
            return KEY.asbytes()

    key = Borrowed(vals=(OTHER_KEY.signing_key, OTHER_KEY.verifying_key))
    with lying(key=key) as (script, target):
        with pytest.raises(ProtocolTrouble):
            enter(target)
        assert script.said == []


# The log-in -------------------------------------------------------------------------------------


def test_the_password_is_sent_once(enter: Enter) -> None:
    with lying() as (script, target):
        assert enter(target) == "password"
        with pytest.raises(AuthRefused):
            enter(target, Login("root", "guess"))
    assert script.said == [PASSWORD, "guess"]


@pytest.mark.parametrize("ways", ["publickey", "hostbased", "publickey,gssapi-with-mic"])
def test_where_no_password_is_taken_it_is_not_sent(ways: str, enter: Enter) -> None:
    with lying(ways=ways) as (script, target), pytest.raises(KeyOnly):
        enter(target)
    assert PASSWORD.encode() not in script.everything_heard()


def test_a_server_that_asks_for_nothing_proves_no_password(enter: Enter) -> None:
    with lying(ways="") as (script, target):
        assert enter(target) == "none"
    assert script.said == []


def test_a_server_that_wants_nothing_named_and_nothing(enter: Enter) -> None:
    """Its refusal names the way it has just refused."""
    with lying(ways="none") as (script, target), pytest.raises(KeyOnly):
        enter(target)
    assert PASSWORD.encode() not in script.everything_heard()


def test_without_password_or_key_nobody_is_let_in(enter: Enter) -> None:
    with lying() as (_script, target), pytest.raises(AuthRefused):
        enter(target, Login("root"))


@pytest.mark.parametrize(
    ("ways", "secret"),
    [("password", PASSWORD), ("publickey", None), ("keyboard-interactive", PASSWORD)],
)
def test_a_second_factor_is_said(
    ways: str, secret: str | None, private_key: str, enter: Enter
) -> None:
    login = Login("root", secret, None if secret else private_key)
    steps = {"ways": ways, "login": common.AUTH_PARTIALLY_SUCCESSFUL}
    with (
        lying(**steps, prompts=[[("Password: ", False)]]) as (_script, target),
        pytest.raises(MoreAsked),
    ):
        enter(target, login)


@pytest.fixture(scope="module")
def private_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("keys") / "key"
    paramiko.ECDSAKey.generate().write_private_key_file(str(path))
    return path.read_text()


def test_a_way_that_was_offered_and_is_not_taken(private_key: str, enter: Enter) -> None:
    """Offered, and when it is tried, not offered any more."""
    offers = iter(["publickey", "password", "password"])
    with lying() as (script, target):
        script.get_allowed_auths = lambda _user: next(offers)  # type: ignore[method-assign]
        script.login = common.AUTH_FAILED
        with pytest.raises(KeyOnly):
            enter(target, Login("root", None, private_key))


def test_questions_are_answered_once_and_in_the_dark(enter: Enter) -> None:
    hidden, shown = ("Password: ", False), ("Your name: ", True)
    cases: list[tuple[list[list[tuple[str, bool]]], list[list[str]]]] = [
        ([[hidden]], [[PASSWORD]]),
        ([[], [hidden]], [[], [PASSWORD]]),  # a text alone
        ([[hidden], [hidden]], [[PASSWORD], [""]]),
        ([[shown]], [[""]]),
        ([[hidden, hidden]], [["", ""]]),
        ([[shown], [hidden]], [[""], [PASSWORD]]),
    ]
    for prompts, answers in cases:
        with lying(ways="keyboard-interactive", prompts=list(prompts)) as (script, target):
            assert enter(target) == "keyboard-interactive"
        assert script.said == answers


def test_a_question_with_a_count_that_is_not_meant(enter: Enter) -> None:
    def endless(liar: Liar) -> None:
        liar.say(60, string(b"") * 3 + b"\xff" * 4 + string(b"Password: ") + b"\0")

    steps: dict[str, Any] = {"ways": "keyboard-interactive", "prompts": [[("Password: ", False)]]}
    started = time.monotonic()
    with lying(**steps, instead={60: endless}) as (script, target):
        with pytest.raises(SshError):
            enter(target)
        assert script.said == []
    assert time.monotonic() - started < 6


def test_what_the_server_says_is_in_no_error_and_no_log(
    caplog: pytest.LogCaptureFixture, enter: Enter
) -> None:
    caplog.set_level(logging.DEBUG)

    def hang_up(liar: Liar) -> None:
        liar.say(53, string(b"evil-banner\x1b[2J") + string(b"en"))
        liar.say(common.MSG_DISCONNECT, b"\0\0\0\2" + string(b"evil-farewell") + string(b"en"))

    with lying(instead={common.MSG_USERAUTH_SUCCESS: hang_up}) as (_script, target):
        with pytest.raises(Gone) as gone:
            enter(target)
        assert str(gone.value) == ""
    ours = [record for record in caplog.records if record.name != "tests.hostile"]
    heard = " ".join(record.getMessage() for record in ours)
    assert "evil" not in heard
    assert PASSWORD not in heard


# Silence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mute",
    [
        common.MSG_KEXINIT,
        31,  # the server's half of the key exchange
        common.MSG_NEWKEYS,
        common.MSG_SERVICE_ACCEPT,
        common.MSG_USERAUTH_FAILURE,
        common.MSG_USERAUTH_SUCCESS,
    ],
)
def test_a_server_that_hangs_on_the_way_in(mute: int, enter: Enter) -> None:
    with lying(mute=(mute,)) as (_script, target):
        started = time.monotonic()
        with pytest.raises(TimedOut):
            enter(target, timeout=0.5)
        assert time.monotonic() - started < 6


def test_a_server_that_hangs_on_a_question(enter: Enter) -> None:
    steps: dict[str, Any] = {"ways": "keyboard-interactive", "prompts": [[("Password: ", False)]]}
    with lying(**steps, mute=(60,)) as (_script, target), pytest.raises(TimedOut):
        enter(target, timeout=0.5)


def _drips(data: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        while True:
            for place in range(len(data)):
                connection.sendall(data[place : place + 1])
                time.sleep(0.02)

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        silent,
        says(b"SSH-2.0-half a line"),
        says(BANNER),
        says(BANNER + struct.pack(">I", 200_000)),
        _drips(BANNER[:-2]),
        _drips(b"a\n"),
    ],
)
def test_a_server_that_hangs_at_the_first_words(serve: Callable[[socket.socket], None]) -> None:
    with answering(serve) as target:
        started = time.monotonic()
        with pytest.raises((TimedOut, ProtocolTrouble)):
            greet(target, 0.5)
        assert time.monotonic() - started < 6


def test_nobody_who_answers_is_silent() -> None:
    """A port whose queue is full answers no knock, as a firewall that drops."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        where = full.getsockname()
        waiting = [socket.socket() for _one in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(where)
        with pytest.raises(Silent):
            greet(Target("127.0.0.1", where[1], ("127.0.0.0/8",)), 0.5)
        for one in waiting:
            one.close()
