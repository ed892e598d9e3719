"""Read a command line as a shell does, in small: words, quotes, variables, > >> < | && || ;."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from democloud.machines.expand import expand, expand_one
from democloud.machines.run import Run, Session, execute

JOINTS = (";", "&&", "||", "&")
TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\#[^\n]*)
    | (?P<operator>2>&1|2>>|2>|&>|&&|\|\||>>|[;|&<>\n])
    | (?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;|&<>'"\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
#: a pipeline of commands, each of raw words, and what joins it to the next
Part = tuple[list[list[str]], str]
Write = Callable[[bytes], None]


@dataclass
class Streams:
    """Where a line reads from and writes to."""

    stdin: Callable[[], bytes]
    out: Write
    err: Write
    terminal: bool = False
    #: asks for a line that is not shown, on a terminal
    hidden: Callable[[], bytes] | None = None


@dataclass
class Simple:
    """One command of a line, with where its output goes."""

    words: list[str] = field(default_factory=list)
    into: str = ""
    append: bool = False
    source: str = ""
    quiet: bool = False
    both: bool = False


class Syntax(ValueError):
    """A line that cannot be read."""


def run_line(session: Session, line: str, streams: Streams) -> int:
    """Run a whole line; its status is that of what ran last."""
    try:
        _run_parts(session, _split(line), streams)
    except Syntax as problem:
        streams.err(f"bash: {problem}\n".encode())
        session.last = 2
    return session.last


def _run_parts(session: Session, parts: list[Part], streams: Streams) -> None:
    wanted = True
    for pipeline, joint in parts:
        if wanted and pipeline:
            session.last = _pipe(session, pipeline, streams)
        wanted = joint not in ("&&", "||") or (session.last == 0) is (joint == "&&")


def _split(line: str) -> list[Part]:
    """Cut a line into pipelines and what joins each to the next."""
    parts: list[Part] = []
    pipeline: list[list[str]] = [[]]
    for one in [*_words(line), ";"]:
        if one == "|" and pipeline[-1]:
            pipeline.append([])
        elif one == "|":
            raise Syntax("syntax error near unexpected token `|'")
        elif one in JOINTS:
            if not pipeline[-1] and (len(pipeline) > 1 or one in ("&&", "||")):
                raise Syntax(f"syntax error near unexpected token `{one}'")
            parts.append((pipeline if pipeline[-1] else [], one))
            pipeline = [[]]
        else:
            pipeline[-1].append(one)
    return parts


def _words(line: str) -> Iterator[str]:
    """Yield the raw words and operators; quotes stay until variables are filled in."""
    at = 0
    while at < len(line):
        found = TOKEN.match(line, at)
        if found is None:
            raise Syntax(f"unexpected EOF while looking for matching `{line[at]}'")
        at = found.end()
        if found["operator"]:
            yield ";" if found["operator"] == "\n" else found["operator"]
        elif found["word"]:
            yield found["word"]


def _pipe(session: Session, pipeline: list[list[str]], streams: Streams) -> int:
    """Run commands one after the other, each reading what the one before wrote."""
    source, status = streams.stdin, 0
    for number, words in enumerate(pipeline):
        if number == len(pipeline) - 1:
            return _one(session, words, replace(streams, stdin=source))
        held = bytearray()
        status = _one(session, words, Streams(source, held.extend, streams.err))
        kept = bytes(held)
        source = _reader(kept)
    return status


def _reader(data: bytes) -> Callable[[], bytes]:
    left = [data]

    def read() -> bytes:
        return left.pop() if left else b""

    return read


def _one(session: Session, words: list[str], streams: Streams) -> int:
    simple = _redirected(session, words)
    while simple.words and ASSIGNMENT.match(simple.words[0]):
        name, _, value = simple.words.pop(0).partition("=")
        session.env[name] = value
    if not simple.words and not simple.into:
        return 0
    name, *args = simple.words or ["true"]
    held = bytearray()
    run = Run(session, name, streams.stdin, streams.out, streams.err, streams.terminal)
    run.hidden = streams.hidden
    if simple.into:
        run.out, run.terminal = held.extend, False
    if simple.quiet:
        run.err = _nowhere
    if simple.both:
        run.err = run.out
    try:
        if simple.source:
            with session.machine.lock:
                path = session.place(simple.source).path
                data = session.machine.ns.read(session.who, path)
            run.source = _reader(data)
        status = execute(run, args)
        if simple.into:
            _store(session, simple, bytes(held))
    except OSError as problem:
        streams.err(f"bash: {problem.filename}: {problem.strerror}\n".encode())
        return 1
    return status


def _nowhere(_data: bytes) -> None:
    """Drop it."""


def _redirected(session: Session, raw: list[str]) -> Simple:
    """Fill in the words of a command, and take out of them where it reads and writes."""
    simple, left = Simple(), list(raw)
    while left:
        one = left.pop(0)
        if one in (">", ">>", "&>"):
            simple.into, simple.append = _target(session, left), one == ">>"
            simple.both = simple.both or one == "&>"
        elif one == "<":
            simple.source = _target(session, left)
        elif one in ("2>", "2>>"):
            simple.quiet = bool(_target(session, left))
        elif one == "2>&1":
            simple.both = True
        else:
            simple.words += expand(session, one)
    return simple


def _target(session: Session, left: list[str]) -> str:
    if not left:
        raise Syntax("syntax error near unexpected token `newline'")
    return expand_one(session, left.pop(0))


def _store(session: Session, simple: Simple, data: bytes) -> None:
    ns, who = session.machine.ns, session.who
    with session.machine.lock:
        place = session.place(simple.into)
        if place.node and place.node.kind == "char":
            return
        node = place.node
        old = node.read() if node and node.kind == "file" and simple.append else b""
        ns.write(who, place.path, old + data)
