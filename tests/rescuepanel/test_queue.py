"""Celery with our settings on a real Redis: what it survives, and what it carries along.

Celery 5.7.0 fails the first of these; pyproject.toml's pin may go when a newer one passes.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from rescuepanel.health import WORKER_KEY
from tests.services import ROOT, RedisServer, stop, wait_until


class Queue:
    """A worker on a Redis of its own, and a file where its tasks leave words."""

    def __init__(self, folder: Path, app: str) -> None:
        self.app = app
        self.broker = RedisServer(folder)
        self.notes = folder / "notes"
        self.log = folder / "worker.log"
        self.notes.touch()

    def start(self) -> None:
        self.broker.start()
        self.environment = os.environ | {"REDIS_URL": self.broker.url}
        command = ["celery", "-A", self.app, "worker", "--concurrency=2"]
        with self.log.open("wb") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=self.environment, stderr=log
            )
        wait_until(self.is_alive, "the worker's mark", 30)

    def is_alive(self) -> bool:
        with redis.Redis.from_url(self.broker.url) as client:
            return bool(client.exists(WORKER_KEY))

    def send(self, call: str) -> None:
        code = (
            "import structlog; structlog.contextvars.bind_contextvars(request_id='click-0001');"
            f"from tests.rescuepanel.queue_app import note, slow; {call}"
        )
        environment = self.environment | {"NOTES": str(self.notes)}
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)

    def has(self, word: str, times: int = 1) -> bool:
        return self.notes.read_text().count(word) >= times


APP = "tests.rescuepanel.queue_app"
#: a worker of processes, and the machines' one of threads
both = pytest.mark.parametrize("queue", [APP, "tests.rescuepanel.threads_app"], indirect=True)


@pytest.fixture
def queue(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Queue]:
    """Give a running worker."""
    queue = Queue(tmp_path, getattr(request, "param", APP))
    queue.start()
    yield queue
    stop(queue.worker)
    queue.broker.stop()


NOTES = "__import__('os').environ['NOTES']"


@both
def test_a_worker_outlives_a_broker_killed_under_its_task(queue: Queue) -> None:
    queue.send(f"slow.delay({NOTES}, 4)")
    wait_until(lambda: queue.has("started"), "the task's start")
    queue.broker.kill()
    wait_until(lambda: "Connection to broker lost" in queue.log.read_text(), "the loss", 15)
    queue.broker.start()
    queue.send(f"note.delay({NOTES}, 'next')")
    wait_until(lambda: queue.has("next"), "the next task", 20)
    assert queue.worker.poll() is None


def test_a_killed_child_runs_its_task_again(queue: Queue) -> None:
    queue.send(f"slow.delay({NOTES}, 2)")
    wait_until(lambda: queue.has("started"), "the task's start")
    for child in psutil.Process(queue.worker.pid).children():
        child.kill()
    wait_until(lambda: queue.has("ended"), "the task's second run", 20)
    assert queue.has("started", times=2)


def test_a_stopping_worker_gives_its_task_back(queue: Queue) -> None:
    queue.send(f"slow.delay({NOTES}, 20)")
    wait_until(lambda: queue.has("started"), "the task's start")
    queue.worker.send_signal(signal.SIGQUIT)
    queue.worker.wait(20)
    with redis.Redis.from_url(queue.broker.url) as client:
        assert client.llen("rescuepanel") + client.hlen("unacked") == 1  # type: ignore[operator]


def test_what_may_wait_lets_others_by(queue: Queue) -> None:
    words = "late soon soon soon soon".split()
    queue.send(
        f"""[slow.delay({NOTES}, 2) for _child in 'ab']
while open({NOTES}).read().count('started') < 2: pass
[note.apply_async(({NOTES}, word), priority=9 * (word == 'late')) for word in {words}]"""
    )
    wait_until(lambda: queue.has("late"), "the one that waits", 20)
    told = [word for word in queue.notes.read_text().split() if word in words]
    assert told.index("late") >= 2  # one may have been fetched before


@both
def test_a_clicks_number_reaches_the_task(queue: Queue) -> None:
    queue.send(f"note.delay({NOTES}, 'word')")
    wait_until(lambda: queue.has("word"), "the task")
    assert queue.notes.read_text() == "word click-0001\n"


def test_the_worker_takes_json_only(queue: Queue) -> None:
    queue.send(f"note.apply_async(({NOTES}, 'evil'), serializer='pickle')")
    queue.send(f"note.delay({NOTES}, 'good')")
    wait_until(lambda: queue.has("good"), "the task")
    assert "Refusing to deserialize" in queue.log.read_text()
    assert not queue.has("evil")
