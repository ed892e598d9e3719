"""Be a terminal's line discipline and a shell's line editor, in small."""

import codecs

from paramiko.channel import Channel

from democloud.machines.run import Leave, Session
from democloud.machines.shell import Streams, run_line

IDLE_SECONDS = 900.0
LONGEST = 8192
HISTORY = 200
INTERRUPT, END, CLEAR_LINE, CLEAR_WORD = "\x03", "\x04", "\x15", "\x17"
BACKSPACES = ("\x7f", "\x08")
UP, DOWN = "\x1b[A", "\x1b[B"


class Interrupted(Exception):
    """Ctrl-C was typed while a line was read."""


class Terminal:
    """Keys in, characters out."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed: list[str] = []
        self._history: list[str] = []
        channel.settimeout(IDLE_SECONDS)

    def write(self, data: bytes) -> None:
        """Show what a program wrote."""
        self._channel.sendall(data.replace(b"\n", b"\r\n"))

    def is_interrupted(self) -> bool:
        """Tell whether Ctrl-C was typed, or nobody is there any more, without waiting."""
        while self._channel.recv_ready():
            self._fetch()
        if INTERRUPT in self._typed:
            del self._typed[: self._typed.index(INTERRUPT) + 1]
            return True
        return bool(self._channel.closed or self._channel.eof_received)

    def _fetch(self) -> None:
        data = self._channel.recv(4096)
        if not data:
            raise EOFError
        self._typed += _keys(self._decoder.decode(data))

    def _key(self) -> str:
        while not self._typed:
            self._fetch()
        return self._typed.pop(0)

    def read_line(self, prompt: str, *, shown: bool = True, recalls: bool = False) -> str | None:
        """Read a line; None for Ctrl-D on an empty one."""
        self.write(prompt.encode())
        line, at = "", len(self._history)
        while True:
            key = self._key()
            if key in "\r\n":
                self.write(b"\n")
                if recalls and line.strip():
                    self._history = [*self._history, line][-HISTORY:]
                return line
            if key == INTERRUPT:
                self.write(b"^C\n")
                raise Interrupted
            if key == END and not line:
                return None
            before, line, at = line, *self._edited(line, key, at, recalls=recalls)
            if shown:
                self._show(before, line)

    def _edited(self, line: str, key: str, at: int, *, recalls: bool) -> tuple[str, int]:
        """Return the line after a key, and where in the history one is."""
        if key in BACKSPACES:
            return line[:-1], at
        if key == CLEAR_LINE:
            return "", at
        if key == CLEAR_WORD:
            return line.rstrip()[: line.rstrip().rfind(" ") + 1], at
        if key in (UP, DOWN) and recalls:
            at = max(0, at - 1) if key == UP else min(len(self._history), at + 1)
            return (self._history[at] if at < len(self._history) else ""), at
        return (line + key if key.isprintable() else line)[:LONGEST], at

    def _show(self, before: str, now: str) -> None:
        same = 0
        while same < min(len(before), len(now)) and before[same] == now[same]:
            same += 1
        back = len(before) - same
        erased = "\b" * back + " " * back + "\b" * back
        self._channel.sendall((erased + now[same:]).encode())

    def read_all(self) -> bytes:
        """Read lines until Ctrl-D, for a program that reads its input."""
        lines = []
        try:
            while (line := self.read_line("")) is not None:
                lines.append(line + "\n")
        except Interrupted:
            return b""
        return "".join(lines).encode()

    def read_hidden(self) -> bytes:
        """Read a line that is not shown."""
        try:
            return (self.read_line("", shown=False) or "").encode()
        except Interrupted:
            return b""


def _keys(text: str) -> list[str]:
    """Cut what came into keys: an arrow sends three characters at once."""
    keys: list[str] = []
    at = 0
    while at < len(text):
        length = 3 if text.startswith("\x1b[", at) else 1
        keys.append(text[at : at + length])
        at += length
    return keys


def converse(session: Session, channel: Channel, greeting: str) -> int:
    """Be a log-in shell on a terminal until its end; return its status."""
    terminal = Terminal(channel)
    session.gone = terminal.is_interrupted
    streams = Streams(terminal.read_all, terminal.write, terminal.write, terminal=True)
    streams.hidden = terminal.read_hidden
    terminal.write(greeting.encode())
    try:
        while True:
            _one_line(session, terminal, streams)
    except Leave as end:
        terminal.write(b"logout\n")
        return end.status


def _one_line(session: Session, terminal: Terminal, streams: Streams) -> None:
    try:
        line = terminal.read_line(prompt_of(session), recalls=True)
    except Interrupted:
        session.last = 130
        return
    run_line(session, "exit" if line is None else line, streams)


def prompt_of(session: Session) -> str:
    """Return bash's prompt: who, on what, where."""
    base = session.base.rstrip("/")
    path = session.cwd.removeprefix(base) or "/"
    home = session.user.home
    if path == home or path.startswith(f"{home}/"):
        path = "~" + path.removeprefix(home)
    sign = "$" if session.who.uid else "#"
    return f"{session.user.name}@{session.machine.hostname}:{path}{sign} "
