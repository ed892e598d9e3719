"""Run commands: who runs them, where, with which streams; and the list of those there are."""

import errno
import getopt
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from democloud.machines.machine import Machine, User
from democloud.machines.tree import Node
from democloud.machines.vfs import Place, Who

Sink = Callable[[bytes], None]
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Session:
    """One login: user, directory, environment; `base` is its root after chroot."""

    machine: Machine
    user: User
    who: Who
    cwd: str = "/"
    base: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    columns: int = 80
    rows: int = 24
    #: tells a command that waits to end: nobody is there any more, or Ctrl-C was typed
    gone: Callable[[], bool] = field(default=lambda: False)
    last: int = 0
    #: the roots and directories outside a chroot's shell
    outside: list[tuple[str, str]] = field(default_factory=list)

    def place(self, path: str, *, follow: bool = True) -> Place:
        """Walk to a path."""
        ns = self.machine.ns
        return ns.place(self.who, path, self.cwd, follow=follow, base=self.base)

    def hold(self) -> None:
        """Say where this session stands, so that umount can tell."""
        self.machine.holders[id(self)] = ("bash", self.cwd)

    def leave(self) -> None:
        """Stand nowhere any more."""
        self.machine.holders.pop(id(self), None)


class Fail(Exception):
    """A command's end with a message on its error stream."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.message, self.status = message, status


class Leave(Exception):
    """The shell's end."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Run:
    """One command under way."""

    session: Session
    name: str
    source: Callable[[], bytes]
    out: Sink
    err: Sink
    terminal: bool = False
    #: asks for a line that is not shown; None where there is no terminal
    hidden: Callable[[], bytes] | None = None
    #: written when the machine's lock is let go: a slow reader must not hold others up
    pending: list[tuple[Sink, bytes]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Write to the output stream."""
        self.pending.append((self.out, data))

    def complain(self, data: bytes) -> None:
        """Write to the error stream."""
        self.pending.append((self.err, data))

    def flush(self) -> None:
        """Send on what was written."""
        pending, self.pending = self.pending, []
        for sink, data in pending:
            sink(data)

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let others use the machine while this command waits."""
        self.machine.lock.release()
        try:
            self.flush()
            yield
        finally:
            self.machine.lock.acquire()

    def stdin(self) -> bytes:
        """Read all there is on the input stream."""
        with self.unlocked():
            return self.source()

    def secret(self, question: str) -> str:
        """Ask for a word that is not shown; without a terminal it is the input's next line."""
        if self.hidden is None:
            line, _, rest = self.stdin().partition(b"\n")
            self.source = lambda: rest
            return line.decode(errors="replace")
        self.write(question.encode())
        with self.unlocked():
            line = self.hidden()
        return line.decode(errors="replace")

    @property
    def machine(self) -> Machine:
        """Return the system it runs on."""
        return self.session.machine

    @property
    def who(self) -> Who:
        """Return who runs it."""
        return self.session.who

    def say(self, text: str = "") -> None:
        """Write a line."""
        self.write(f"{text}\n".encode())

    def warn(self, text: str) -> None:
        """Write a line to the error stream, with the command's name."""
        self.complain(f"{self.name}: {text}\n".encode())

    def place(self, path: str, *, follow: bool = True) -> Place:
        """Walk to a path."""
        return self.session.place(path, follow=follow)

    def full(self, path: str) -> str:
        """Return the whole path, seen from outside a chroot, with links followed."""
        return self.place(path).path

    def node(self, path: str, *, follow: bool = True) -> Node:
        """Return what is at a path."""
        found = self.place(path, follow=follow).node
        if found is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def seen(self, path: str) -> str:
        """Return a path as a chroot sees it."""
        base = self.session.base
        return path if base == "/" else path.removeprefix(base) or "/"

    def need_root(self, sentence: str, status: int = 1) -> None:
        """Refuse who is not root."""
        if self.who.uid:
            raise Fail(sentence, status)


Command = Callable[[Run, list[str]], int]
COMMANDS: dict[str, Command] = {}


def command(*names: str) -> Callable[[Command], Command]:
    """Put a function into the list of commands."""

    def add(function: Command) -> Command:
        COMMANDS.update(dict.fromkeys(names, function))
        return function

    return add


def options(
    args: list[str], short: str, long: tuple[str, ...] = (), *, status: int = 1, mixed: bool = True
) -> tuple[dict[str, str], list[str]]:
    """Read options in getopt's way; a wrong one ends the command."""
    read: Any = getopt.gnu_getopt if mixed else getopt.getopt
    try:
        found, rest = read(args, short, list(long))
    except getopt.GetoptError as problem:
        word = problem.opt
        wrong = (
            f"invalid option -- '{word}'" if len(word) == 1 else f"unrecognized option '--{word}'"
        )
        raise Fail(wrong, status) from problem
    return dict(found), list(rest)


def given(found: dict[str, str], *names: str) -> bool:
    """Tell whether one of these options was given."""
    return any(name in found for name in names)


def value(found: dict[str, str], *names: str, otherwise: str = "") -> str:
    """Return the value of the first of these options that was given."""
    return next((found[name] for name in names if name in found), otherwise)


def execute(run: Run, args: list[str]) -> int:
    """Run one command, alone on its machine, and return its status."""
    try:
        with run.machine.lock:
            if run.machine.over:
                raise Leave(255)
            return dispatch(run, args)
    finally:
        run.flush()


def dispatch(run: Run, args: list[str]) -> int:
    """Run the command of the list; errors are written as it would."""
    function = COMMANDS.get(run.name.rsplit("/", 1)[-1])
    if function is None:
        run.complain(f"bash: {run.name}: command not found\n".encode())
        return 127
    run.name = run.name.rsplit("/", 1)[-1]
    try:
        return function(run, args)
    except Fail as end:
        if end.message:
            run.warn(end.message)
        return end.status
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        run.warn(f"{where}{problem.strerror}")
        return 1
