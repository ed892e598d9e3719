"""A TCP proxy between two parts, which can be a bad network: ``python -m tests.chaos.proxy``.

The arguments are links, ``name=listen:target``. One JSON object a line says what a link does from
now on, e.g. ``{"link": "redis", "mode": "hold", "share": 0.5}``; ``share`` is the part of the
connections that it happens to. Modes:

- ``pass``: nothing; what was held goes on its way, late, as after a lost packet
- ``refuse``: new connections are reset
- ``reset before``: the next request ends the connection and goes nowhere
- ``reset after``: the request arrives, its answer does not
- ``hold``: a black hole: nothing gets through, in either direction
- ``lag``: each packet comes a while later
- ``cut``: half of the answer's first packet, then a reset
"""

import asyncio
import json
import random
import sys
from dataclasses import dataclass, field

MODES = ("refuse", "reset before", "reset after", "hold", "lag", "cut")
LAG = 0.05  # seconds and half as much again, each packet


@dataclass
class Link:
    target: int
    mode: str = "pass"
    share: float = 1.0
    happened: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self, mode: str, share: float) -> None:
        self.mode, self.share = mode, share
        self.changed.set()
        self.changed = asyncio.Event()


class Cut(Exception):
    """The connection ends here."""


class Pipe:
    """One connection through a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.seen: asyncio.Event | None = None
        self.mode, self.halves = "", 0

    def fate(self) -> str:
        """Return what happens to this connection now: drawn once for each change of the link."""
        if self.seen is not self.link.changed:
            self.seen = self.link.changed
            struck = random.random() < self.link.share
            self.mode = self.link.mode if struck else "pass"
            self.link.happened += struck and self.mode != "pass"
        return self.mode

    async def asked(self, data: bytes) -> bytes:
        """Let a request through, or not."""
        if self.fate() == "reset before":
            raise Cut
        await self._late()
        return data

    async def answered(self, data: bytes) -> bytes:
        """Let an answer through, or not."""
        if self.fate() == "reset after":
            raise Cut
        await self._late()
        if self.mode == "cut":
            self.halves += 1
            if self.halves > 1:
                raise Cut
            return data[: len(data) // 2]
        return data

    async def _late(self) -> None:
        while self.fate() == "hold":
            await self.link.changed.wait()
        if self.mode == "lag":
            await asyncio.sleep(LAG * random.uniform(1, 1.5))


async def carry(reader, writer, through) -> None:
    """Carry bytes one way until either end is gone."""
    try:
        while data := await reader.read(65536):
            writer.write(await through(data))
            await writer.drain()
        writer.close()
    except (OSError, Cut):
        writer.transport.abort()


async def serve(link: Link, reader, writer) -> None:
    """Carry one connection."""
    pipe = Pipe(link)
    if pipe.fate() == "refuse":
        writer.transport.abort()
        return
    try:
        there, back = await asyncio.open_connection("127.0.0.1", link.target)
    except OSError:
        writer.transport.abort()
        return
    ways = [
        asyncio.create_task(carry(reader, back, pipe.asked)),
        asyncio.create_task(carry(there, writer, pipe.answered)),
    ]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    for end in (writer, back):
        if pipe.mode == "pass":
            end.close()
        else:
            end.transport.abort()


async def main(arguments: list[str]) -> None:
    """Listen, and take orders until there are none."""
    links: dict[str, Link] = {}
    for argument in arguments:
        name, _, ports = argument.partition("=")
        listen, _, target = ports.partition(":")
        link = links[name] = Link(int(target))
        await asyncio.start_server(lambda r, w, link=link: serve(link, r, w), "127.0.0.1", listen)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        links[order["link"]].set(order["mode"], order.get("share", 1.0))
        print(json.dumps({name: link.happened for name, link in links.items()}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
