"""A project's servers page by page: as many at a time as its Nova manages to show."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from instances.cloud.errors import Broken, moment_of
from instances.cloud.facts import Server

PAGE, SMALLEST_PAGE = 200, 20
#: a listing longer than this is one that never ends
MOST_SERVERS = 100_000
#: Nova fails over what it has to ask Neutron for a long page, or a proxy loses patience with it
TOO_MUCH = frozenset({500, 502, 504})


@dataclass(frozen=True)
class Page:
    """Some servers, and when they were so."""

    servers: list[Server]
    more: bool
    #: how many were asked for
    size: int
    #: ``time.monotonic()`` when it was asked for: nothing in it is older
    asked: float
    #: the same moment by the cloud's clock; None when it does not tell
    cloud_time: datetime | None = None

    @property
    def age(self) -> timedelta:
        """Return how long ago it was asked for."""
        return timedelta(seconds=time.monotonic() - self.asked)


def cloud_time(date: str, asked: float) -> datetime | None:
    """Return the cloud's time when a request was sent, by the date in its answer."""
    answered = moment_of(date)
    return answered and answered - timedelta(seconds=time.monotonic() - asked)


Ask = Callable[[dict[str, Any]], Page]


def pages(ask: Ask, query: dict[str, Any], size: int) -> Iterator[Page]:
    """Yield every page; where a page is too much for the cloud, the same one in smaller parts."""
    shown = 0
    while True:
        page = _page(ask, query, size)
        yield page
        if not page.more or not page.servers:
            return
        size = page.size
        shown += len(page.servers)
        if shown >= MOST_SERVERS:
            raise Broken("the listing does not end")
        query = query | {"marker": page.servers[-1].server_id}


def _page(ask: Ask, query: dict[str, Any], size: int) -> Page:
    while True:
        try:
            return ask(query | {"limit": size})
        except Broken as error:
            if error.status not in TOO_MUCH or size <= SMALLEST_PAGE:
                raise
        size = max(SMALLEST_PAGE, size // 2)


def ahead(listing: Iterator[Page]) -> Iterator[Page]:
    """Fetch the page after this one while this one is being worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, listing, None)
        while (page := coming.result()) is not None:
            coming = pool.submit(next, listing, None)
            yield page
