"""The same tasks on the threads of the worker that logs in to machines."""

from rescuepanel.machines import app
from tests.rescuepanel import queue_app

__all__ = ["app", "queue_app"]
