"""Serve Django's pages: each in one thread from its first middleware to its last.

Django's own handler changes threads for each middleware that is not asynchronous, and gives each
request a thread of its own, with a new connection to the database and to Redis. Ours are all
synchronous: one change of threads is enough, and threads that stay keep their connections.

What open pages ask for by themselves is made two at a time, and while many of them wait for a small
part of the time, so that whoever clicks does not wait behind hundreds of them; what would wait for
long is put off.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest, HttpResponse, HttpResponseBase

#: at most as many pages at once; each thread may keep one connection to the database
THREADS = 32
#: of them for what open pages refresh by themselves, and how many seconds one waits for its turn
REFRESHES, PATIENCE = 2, 3.0
#: A refresh's place rests after it: for a quarter of the time it took for each one that waits, for
#: six times as long at most, but no longer than half a second: one that hung tells nothing of the
#: next. Two places then take two sevenths of a process.
REST, MOST_TIMES, LONGEST_REST = 0.25, 6.0, 0.5


class Pages(ASGIHandler):
    def __init__(self) -> None:
        BaseHandler.__init__(self)  # ASGIHandler's would load the middlewares once more
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")
        self._refreshes = asyncio.Semaphore(REFRESHES)
        self._waiting = 0
        # They would be called in a thread of the request's own, which has no connections.
        for receiver in (close_old_connections, reset_queries):
            request_started.disconnect(receiver)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer to a request; 503 to a refresh that waited too long for its turn."""
        if "X-Refresh" not in request.headers:
            return await self._made(request)
        if not await self._has_its_turn():
            return HttpResponse(status=503, headers={"Retry-After": "3"})
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await self._made(request)
        finally:
            rest = (loop.time() - began) * min(self._waiting * REST, MOST_TIMES)
            loop.call_later(min(rest, LONGEST_REST), self._refreshes.release)

    async def _has_its_turn(self) -> bool:
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._refreshes.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    async def _made(self, request: HttpRequest) -> HttpResponseBase:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, copy_context().run, self._answer, request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        # What Django does when a request starts and ends, in the thread where it counts.
        close_old_connections()
        try:
            return self.get_response(request)
        finally:
            close_old_connections()
