"""Tell open pages at once that something changed: server-sent events beside Django.

An event says only what changed, never how; the page fetches the rest as its own user. One Redis
subscription per process feeds all browsers. Whatever may have been missed ends in a ``resync``.
"""

import asyncio
import json
import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from instances.events import CHANNEL, WATCHED
from rescuepanel.visitors import session_key_of, whose
from teams.models import Team

logger = logging.getLogger(__name__)

WATCHED_FOR = 45
#: how many pages each web process has open, see figures.py
STREAMS = "rescuepanel:streams"
STREAMS_KNOWN_FOR = 45.0
MOST_TOPICS_WAITING = 200
LONGEST_SEND = 30
#: A page rests between two looks at what others do, for n²/330 s where this process has n pages of
#: the same team open: a look costs some 30 ms, and 167 pages take 2 looks a second, 30 pages 11.
PACE, SLOWEST = 1 / 330, 120
#: Each change costs 70 µs for each page that hears of it: where many do, what comes within a while
#: is told together, n/200 s for n pages, at most a second.
GATHERS, GATHERED = 1 / 200, 1.0
_TOPIC = re.compile(r"[a-z]+(:[0-9a-f-]+)?")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would gather events for a while before passing them on.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_RETRY = b"retry: 2000\n\n"
_RESYNC = b"event: resync\ndata: all\n\n"
_PING = b": ping\n\n"
_STAFF = b"event: change\ndata: staff\n\n"


@dataclass(frozen=True)
class Visitor:
    """Whose events a session may see, and for how many seconds at most."""

    teams: frozenset[int]
    seconds: float = float("inf")


@dataclass(eq=False)
class Listener:
    """One open page: whose events it may see, and what it has not been told yet."""

    teams: frozenset[int]
    waiting: set[str] = field(default_factory=set)
    lost: bool = True  # at the start a page may have missed anything
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    until: float = float("inf")  # of the monotonic clock: who acts for somebody must go then
    doubted: bool = False  # who may listen has to be looked up again now
    pace: int = 0  # seconds, as it was told last

    def is_of(self, visitor: Visitor) -> None:
        """Note whose page this is."""
        self.teams, self.until = visitor.teams, time.monotonic() + visitor.seconds

    def add(self, topics: Iterable[str]) -> None:
        """Note topics to tell; too many for a slow browser become one resync."""
        self.waiting.update(topics)
        self.doubted |= "staff" in self.waiting
        if len(self.waiting) > MOST_TOPICS_WAITING:
            self.lost = True
        self.woken.set()

    def lose(self) -> None:
        """Note that something may have been missed."""
        self.lost = True
        self.woken.set()

    def take(self, pace: int = 0) -> bytes:
        """Return what to send now, and forget it; first at which pace to ask, if that changed."""
        before, self.pace = self.pace, pace
        told = f"event: pace\ndata: {pace}\n\n".encode() if pace != before else b""
        return told + self._news()

    def _news(self) -> bytes:
        self.woken.clear()
        topics, lost = self.waiting, self.lost
        self.waiting, self.lost = set(), False
        if lost:
            return _RESYNC
        return f"event: change\ndata: {' '.join(sorted(topics))}\n\n".encode() if topics else _PING


class Hub:
    """Follow the events channel once for all pages of this process."""

    def __init__(self, url: str, mark_every: float = 15.0) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=3, socket_connect_timeout=2, decode_responses=True
        )
        self._mark_every = mark_every
        self._name = uuid.uuid4().hex
        self._listeners: set[Listener] = set()
        self._pages: Counter[int] = Counter()  # of each team
        self._task: asyncio.Task[None] | None = None

    async def add(self, listener: Listener) -> None:
        """Let a page hear from now on."""
        self._listeners.add(listener)
        self._pages.update(listener.teams)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow_for_ever())
        try:
            await self._mark_watched(listener.teams)
        except (redis.RedisError, OSError) as error:
            logger.warning("cannot note who watches: %s", type(error).__name__)

    def pace(self, listener: Listener) -> int:
        """Return for how many seconds a page rests between two looks at what others do."""
        most = max((self._pages[team] for team in listener.teams), default=0)
        return min(int(most * most * PACE), SLOWEST)

    def gathers(self, listener: Listener) -> float:
        """Return for how many seconds changes are gathered before a page is told of them."""
        return 0.0 if listener.doubted else min(len(self._listeners) * GATHERS, GATHERED)

    def moved(self, listener: Listener, visitor: Visitor) -> None:
        """Note that somebody sees other teams than before."""
        self._pages.subtract(listener.teams)
        listener.is_of(visitor)
        self._pages.update(listener.teams)

    def remove(self, listener: Listener) -> None:
        """Forget a page that closed."""
        self._listeners.discard(listener)
        self._pages.subtract(listener.teams)

    async def _follow_for_ever(self) -> None:
        pause = 0.1
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except (redis.RedisError, OSError) as error:
                logger.warning("event channel lost: %s", type(error).__name__)
            pause = 0.1 if time.monotonic() - started > 5 else min(pause * 2, 2.0)
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            marked = time.monotonic()
            while True:
                message = await channel.get_message(timeout=1.0)
                if message:
                    self._hear(message)
                if time.monotonic() - marked >= self._mark_every:
                    # Also notices a Redis that hangs: reading alone would wait for ever.
                    marked = time.monotonic()
                    await self._mark_watched(frozenset().union(*(_.teams for _ in self._listeners)))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            # Confirmed only now, and again whenever redis-py reconnects by itself: between the
            # loss and this moment anything may have been said.
            for listener in self._listeners:
                listener.lose()
        elif message["type"] == "message":
            self._pass_on(message["data"])

    def _pass_on(self, data: str) -> None:
        try:
            event = json.loads(data)
            team, topics = event["team"], [t for t in event["topics"] if _TOPIC.fullmatch(t)]
        except (ValueError, KeyError, TypeError):
            logger.warning("unreadable event ignored")
            return
        for listener in self._listeners:
            if topics and team in listener.teams:
                listener.add(topics)

    async def _mark_watched(self, teams: frozenset[int]) -> None:
        said = json.dumps({"open": len(self._listeners), "at": time.time()})
        async with self._redis.pipeline(transaction=False) as batch:
            batch.hset(STREAMS, self._name, said)
            for team in teams:
                batch.set(WATCHED.format(team=team), "1", ex=WATCHED_FOR)
            await batch.execute()


class Stream:
    """Serve /events as a raw ASGI application: Django's middlewares cost ten times as much."""

    def __init__(self, url: str, *, ping: float = 20.0, recheck: float = 60.0) -> None:
        self._hub = Hub(url)
        self._ping, self._recheck = ping, recheck

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one browser for as long as it stays."""
        if scope["method"] != "GET":
            return await _answer(send, 405)
        session_key = session_key_of(scope)
        try:
            visitor = await _visitor(session_key)
        except DatabaseError:
            # Any status but 200 makes a browser give up for good; a closed stream is tried again.
            return await _answer(send, 200, _RETRY)
        if visitor is None:
            return await _answer(send, 401)
        listener = Listener(visitor.teams)
        listener.is_of(visitor)
        await self._hub.add(listener)
        try:
            await self._tell(listener, session_key, receive, send)
        except (TimeoutError, DatabaseError, OSError):
            return None
        finally:
            self._hub.remove(listener)

    async def _tell(
        self,
        listener: Listener,
        session_key: str,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        gone.add_done_callback(lambda _: listener.woken.set())
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": _HEADERS,
                    "trailers": False,
                }
            )
            await _send(send, _RETRY)
            checked = time.monotonic()
            while not gone.done():
                now = time.monotonic()
                if listener.doubted or now >= min(checked + self._recheck, listener.until):
                    checked, listener.doubted = now, False
                    if not await self._still_allowed(listener, session_key):
                        await _send(send, _STAFF)  # a page of staff asks, and learns it is over
                        break
                await _send(send, listener.take(self._hub.pace(listener)))
                left = listener.until - time.monotonic()
                await _wait(listener.woken, max(0.05, min(self._ping, left)))
                if listener.woken.is_set() and not gone.done():
                    await asyncio.sleep(self._hub.gathers(listener))
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()

    async def _still_allowed(self, listener: Listener, session_key: str) -> bool:
        visitor = await _visitor(session_key)
        if visitor is None:
            return False
        if visitor.teams != listener.teams:
            listener.waiting.clear()
            listener.lose()
        self._hub.moved(listener, visitor)
        return True


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _send(send: ASGISendCallable, body: bytes) -> None:
    # A browser that takes nothing for so long is gone, whatever TCP thinks.
    async with asyncio.timeout(LONGEST_SEND):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _answer(send: ASGISendCallable, status: int, body: bytes = b"") -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": _HEADERS, "trailers": False}
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _disconnected(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@sync_to_async(thread_sensitive=False)
def _visitor(session_key: str) -> Visitor | None:
    """Return who looks on with a session; None without anybody. Never writes the session."""
    try:
        person, access = whose(session_key)
        if person is None:
            return None
        teams = frozenset(Team.objects.of(person).values_list("pk", flat=True))
        if access is None:
            return Visitor(teams)
        return Visitor(teams, (access.until - timezone.now()).total_seconds())
    finally:
        close_old_connections()
