"""A page is answered in one thread, which keeps its connection for the next one."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse

from rescuepanel import pages as module
from rescuepanel.pages import Pages


def answered(pages: Pages, path: str) -> HttpResponse:
    request = HttpRequest()
    request.path = request.path_info = path
    request.method = "GET"
    return asyncio.run(pages.get_response_async(request))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """Note in which thread each page is made, and with which connection."""
    noted: list[tuple[int, Any]] = []

    def answer(_self: Any, request: HttpRequest) -> HttpResponse:
        connection.ensure_connection()
        noted.append((threading.get_ident(), connection.connection))
        return HttpResponse("made")

    monkeypatch.setattr(BaseHandler, "get_response", answer)
    return noted


def test_a_connection_is_kept_for_the_next_page(
    seen: list[tuple[int, Any]], monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    pages = Pages()
    pages._threads = ThreadPoolExecutor(1)
    with django_db_blocker.unblock():
        for path in ("/", "/", "/"):
            assert answered(pages, path).content == b"made"
        pages._threads.submit(lambda: connection.close()).result()
    threads = {thread for thread, _ in seen}
    assert len(threads) == 1 and threads != {threading.get_ident()}
    assert len({id(link) for _, link in seen}) == 1


def test_who_clicks_does_not_wait_behind_what_pages_refresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go, at_work = threading.Event(), []

    def answer(_self: Any, request: HttpRequest) -> HttpResponse:
        if "X-Refresh" in request.headers:
            at_work.append(request)
            let_go.wait(10)
        return HttpResponse("made")

    def asked(*, refreshes: bool) -> HttpRequest:
        request = HttpRequest()
        request.META = {"HTTP_X_REFRESH": "1"} if refreshes else {}
        return request

    async def crowd() -> tuple[list[int], bytes]:
        pages = Pages()
        refreshing = [
            asyncio.create_task(pages.get_response_async(asked(refreshes=True))) for _ in range(6)
        ]
        await asyncio.sleep(0.05)
        clicked: Any = await pages.get_response_async(asked(refreshes=False))
        assert len(at_work) == module.REFRESHES
        await asyncio.sleep(0.5)  # longer than they wait for their turn
        let_go.set()
        late: Any = await pages.get_response_async(asked(refreshes=True))
        statuses = [(await one).status_code for one in refreshing]
        return [*statuses, late.status_code], clicked.content

    monkeypatch.setattr(BaseHandler, "get_response", answer)
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    statuses, clicked = asyncio.run(crowd())
    assert clicked == b"made"
    assert statuses == [200, 200, 503, 503, 503, 503, 200]


def test_while_many_refreshes_wait_they_leave_most_of_the_time_to_who_clicks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    took = 0.02

    def answer(_self: Any, request: HttpRequest) -> HttpResponse:
        time.sleep(took)
        return HttpResponse("made")

    def refresh() -> HttpRequest:
        request = HttpRequest()
        request.META = {"HTTP_X_REFRESH": "1"}
        return request

    async def lasts(many: int) -> float:
        pages, began = Pages(), time.monotonic()
        asked = [pages.get_response_async(refresh()) for _ in range(many)]
        answers: list[Any] = await asyncio.gather(*asked)
        assert {one.status_code for one in answers} == {200}
        return time.monotonic() - began

    monkeypatch.setattr(BaseHandler, "get_response", answer)
    few, many = asyncio.run(lasts(2)), asyncio.run(lasts(20))
    assert few < 3 * took  # nobody waits: nothing rests
    assert many > 10 * took * 2.5
