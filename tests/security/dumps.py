"""Dump a panel's database and its Redis whole, and look for secrets in what came out."""

import base64
import binascii
import json
import re
import sqlite3
import threading
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

#: what base64 wraps; long enough that a word is not taken for it
WRAPPED = re.compile(rb"[A-Za-z0-9_+/-]{24,}")


def database(url: str) -> list[bytes]:
    """Return everything a database holds: the values of all columns, and a file's own bytes."""
    if url.startswith("postgres"):
        return _postgres(url)
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as link:
        tables = link.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        # Who closes last removes the write-ahead log: while this is open, its files stay.
        files = [file.read_bytes() for file in path.parent.glob(f"{path.name}*")]
        cells = [
            str(value).encode()
            for (table,) in tables
            for row in link.execute(f'SELECT * FROM "{table}"')
            for value in row
        ]
    assert len(tables) > 30 and len(cells) > 1000 and any(files)
    return files + cells


def _postgres(url: str) -> list[bytes]:
    listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(url) as link:
        names = [row[0] for row in link.execute(listed)]
        assert len(names) > 30
        copies = [sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name)) for name in names]
        return [_copied(link, command) for command in copies]


def _copied(link: "psycopg.Connection[Any]", command: sql.Composed) -> bytes:
    with link.cursor() as cursor, cursor.copy(command) as rows:
        return b"".join(bytes(some) for some in rows)


def broker(url: str) -> list[bytes]:
    """Return every key of a Redis with its value; of what holds many, each with one of them."""
    link = redis.Redis.from_url(url)
    read: dict[bytes, Any] = {
        b"string": link.get,
        b"list": lambda key: link.lrange(key, 0, -1),
        b"hash": link.hgetall,
        b"set": link.smembers,
        b"zset": lambda key: link.zrange(key, 0, -1, withscores=True),
        b"none": lambda _key: None,  # it ended meanwhile
    }
    return [
        key + repr(part).encode()
        for key in link.keys("*")
        for part in _parts(read[link.type(key)](key))
    ]


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.items())
    return list(value) if isinstance(value, list | set) else [value]


class Eavesdropper:
    """Hear every command that a Redis gets: what is gone before a dump, too."""

    def __init__(self, url: str) -> None:
        self.heard: list[bytes] = []
        self._url = url
        self._ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._ready.wait(10)

    def _listen(self) -> None:
        try:
            with redis.Redis.from_url(self._url).monitor() as monitor:
                self._ready.set()
                while True:
                    self.heard.append(monitor.next_command()["command"].encode())
        except redis.RedisError:
            return  # it was stopped: the run is over


def found_in(blobs: list[bytes], secrets: dict[str, str]) -> list[str]:
    """Name the secrets that can be read in a dump, plainly or with an everyday tool."""
    whole = b"\n".join(blobs)
    whole += b"\n" + b"\n".join(_unwrapped(whole))
    return [
        name
        for name, secret in secrets.items()
        if any(spelling in whole for spelling in _spellings(secret))
    ]


def _spellings(secret: str) -> set[bytes]:
    """Spell a secret as it is, quoted, escaped, and in hex; base64 is unwrapped instead."""
    raw = secret.encode()
    spelled = {raw, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    spelled |= {raw.hex().encode(), raw.hex().upper().encode(), raw[::-1]}
    # Inside a longer text, base64 has one of three looks; its first and last signs depend on it.
    for shift in range(3):
        wrapped = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        core = wrapped[[0, 2, 3][shift] : -1]
        spelled |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return spelled


def _unwrapped(whole: bytes) -> list[bytes]:
    """Return what base64 in a dump holds, and what is compressed in it: Django's sessions are."""
    opened = []
    for match in WRAPPED.finditer(whole):
        text = match[0].replace(b"-", b"+").replace(b"_", b"/")
        for start in range(4):
            part = text[start:]
            part = part[: len(part) - len(part) % 4] if len(part) % 4 == 1 else part
            try:
                raw = base64.b64decode(part + b"=" * (-len(part) % 4))
            except binascii.Error:
                continue
            opened.append(raw)
            if raw[:1] == b"\x78":
                try:
                    opened.append(zlib.decompressobj().decompress(raw))
                except zlib.error:
                    continue
    return opened
