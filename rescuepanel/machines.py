"""Celery for the worker that logs in to rescued machines: many at a time, on threads.

It waits nearly all the time, for machines. One that hangs keeps its own thread and nobody else's
try. What runs here ends by itself (instances/ssh bounds whatever it does), so it needs none of the
time limits that only a process of its own can be given.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency.thread import TaskPool

from rescuepanel.celery import app

__all__ = ["Threads", "app"]


class Threads(TaskPool):
    """Celery's pool of threads, which raises when its worker loses the broker or is stopped."""

    executor: ThreadPoolExecutor

    def terminate_job(self, pid: Any, signal: Any = None) -> None:
        """Let the thread come to its own end; its message comes again and finds the lease taken."""

    def on_stop(self) -> None:
        """Begin nothing more; what is under way ends by itself, or with the process."""
        self.executor.shutdown(wait=False, cancel_futures=True)


app.conf.worker_pool = "rescuepanel.machines:Threads"
