"""Read a command line as a shell does, in small: words, quotes, variables, > >> < | && || ;."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from democloud.machines.expand import expand, expand_one
from democloud.machines.run import Run, Session, execute

OPERATORS = (";", "&&", "||", "|", ">", ">>", "<", "2>", "2>>", "&", "2>&1", "&>")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
Write = Callable[[bytes], None]


@dataclass
class Streams:
    """Where a line reads from and writes to."""

    stdin: Callable[[], bytes]
    out: Write
    err: Write
    terminal: bool = False


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
        parts = _split(line)
    except (Syntax, ValueError) as problem:
        streams.err(f"bash: {problem}\n".encode())
        session.last = 2
        return 2
    wanted = True
    for pipeline, joint in parts:
        if wanted and pipeline:
            session.last = _pipe(session, pipeline, streams)
        if joint in ("&&", "||"):
            wanted = (session.last == 0) is (joint == "&&")
        else:
            wanted = True
    return session.last


def _split(line: str) -> list[tuple[list[list[str]], str]]:
    """Cut a line into pipelines and what joins each to the next."""
    parts: list[tuple[list[list[str]], str]] = []
    pipeline: list[list[str]] = [[]]
    for token in [*_tokens(line), ";"]:
        if token == "|":
            pipeline.append([])
        elif token in (";", "&&", "||", "&"):
            if not pipeline[-1] and (len(pipeline) > 1 or token in ("&&", "||")):
                raise Syntax(f"syntax error near unexpected token `{token}'")
            parts.append((pipeline if pipeline[-1] else [], token))
            pipeline = [[]]
        else:
            pipeline[-1].append(token)
    return parts


def _tokens(line: str) -> list[str]:
    """Return the raw words and operators; quotes stay until variables are filled in."""
    found, word, quote, number = [], "", "", 0
    while number < len(line):
        one = line[number]
        number += 1
        if quote:
            word += one
            if one == "\\" and quote == '"' and number < len(line):
                word += line[number]
                number += 1
            quote = "" if one == quote else quote
        elif one == "\\" and number < len(line):
            word += one + line[number]
            number += 1
        elif one in "'\"":
            quote, word = one, word + one
        elif one == "#" and not word:
            break
        elif one in " \t\n;|&<>":
            operator = _operator(line, number - 1, word)
            if operator[:1] == "2" and word == "2":
                word = ""
            found += [word] if word else []
            word = ""
            if operator:
                found.append(operator)
                number += len(operator.removeprefix("2") if operator[0] == "2" else operator) - 1
        else:
            word += one
    if quote:
        raise Syntax(f"unexpected EOF while looking for matching `{quote}'")
    return found + ([word] if word else [])


def _operator(line: str, at: int, word: str) -> str:
    if line[at] == "\n":
        return ";"
    if word == "2" and line[at] == ">":
        rest = "2" + line[at : at + 3]
        return next(one for one in ("2>&1", "2>>", "2>") if rest.startswith(one))
    for one in ("&>", "&&", "||", ">>", ";", "|", "&", ">", "<"):
        if line.startswith(one, at):
            return one
    return ""


def _pipe(session: Session, pipeline: list[list[str]], streams: Streams) -> int:
    """Run commands one after the other, each reading what the one before wrote."""
    source, status = streams.stdin, 0
    for number, words in enumerate(pipeline):
        if number == len(pipeline) - 1:
            return _one(session, words, Streams(source, streams.out, streams.err, streams.terminal))
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
    if simple.into:
        run.out, run.terminal = held.extend, False
    if simple.quiet:
        run.err = _nowhere
    if simple.both:
        run.err = run.out
    try:
        if simple.source:
            with session.machine.lock:
                data = session.machine.ns.read(session.who, simple.source, session.cwd)
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
    simple, left = Simple(), list(raw)
    while left:
        token = left.pop(0)
        if token in (">", ">>", "&>"):
            simple.into, simple.append = (
                expand_one(session, left.pop(0)) if left else "",
                token == ">>",
            )
            simple.both = simple.both or token == "&>"
        elif token == "<":
            simple.source = expand_one(session, left.pop(0)) if left else ""
        elif token in ("2>", "2>>"):
            simple.quiet = bool(left and left.pop(0))
        elif token == "2>&1":
            simple.both = True
        else:
            simple.words += expand(session, token)
    return simple


def _store(session: Session, simple: Simple, data: bytes) -> None:
    ns, who = session.machine.ns, session.who
    with session.machine.lock:
        node = ns.place(who, simple.into, session.cwd).node
        if node and node.kind == "char":
            return
        old = node.read() if node and node.kind == "file" and simple.append else b""
        ns.write(who, simple.into, old + data, session.cwd)
