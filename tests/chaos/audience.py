"""Many open pages and one reader, as live.js has them: ``python -m tests.chaos.audience``.

The arguments are the web processes' ports, how many pages, how many servers, and a cookie. Each
page shows a part of the list: it asks for a row that changed, for the table when something else
did, and for both when the stream begins anew; how often it looks at what others do, the stream
says. The reader looks at one page after the other. Whoever finds one web process away goes to the
next, as a load balancer does. Takes one JSON object a line and answers with all that was asked
since the last one: kind, seconds, status, as lists.
"""

import asyncio
import gzip
import json
import random
import re
import sys
from contextlib import suppress
from time import perf_counter

GAP = 3.0  # seconds between two tables
SOON = 0.06  # seconds that changes are gathered for
RETRY = 2.0  # seconds until a lost stream is opened again
PATIENCE = 20.0
ROW = re.compile(r'id="instance-(\d+)"')
PAGE_SIZE = 50
PART = "HX-Request: true\r\nX-Refresh: 1\r\n"
PLACES = ("table", "notifications")
#: what the reader looks at; N is a page, I an instance
LOOKS = ("/?page=N", "/?page=N", "/?q=demo", "/?status=rescue", "/?sort=-status&page=N",
         "/instances/I/history", "/notifications")  # fmt: skip


class Site:
    """The web processes, and what was asked of them."""

    def __init__(self, ports: list[int], cookie: str) -> None:
        self.ports, self.cookie = ports, cookie
        self.asked: list[tuple[str, float, int]] = []
        self.events = 0
        self.open = 0

    async def get(self, kind: str, path: str, *, part: bool) -> str:
        """Ask for a page; return its text, "" when there is none; note how long it took."""
        began = perf_counter()
        status, text = 0, ""
        for port in random.sample(self.ports, 2):
            try:
                async with asyncio.timeout(PATIENCE):
                    status, text = await self._once(port, path, part)
                break
            except (OSError, TimeoutError, EOFError, ValueError):
                continue
        self.asked.append((kind, perf_counter() - began, status))
        return text if status == 200 else ""

    async def _once(self, port: int, path: str, part: bool) -> tuple[int, str]:
        reader, writer = await self.begin(port, path, PART if part else "")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if size is None:
                raise ValueError("an answer that was cut")
            body = await reader.readexactly(int(size[1]))
            if b"content-encoding: gzip" in head.lower():
                body = gzip.decompress(body)
            return int(head.split()[1]), body.decode()
        finally:
            writer.close()

    async def begin(
        self, port: int, path: str, headers: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        headers += f"Host: 127.0.0.1\r\nCookie: {self.cookie}\r\nAccept-Encoding: gzip\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode())
        return reader, writer


class Page:
    """A page that is open, and refreshes what it shows."""

    def __init__(self, site: Site, number: int) -> None:
        self.site, self.url = site, f"/?page={number}"
        self.rows: set[str] = set()
        self.waiting: set[str] = set()
        self.woken = asyncio.Event()
        self.asked_at: dict[str, float] = {}
        self.soon: set[str] = set()
        self.pace = 0.0

    async def stay(self, after: float) -> None:
        await asyncio.sleep(after)
        self.shows(await self.site.get("page", self.url, part=False))
        refreshing = asyncio.create_task(self.refresh())
        while True:
            with suppress(OSError, TimeoutError, EOFError, ValueError):
                await self.listen()
            await asyncio.sleep(RETRY)
            if refreshing.done():
                refreshing.result()

    def shows(self, text: str) -> None:
        if text:
            self.rows = set(ROW.findall(text))

    async def listen(self) -> None:
        """Hear what changes, until the stream breaks."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await self.site.begin(random.choice(self.site.ports), "/events")
            head = await reader.readuntil(b"\r\n\r\n")
        if int(head.split()[1]) != 200:
            raise ValueError("no stream")
        self.site.open += 1
        try:
            event = b""
            async for line in reader:
                if line.startswith(b"event: "):
                    event = line[7:].strip()
                elif line.startswith(b"data: ") and event == b"pace":
                    self.pace = float(line[6:])
                elif line.startswith(b"data: "):
                    self.heard(line[6:].decode().split())
        finally:
            self.site.open -= 1
            writer.close()

    def heard(self, topics: list[str]) -> None:
        self.site.events += 1
        for topic in topics:
            kind, _, key = topic.partition(":")
            if kind == "all":
                self.after(random.random() * self.pace / 2, "table", "notifications")
            elif kind == "instance" and key in self.rows:
                self.calmly(key)
            elif kind in ("instance", "list"):
                self.calmly("table")
            elif kind == "rescue":
                self.calmly("notifications")

    def calmly(self, what: str) -> None:
        """Ask for something in time: at once where it was not asked for lately."""
        gaps = {"table": max(GAP, self.pace), "notifications": self.pace}
        gap = gaps.get(what, self.pace / 10)
        rest = self.asked_at.get(what, -gap) + gap - perf_counter()
        self.after(max(random.random() * min(gap, self.pace) / 2, rest), what)

    async def refresh(self) -> None:
        """Ask for what is waiting, again and again; for one thing once at a time."""
        while True:
            await self.woken.wait()
            self.woken.clear()
            await asyncio.sleep(SOON)
            wanted, self.waiting = self.waiting, set()
            await asyncio.gather(*(self.ask(one) for one in wanted))

    def after(self, seconds: float, *what: str) -> None:
        """Ask for these in a while, together with what else asks for them until then."""
        for one in set(what) - self.soon:
            self.soon.add(one)
            asyncio.get_running_loop().call_later(seconds, self.come, one)

    def come(self, what: str) -> None:
        self.soon.discard(what)
        self.waiting.add(what)
        self.woken.set()

    async def ask(self, what: str) -> None:
        self.asked_at[what] = perf_counter()
        kind = what if what in PLACES else "row"
        path = {"table": self.url, "notifications": "/notifications"}.get(what)
        text = await self.site.get(kind, path or f"/instances/{what}/row", part=True)
        if not text:
            self.after(max(3.0, random.random() * self.pace), what)
        elif kind == "table":
            self.shows(text)
        elif kind == "row":
            asyncio.get_running_loop().call_later(1, self.calmly, "table")  # the filters count anew


async def read(site: Site, pages: list[Page]) -> None:
    """Look at one page after the other, about twice a second."""
    number = 0
    while True:
        await asyncio.sleep(random.uniform(0.3, 0.7))
        page = random.choice(pages)
        look = LOOKS[number % len(LOOKS)].replace("N", page.url.partition("=")[2])
        number += 1
        if "I" in look:
            look = look.replace("I", random.choice(sorted(page.rows) or ["1"]))
        await site.get("read", look, part=False)


async def main(ports: str, many: str, servers: str, cookie: str) -> None:
    """Open the pages, read, and tell."""
    site = Site([int(port) for port in ports.split(",")], cookie)
    last = max(1, int(servers) // PAGE_SIZE)
    pages = [Page(site, 1 + number % last) for number in range(int(many))]
    staying = [asyncio.create_task(page.stay(0.04 * number)) for number, page in enumerate(pages)]
    staying.append(asyncio.create_task(read(site, pages)))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        for task in staying:
            if task.done():
                task.result()
        told, site.asked = site.asked, []
        events, site.events = site.events, 0
        print(json.dumps({"asked": told, "open": site.open, "events": events}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
