"""Two thousand open pages on one web process: memory for each, and how soon all hear of a change.

``python -m tests.bench.streams``: no cloud is needed. ``STREAMS=500`` asks for fewer.
The first size is there for the ratio: memory for each should not grow.
"""

import asyncio
import os
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import httpx
import psutil
import redis

from instances.events import CHANNEL
from tests.bench import lab
from tests.bench.figures import growth, median, ms, p95, taken, verdict
from tests.bench.visitors import sign_in, until_answers
from tests.panel import PASSWORD, Panel
from tests.services import stop

SIZES = [int(size) for size in os.environ.get("STREAMS", "500,2000").split(",")]
EVENTS = 20
MEMORY = 60  # kB for each open stream, at most
HEARD = 2.0  # seconds until the last of all has heard, at most


class Page:
    """An open stream that notes when it hears of a topic."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.bytes = 0

    async def stay(self, port: int, cookie: str, opened: asyncio.Semaphore) -> None:
        async with opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            asked = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
            writer.write(asked.encode())
            await reader.readuntil(b"resync")
        async for line in reader:
            self.bytes += len(line)
            if line.startswith(b"data: ") and b"instance:" in line:
                for topic in line[6:].decode().split():
                    self.heard[topic] = perf_counter()


def main() -> int:
    """Measure, print, judge."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept, figures = True, []
    for size in SIZES:
        found, within = at(size)
        figures.append(found)
        kept &= within
    small, large = figures[0], figures[-1]
    for name in small:
        growth(name, small[name], large[name], SIZES[-1] / SIZES[0])
    return 0 if kept else 1


def at(size: int) -> tuple[dict[str, float], bool]:
    """Measure with so many open pages, on a panel of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        panel = Panel(folder)
        panel.manage("migrate", "-v0")
        panel.manage("create_team", "Acme", "--owner", "alice@example.org", text=f"{PASSWORD}\n")
        panel.redis.start()
        stack.callback(panel.redis.stop)
        web = panel.web()
        stack.callback(stop, web)
        browser = stack.enter_context(httpx.Client(base_url=panel.url, timeout=30))
        until_answers(browser)
        sign_in(browser)
        return asyncio.run(measure(size, panel, psutil.Process(web.pid), browser))


async def measure(
    size: int, panel: Panel, web: psutil.Process, browser: httpx.Client
) -> tuple[dict[str, float], bool]:
    """Open the pages, tell them of changes, and print what it took."""
    browser.get("/")
    alone = [taken(lambda: browser.get("/healthz")) for _ in range(50)]
    before = web.memory_info().rss
    cookie = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    pages = [Page() for _ in range(size)]
    opened = asyncio.Semaphore(50)
    began = perf_counter()
    tasks = [asyncio.create_task(page.stay(panel.port, cookie, opened)) for page in pages]
    while sum(page.bytes > 0 for page in pages) < size and perf_counter() - began < 120:
        await asyncio.sleep(0.1)
    print(f"{size} streams open after {perf_counter() - began:.1f} s")
    lab.quiet()
    each = (web.memory_info().rss - before) / size / 1000
    events = redis.Redis.from_url(panel.redis.url)
    delays, cpu = [], web.cpu_times()
    for number in range(EVENTS):
        topic = f"instance:{number}"
        told = perf_counter()
        events.publish(CHANNEL, f'{{"team": 1, "topics": ["{topic}"]}}')
        while not all(topic in page.heard for page in pages) and perf_counter() - told < 30:
            await asyncio.sleep(0.02)
        delays.append(max(page.heard.get(topic, told + 30) for page in pages) - told)
    used = web.cpu_times().user + web.cpu_times().system - cpu.user - cpu.system
    idle = web.cpu_times()
    await asyncio.sleep(20)
    resting = (web.cpu_times().user + web.cpu_times().system - idle.user - idle.system) / 20
    loop = asyncio.get_running_loop()
    beside = [
        await loop.run_in_executor(None, lambda: taken(lambda: browser.get("/healthz")))
        for _ in range(50)
    ]
    for task in tasks:
        task.cancel()
    subscribed = events.pubsub_numsub(CHANNEL)[0][1]
    print(
        f"    {each:.1f} kB of memory a stream; the last of all hears of a change after "
        f"{ms(median(delays))} (p95 {ms(p95(delays))}); {used / EVENTS / size * 1e6:.0f} us of "
        f"CPU a stream and change; {resting:.1%} of a core with nothing to tell; "
        f"/healthz {ms(median(beside))}, {ms(median(alone))} before"
    )
    kept = verdict("memory for each open stream", each <= MEMORY, f"{each:.1f} kB <= {MEMORY} kB")
    kept &= verdict("all have heard", p95(delays) <= HEARD, f"p95 {p95(delays):.2f} s <= {HEARD} s")
    kept &= verdict("subscriptions in Redis for all of them", subscribed == 1, str(subscribed))
    return {
        "memory for each open stream": each,
        "until the last has heard": median(delays),
        "CPU a stream and change": used / EVENTS / size,
    }, kept


if __name__ == "__main__":
    sys.exit(main())
