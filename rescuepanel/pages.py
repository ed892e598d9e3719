"""Serve Django's pages: each in one thread from its first middleware to its last.

Django's own handler changes threads for each middleware that is not asynchronous, and gives each
request a thread of its own, with a new connection to the database and to Redis. Ours are all
synchronous: one change of threads is enough, and threads that stay keep their connections.

What open pages ask for by themselves is made two at a time, so that whoever clicks does not wait
behind hundreds of them; what would wait for long is put off.
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


class Pages(ASGIHandler):
    def __init__(self) -> None:
        BaseHandler.__init__(self)  # ASGIHandler's would load the middlewares once more
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")
        self._refreshes = asyncio.Semaphore(REFRESHES)
        # They would be called in a thread of the request's own, which has no connections.
        for receiver in (close_old_connections, reset_queries):
            request_started.disconnect(receiver)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer to a request; 503 to a refresh that waited too long for its turn."""
        if "X-Refresh" not in request.headers:
            return await self._made(request)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._refreshes.acquire()
        except TimeoutError:
            return HttpResponse(status=503, headers={"Retry-After": "3"})
        try:
            return await self._made(request)
        finally:
            self._refreshes.release()

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
