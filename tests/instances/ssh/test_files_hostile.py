"""A file server that lies: no answer of its costs us memory, time or a wrong file."""

import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paramiko import sftp

from instances.ssh import (
    Changed,
    Denied,
    FileTrouble,
    Machine,
    NoFileTransfer,
    NoSuchFile,
    ProtocolTrouble,
    SshError,
    TimedOut,
    TooMuch,
    files,
)
from instances.ssh import sftp as door_sftp
from tests.instances.ssh.fileserver import (
    FILE,
    HONEST,
    Answer,
    Answers,
    FileServer,
    attributes,
    looked,
    name,
    number,
    status,
)
from tests.instances.ssh.hostile import inside, string


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing take long."""
    monkeypatch.setattr(files, "_ERRAND", 0.4)
    monkeypatch.setattr(door_sftp, "_GREETING", 0.4)


@pytest.fixture
def lie() -> Iterator[Callable[[Answers], tuple[Machine, FileServer]]]:
    """Log in at a server with one lie: ``machine, server = lie({CMD_…: answer})``."""
    inner: list[Any] = []

    def begin(answers: Answers) -> tuple[Machine, FileServer]:
        server = FileServer(answers)
        inner.append(inside(sftp=server))
        return inner[-1].__enter__(), server

    yield begin
    for one in inner:
        one.__exit__(None, None, None)


Lie = Callable[[Answers], tuple[Machine, FileServer]]


def test_the_honest_one_of_these_tests_works(lie: Lie) -> None:
    machine, server = lie({})
    assert machine.read(FILE).data == b"data"
    machine.write(FILE, b"new")
    machine.make_dir("/mnt/new", 0o700, 0, 0)
    assert server.sessions == 1


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (sftp.CMD_LSTAT, (sftp.CMD_HANDLE, string(b"h"))),
        (sftp.CMD_LSTAT, status(0)),
        (sftp.CMD_LSTAT, status(sftp.SFTP_EOF)),
        (sftp.CMD_LSTAT, (sftp.CMD_ATTRS, attributes(flags=0))),
        (sftp.CMD_LSTAT, (sftp.CMD_ATTRS, attributes(flags=0x07))),
        # four thousand million attributes follow
        (sftp.CMD_LSTAT, (sftp.CMD_ATTRS, number(0x80000000) + b"\xff" * 4)),
        (sftp.CMD_LSTAT, (99, b"")),
        (sftp.CMD_LSTAT, (sftp.CMD_ATTRS, b"")),
        (sftp.CMD_OPEN, (sftp.CMD_ATTRS, attributes())),
        (sftp.CMD_OPEN, status(0)),
        (sftp.CMD_FSTAT, (sftp.CMD_DATA, string(b"x"))),
        (sftp.CMD_READ, status(0)),
        (sftp.CMD_READ, (sftp.CMD_DATA, string(b""))),  # and again, and again
        (sftp.CMD_READ, (sftp.CMD_NAME, number(0))),
    ],
)
def test_answers_of_another_kind(lie: Lie, kind: int, answer: Answer) -> None:
    machine, server = lie({kind: lambda _body: answer})
    with pytest.raises(ProtocolTrouble):
        machine.read(FILE)
    server.answers = HONEST
    assert machine.read(FILE).data == b"data"  # a new session, the same connection


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (sftp.SFTP_NO_SUCH_FILE, NoSuchFile),
        (sftp.SFTP_PERMISSION_DENIED, Denied),
        (sftp.SFTP_FAILURE, FileTrouble),
        (sftp.SFTP_BAD_MESSAGE, FileTrouble),
        (sftp.SFTP_OP_UNSUPPORTED, FileTrouble),
        (4_000_000_000, FileTrouble),
    ],
)
def test_numbers_have_meanings_and_texts_none(lie: Lie, given: int, error: type[SshError]) -> None:
    machine, _server = lie({sftp.CMD_OPEN: lambda _body: status(given)})
    with pytest.raises(SshError) as refused:
        machine.read(FILE)
    assert type(refused.value) is error
    assert "canary" not in repr(refused.value)


def test_a_file_that_was_swapped_is_not_taken(lie: Lie) -> None:
    for other in (attributes(size=5), attributes(0o100600), attributes(0o120777)):
        machine, _server = lie({sftp.CMD_FSTAT: lambda _body, o=other: (sftp.CMD_ATTRS, o)})
        with pytest.raises(Changed):
            machine.read(FILE)


def test_an_endless_file_ends(lie: Lie) -> None:
    machine, server = lie({sftp.CMD_READ: lambda _body: (sftp.CMD_DATA, string(b"x" * 32768))})
    with pytest.raises(TooMuch):
        machine.read(FILE, limit=200_000)
    assert sum(kind == sftp.CMD_READ for kind, _body in server.asked) == 7
    assert server.asked[-1][0] == sftp.CMD_CLOSE
    # in crumbs, each with more around it than in it
    crumbs = {sftp.CMD_READ: lambda _body: (sftp.CMD_DATA, string(b"x") + b"y" * 3000)}
    machine, server = lie(crumbs)
    with pytest.raises(TooMuch):
        machine.read(FILE, limit=20_000)


def test_one_answer_of_a_gigabyte_is_cut_off() -> None:
    sent = [0]

    def answer(_body: bytes) -> Answer:
        # 16 MB is the most that paramiko reads as one answer.
        channel.sendall(struct.pack(">IB", 0xFFFFFF, sftp.CMD_DATA))
        piece = b"x" * 32768
        for _piece in range(2**30 // len(piece)):
            channel.sendall(piece)
            sent[0] += len(piece)
        return None

    server = FileServer({sftp.CMD_READ: answer})
    channel: Any = None

    def play(given: Any) -> None:
        nonlocal channel
        channel = given
        server(given)

    started = time.monotonic()
    with inside(sftp=play) as machine:
        with pytest.raises(TooMuch):
            machine.read(FILE)
        assert time.monotonic() - started < 8
        assert sent[0] < 8_000_000
        assert machine._carrier.wire.received < 8_000_000
        server.answers = HONEST
        assert machine.read(FILE).data == b"data"


@pytest.mark.parametrize(
    "answer",
    [
        name(count=0),
        name(count=0xFFFFFFFF),
        name(b"a", count=2),
        (sftp.CMD_ATTRS, attributes()),
        status(0),
    ],
)
def test_a_list_that_is_none(lie: Lie, answer: Answer) -> None:
    machine, _server = lie({sftp.CMD_READDIR: lambda _body: answer})
    with pytest.raises(ProtocolTrouble):
        machine.listdir("/mnt/dir")


def test_an_endless_list_ends(lie: Lie) -> None:
    machine, server = lie({sftp.CMD_READDIR: lambda _body: name(*[b"%d" % n for n in range(50)])})
    assert len(machine.listdir("/mnt/dir", 120)) == 120
    assert sum(kind == sftp.CMD_READDIR for kind, _body in server.asked) == 3
    # of names that are none
    server.answers |= {sftp.CMD_READDIR: lambda _body: name(b".", b"..", b"")}
    with pytest.raises(TooMuch):
        machine.listdir("/mnt/dir", 10)


def test_names_that_would_lead_away_are_left_out(lie: Lie) -> None:
    turns = iter([name(b"..", b"../../etc/passwd", b"/etc", b"a\0b", b"good"), status(1)])
    machine, _server = lie({sftp.CMD_READDIR: lambda _body: next(turns)})
    assert [entry.name for entry in machine.listdir("/mnt/dir")] == ["good"]


def test_a_directory_that_cannot_be_read(lie: Lie) -> None:
    machine, _server = lie({sftp.CMD_READDIR: lambda _body: status(3)})
    with pytest.raises(Denied):
        machine.listdir("/mnt/dir")


@pytest.mark.parametrize("answer", [name(b"a", b"b"), name(count=0), status(0)])
def test_a_link_to_several_places(lie: Lie, answer: Answer) -> None:
    machine, _server = lie({sftp.CMD_READLINK: lambda _body: answer})
    with pytest.raises(ProtocolTrouble):
        machine.resolve("/mnt/link")


def test_a_link_of_many_parts_is_bounded(lie: Lie) -> None:
    machine, server = lie({sftp.CMD_READLINK: lambda _body: name(b"link/" * 1000)})
    with pytest.raises(SshError):
        machine.resolve("/mnt/link")
    assert len(server.asked) < 1000


# Writing ----------------------------------------------------------------------------------------


def test_a_server_that_knows_no_fsync(lie: Lie) -> None:
    def extended(body: bytes) -> Answer:
        return status(sftp.SFTP_OP_UNSUPPORTED if b"fsync" in body[:30] else 0)

    machine, _server = lie({sftp.CMD_EXTENDED: extended})
    machine.write(FILE, b"new")


@pytest.mark.parametrize("kind", [sftp.CMD_WRITE, sftp.CMD_FSETSTAT, sftp.CMD_EXTENDED])
def test_what_could_not_be_written_is_removed(lie: Lie, kind: int) -> None:
    machine, server = lie({kind: lambda _body: status(sftp.SFTP_FAILURE)})
    with pytest.raises(FileTrouble):
        machine.write(FILE, b"new")
    opened = [body for asked, body in server.asked if asked == sftp.CMD_OPEN]
    removed = [body for asked, body in server.asked if asked == sftp.CMD_REMOVE]
    assert len(removed) == len(opened) == 1
    assert opened[0].startswith(removed[0])
    assert removed[0][4:].startswith(b"/mnt/.rescue-panel-")


def test_and_when_not_even_that_can_be_done(lie: Lie) -> None:
    denied = {kind: lambda _body: status(3) for kind in (sftp.CMD_WRITE, sftp.CMD_REMOVE)}
    machine, _server = lie(denied)
    with pytest.raises(Denied):
        machine.write(FILE, b"new")


@pytest.mark.parametrize("figures", [b"", b"\xff" * 87, b"\xff" * 89])
def test_a_disk_with_odd_figures(lie: Lie, figures: bytes) -> None:
    machine, _server = lie(
        {
            sftp.CMD_WRITE: lambda _body: status(sftp.SFTP_FAILURE),
            sftp.CMD_EXTENDED: lambda _body: (sftp.CMD_EXTENDED_REPLY, figures),
        }
    )
    with pytest.raises(ProtocolTrouble):
        machine.write(FILE, b"new")


def test_a_folder_that_may_not_be_looked_into(lie: Lie) -> None:
    def only_the_root(body: bytes) -> Answer:
        return looked(body[4:]) if body[4:] == b"/mnt" else status(3)

    machine, _server = lie({sftp.CMD_LSTAT: only_the_root})
    with pytest.raises(Denied):
        machine.write(FILE, b"new")


# Silence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [sftp.CMD_LSTAT, sftp.CMD_OPEN, sftp.CMD_FSTAT, sftp.CMD_READ, sftp.CMD_CLOSE],
)
def test_a_question_without_an_answer(short: None, lie: Lie, kind: int) -> None:
    machine, server = lie({kind: lambda _body: None})
    started = time.monotonic()
    with pytest.raises(TimedOut):
        machine.read(FILE)
    assert time.monotonic() - started < 6
    server.answers = HONEST
    # The late answer of the old session is not taken for one of the new one.
    assert machine.read(FILE).data == b"data"
    assert server.sessions == 2


def test_answers_to_what_nobody_asked() -> None:
    def others(_body: bytes) -> Answer:
        body = number(77_777) + attributes()
        packet = struct.pack(">IB", len(body) + 1, sftp.CMD_ATTRS) + body
        channel.sendall(packet * 10_000)
        return None

    server = FileServer({sftp.CMD_LSTAT: others})
    channel: Any = None

    def play(given: Any) -> None:
        nonlocal channel
        channel = given
        server(given)

    with inside(sftp=play) as machine, pytest.raises(TooMuch):
        machine.lstat(FILE)


def test_a_server_that_takes_nothing(short: None) -> None:
    awake = threading.Event()

    def play(channel: Any) -> None:
        FileServer.say(server, channel, sftp.CMD_VERSION, number(3))
        awake.wait(10)

    server = FileServer()
    with inside(sftp=play) as machine:
        for _time in range(2):
            with pytest.raises(TimedOut):
                machine.write(FILE, b"x" * 100)
    awake.set()


# No file transfer at all ------------------------------------------------------------------------


def _says(data: bytes) -> Callable[[Any], None]:
    def play(channel: Any) -> None:
        channel.sendall(data)
        channel.close()

    return play


@pytest.mark.parametrize(
    "play",
    [
        None,
        _says(b""),
        _says(b"Please log in as another user\n"),
        _says(struct.pack(">IB", 5, sftp.CMD_STATUS) + number(3)),
        _says(struct.pack(">IB", 1, sftp.CMD_VERSION)),
        _says(struct.pack(">I", 0)),
        _says(b"\x00\xff\xff\xff" + b"x" * 200_000),
    ],
)
def test_a_subsystem_that_is_none(play: Any) -> None:
    with inside(sftp=play) as machine:
        for _time in range(2):
            with pytest.raises(NoFileTransfer):
                machine.read(FILE)


def test_a_subsystem_that_says_nothing(short: None) -> None:
    awake = threading.Event()
    with inside(sftp=lambda _channel: awake.wait(10)) as machine:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            machine.read(FILE)
        assert time.monotonic() - started < 6
        assert machine._carrier.is_active()
    awake.set()
