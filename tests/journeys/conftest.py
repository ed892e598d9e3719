"""Run the demo, open browsers for the cast, lend instances and take them back."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Response, expect

from tests.browser import Desk, chromium, saying
from tests.journeys.cloud import Cloud
from tests.journeys.visitor import Visitor
from tests.services import running_demo

expect.set_options(timeout=20_000)
# What the browser and htmx write for an answer of 400 and more, when offline, when a click
# overtakes a refresh, or when a row goes while its answer lands.
EXPECTED = (
    "Failed to load resource: the server responded",
    "Failed to load resource: net::ERR_INTERNET_DISCONNECTED",
    "Response Status Error Code",
    "htmx:sendError",
    "htmx:sendAbort",
    "htmx:afterRequest",
    "htmx:afterOnLoad",
    "htmx:oobErrorNoTarget, #acting",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that lies here: it needs the demo and a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Give a running demo: our own, or the one at JOURNEY_URL with its data in DEMO_DIR."""
    if url := os.environ.get("JOURNEY_URL"):
        folder = Path(os.environ.get("JOURNEY_DIR", ".demo"))
        yield SimpleNamespace(
            url=url, cloud=Cloud.of_credentials(folder / "credentials.json"), folder=folder
        )
        return
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        path = running.folder / "data" / "credentials.json"
        yield SimpleNamespace(url=running.url, cloud=Cloud.of_credentials(path), folder=path.parent)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def cloud(demo: SimpleNamespace) -> Iterator[Cloud]:
    """Give the demo's cloud, healthy and quick; heal it afterwards."""
    demo.cloud.heal()
    yield demo.cloud
    demo.cloud.heal()


class Cast(dict[str, Visitor]):
    """The cast's sessions over plain HTTP, each begun when it is first asked for."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __missing__(self, name: str) -> Visitor:
        self[name] = Visitor(self.url, name)
        return self[name]


@pytest.fixture(scope="session")
def visitors(demo: SimpleNamespace) -> Cast:
    """Give sessions without a browser for the cast."""
    return Cast(demo.url)


@pytest.fixture
def borrow(cloud: Cloud, visitors: Cast) -> Iterator[Callable[[str], str]]:
    """Lend instances by name; put them back as they were, and their notifications away."""

    def borrow(name: str) -> str:
        cloud.borrow(name)
        return name

    yield borrow
    cloud.heal()
    names = list(cloud.found)
    for name in names:
        cloud.put_back(name)
    lasting = [name for name in names if cloud.server(name)["vm_state"] != "rescued"]
    for name in ("alice", "bob", "carol"):
        visitors[name].put_away(lasting)


class Watch:
    """What pages complain about: a script that fails, a policy violated, a server's error."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def over(self, page: Page) -> None:
        page.on("pageerror", self._failed)
        page.on("console", self._said)
        page.on("response", self._answered)

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"script: {error}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED):
            self.complaints.append(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"answer: {response.status} {response.url}")


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watch all pages of a test; fail it when one complains."""
    watching = Watch()
    yield watching
    assert watching.complaints == []


@pytest.fixture
def visit(
    browser: Browser, demo: SimpleNamespace, watch: Watch, visitors: Cast
) -> Iterator[Callable[..., Desk]]:
    """Open the panel in a browser of its own, signed in as one of the cast or as nobody.

    The session is that person's first one, also used without a browser: who is to sign out
    again signs in with a new one.
    """
    with ExitStack() as stack:

        def visit(name: str = "alice", language: str = "en", **options: Any) -> Desk:
            locale = {"en": "en-GB", "fr": "fr-FR"}[language]
            context = browser.new_context(base_url=demo.url, locale=locale, **options)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            stack.callback(context.close)
            context.on("page", watch.over)
            page = context.new_page()
            if name:
                context.add_cookies(
                    [
                        {"name": cookie.name, "value": str(cookie.value), "url": demo.url}
                        for cookie in visitors[name].http.cookies.jar
                    ]
                )
                page.goto("/")
            return Desk(page, saying(language))

        yield visit
