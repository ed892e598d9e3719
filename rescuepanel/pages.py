"""Serve Django's pages: each in one thread from its first middleware to its last.

Django's own handler changes threads for each middleware that is not asynchronous, and gives each
request a thread of its own, with a new connection to the database and to Redis. Ours are all
synchronous: one change of threads is enough, and threads that stay keep their connections.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest, HttpResponseBase

#: at most as many pages at once; each thread may keep one connection to the database
THREADS = 32


class Pages(ASGIHandler):
    def __init__(self) -> None:
        BaseHandler.__init__(self)  # ASGIHandler's would load the middlewares once more
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")
        # They would be called in a thread of the request's own, which has no connections.
        for receiver in (close_old_connections, reset_queries):
            request_started.disconnect(receiver)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer to a request."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, copy_context().run, self._answer, request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        # What Django does when a request starts and ends, in the thread where it counts.
        close_old_connections()
        try:
            return self.get_response(request)
        finally:
            close_old_connections()
