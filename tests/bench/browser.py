"""The list in a browser: bytes and requests over the wire, and when its largest part is there.

``python -m tests.bench.browser``: the panel as it is deployed. Nobody vouches for its certificate,
so Chromium keeps nothing of it: each visit is cold.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.bench.figures import growth, median, ms, verdict
from tests.bench.production import deployed
from tests.browser import chromium, sign_in

ROUNDS = 7
BYTES, REQUESTS, LCP = 150_000, 12, 0.5
LARGEST = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime / 1000))
    .observe({ type: "largest-contentful-paint", buffered: true });
})"""
BLOCKING = """() => performance.getEntriesByType("resource")
  .filter((one) => one.initiatorType === "script" && one.renderBlockingStatus === "blocking")
  .map((one) => one.name)"""


def main() -> int:
    """Measure, print, judge."""
    cold = visits("demo")
    size, requests, lcp = means(cold)
    kept = verdict("bytes, cold", size <= BYTES, f"{size / 1000:.1f} kB <= {BYTES / 1000:.0f} kB")
    kept &= verdict("requests, cold", requests <= REQUESTS, f"{requests:.0f} <= {REQUESTS}")
    kept &= verdict("largest contentful paint, cold", lcp <= LCP, f"{ms(lcp)} <= {ms(LCP)}")
    blocking = sorted({name for view in cold for name in view[3]})
    kept &= verdict("scripts that block rendering", not blocking, ", ".join(blocking) or "none")
    small, large = means(visits("many:500")), means(visits("many:2000"))
    for name, less, more in zip(("bytes", "requests", "paint"), small, large, strict=True):
        growth(f"{name}, 500 to 2,000 servers", less, more)
    return 0 if kept else 1


def visits(seed: str) -> list[tuple[float, float, float, list[str]]]:
    """Load the list of a cloud again and again, each time cold."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        url = stack.enter_context(deployed(folder, seed))
        browser = stack.enter_context(chromium())
        return [visit(browser, url) for _ in range(ROUNDS)]


def means(cold: list[tuple[float, float, float, list[str]]]) -> tuple[float, float, float]:
    """Return the middle of bytes, requests and seconds."""
    bytes_, requests, lcp = (median([view[n] for view in cold]) for n in range(3))
    return bytes_, requests, lcp


def visit(browser: Browser, url: str) -> tuple[float, float, float, list[str]]:
    """Load the list; return bytes, requests, seconds to its largest part, what blocked it."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    sign_in(page, url)
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto("about:blank")
    bytes_, requests = counted(page)
    page.goto(url)
    expect(page.locator("#live")).to_contain_text("Live")
    lcp = page.evaluate(LARGEST)
    blocking = page.evaluate(BLOCKING)
    context.close()
    return float(sum(bytes_)), float(len(requests)), float(lcp), list(blocking)


def counted(page: Page) -> tuple[list[int], list[str]]:
    """Count from now on what comes over the wire; what a cache gave is not counted."""
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    bytes_: list[int] = []
    requests: list[str] = []

    def answered(event: dict[str, Any]) -> None:
        response = event["response"]
        if not response.get("fromDiskCache") and response["url"].startswith("http"):
            requests.append(response["url"])

    wire.on("Network.responseReceived", answered)
    wire.on("Network.loadingFinished", lambda event: bytes_.append(event["encodedDataLength"]))
    return bytes_, requests


if __name__ == "__main__":
    sys.exit(main())
