"""The live stream, on a real uvicorn and a real Redis."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis
import uvicorn
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from rescuepanel.stream import MOST_TOPICS_WAITING, STREAMS, Hub, Listener, Stream, Visitor
from teams.models import Impersonation
from tests.services import RedisServer, free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
CHANNEL = "rescuepanel:events"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis of this test's own, to be killed at will."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def address(broker: RedisServer, db: None) -> Iterator[str]:
    """Serve the stream, in a hurry; yield its address."""
    port = free_port()
    stream = Stream(broker.url, ping=0.2, recheck=0.4)
    config = uvicorn.Config(
        stream, port=port, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "uvicorn starting")
    yield f"http://127.0.0.1:{port}/events"
    server.should_exit = True
    thread.join(10)


class Browser:
    """An EventSource in a thread: what it was told, in order."""

    def __init__(self, address: str, user: Any, acting_for: Any = None) -> None:
        client = Client()
        client.force_login(user)
        if acting_for:
            path = f"/staff/people/{acting_for.pk}/impersonate"
            assert client.post(path, {"reason": "Ticket 1"}).status_code == 302
        self.session_key = client.session.session_key
        self._address, self._cookies = address, cookies_of(client)
        self.events: list[tuple[str, str]] = []
        self.comments = 0
        self.headers: httpx.Headers | None = None
        self.open = False
        self._stop = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: bool(self.events), "the first event")

    def _listen(self) -> None:
        name = ""
        with (
            httpx.Client(cookies=self._cookies, timeout=10) as client,
            client.stream("GET", self._address) as answer,
        ):
            self.headers, self.open = answer.headers, True
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    self.events.append((name, value))
                elif line.startswith(":"):
                    self.comments += 1
                if self._stop:
                    break
        self.open = False

    def hears(self, event: tuple[str, str], seconds: float = 5.0) -> None:
        wait_until(lambda: event in self.events, f"{event} in {self.events}", seconds)

    def close(self) -> None:
        self._stop = True
        self._thread.join(5)


def say(broker: RedisServer, team: Any, *topics: str) -> int:
    """Publish a change as instances.events does; return how many processes heard it."""
    with redis.Redis.from_url(broker.url) as client:
        return int(client.publish(CHANNEL, json.dumps({"team": team.pk, "topics": topics})))  # type: ignore[arg-type]


def cookies_of(client: Client) -> dict[str, str]:
    name = settings.SESSION_COOKIE_NAME
    return {name: client.cookies[name].value}


def heard_by_hub(broker: RedisServer) -> None:
    """Wait for the hub's subscription."""
    with redis.Redis.from_url(broker.url) as client:
        wait_until(lambda: dict(client.pubsub_numsub(CHANNEL)).get(CHANNEL.encode()) == 1, "a hub")


def test_a_stranger_gets_no_stream(address: str) -> None:
    answer = httpx.get(address)
    assert (answer.status_code, answer.text) == (401, "")
    forged = httpx.get(address, cookies={settings.SESSION_COOKIE_NAME: "0" * 32})
    assert forged.status_code == 401


def test_the_key_of_a_session_s_row_opens_no_stream(address: str, bob: Any) -> None:
    client = Client()
    client.force_login(bob)
    key = client.session.session_key or ""
    assert httpx.get(address, cookies={settings.SESSION_COOKIE_NAME: key}).status_code == 401


def test_a_stranger_s_try_writes_no_session(address: str) -> None:
    assert httpx.get(address).status_code == 401
    assert Session.objects.count() == 0


def test_only_get_is_served(address: str) -> None:
    assert httpx.post(address).status_code == 405


def test_a_page_starts_with_a_resync_and_proper_headers(address: str, teams: Any, bob: Any) -> None:
    browser = Browser(address, bob)
    assert browser.events[0] == ("resync", "all")
    assert browser.headers is not None
    assert browser.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert browser.headers["cache-control"] == "no-store"
    assert browser.headers["x-accel-buffering"] == "no"
    wait_until(lambda: browser.comments > 1, "a ping")
    browser.close()


def test_a_change_reaches_its_team_fast_and_no_other(
    address: str, broker: RedisServer, teams: Any, bob: Any, mallory: Any
) -> None:
    ours, theirs = Browser(address, bob), Browser(address, mallory)
    heard_by_hub(broker)
    started = time.monotonic()
    say(broker, teams.acme, "instance:7", "list")
    ours.hears(("change", "instance:7 list"))
    assert time.monotonic() - started < 1
    say(broker, teams.other, "rescue:6f1e3f0e-0000-4000-8000-000000000000")
    theirs.hears(("change", "rescue:6f1e3f0e-0000-4000-8000-000000000000"))
    assert [event for event in theirs.events if "instance" in event[1]] == []
    assert [event for event in ours.events if "rescue" in event[1]] == []
    ours.close()
    theirs.close()


def test_one_subscription_serves_all_browsers(
    address: str, broker: RedisServer, teams: Any, bob: Any
) -> None:
    browsers = [Browser(address, bob) for _ in range(5)]
    heard_by_hub(broker)
    assert say(broker, teams.acme, "list") == 1
    for browser in browsers:
        browser.hears(("change", "list"))
        browser.close()


def test_a_killed_redis_ends_in_a_resync(
    address: str, broker: RedisServer, teams: Any, bob: Any
) -> None:
    browser = Browser(address, bob)
    heard_by_hub(broker)
    before = browser.events.count(("resync", "all"))
    broker.kill()
    time.sleep(0.5)
    assert browser.open
    broker.start()
    wait_until(lambda: browser.events.count(("resync", "all")) > before, "a resync", 10)
    heard_by_hub(broker)
    say(broker, teams.acme, "list")
    browser.hears(("change", "list"))
    browser.close()


def test_pages_open_while_redis_is_away(
    address: str, broker: RedisServer, teams: Any, bob: Any
) -> None:
    broker.kill()
    browser = Browser(address, bob)
    assert browser.events == [("resync", "all")]
    broker.start()
    wait_until(lambda: len(browser.events) > 1, "a resync", 10)
    browser.close()


def test_signing_out_ends_the_stream(address: str, teams: Any, bob: Any) -> None:
    browser = Browser(address, bob)
    Session.objects.filter(session_key=browser.session_key).delete()
    wait_until(lambda: not browser.open, "the stream's end")


def test_a_disabled_person_loses_the_stream(address: str, teams: Any, bob: Any) -> None:
    browser = Browser(address, bob)
    type(bob).objects.filter(pk=bob.pk).update(is_active=False)
    wait_until(lambda: not browser.open, "the stream's end")


def test_leaving_a_team_stops_its_events(
    address: str, broker: RedisServer, teams: Any, bob: Any
) -> None:
    browser = Browser(address, bob)
    heard_by_hub(broker)
    before = len(browser.events)
    bob.memberships.all().delete()
    wait_until(lambda: len(browser.events) > before, "the resync after the change of teams")
    say(broker, teams.acme, "list")
    time.sleep(0.5)
    assert ("change", "list") not in browser.events
    browser.close()


def test_an_open_page_marks_its_team_as_watched(
    address: str, broker: RedisServer, teams: Any, bob: Any
) -> None:
    browser = Browser(address, bob)
    with redis.Redis.from_url(broker.url) as client:
        assert 0 < client.ttl(f"rescuepanel:watched:{teams.acme.pk}") <= 45  # type: ignore[operator]
        assert not client.exists(f"rescuepanel:watched:{teams.other.pk}")
    browser.close()


def test_nonsense_on_the_channel_is_ignored(
    address: str, broker: RedisServer, teams: Any, bob: Any
) -> None:
    browser = Browser(address, bob)
    heard_by_hub(broker)
    with redis.Redis.from_url(broker.url) as client:
        for data in ("", "[]", "{", '{"team": 1}', '{"team": 1, "topics": [3]}'):
            client.publish(CHANNEL, data)
    say(broker, teams.acme, "list\n\nevent: evil", "list")
    browser.hears(("change", "list"))
    assert all("evil" not in name for name, _ in browser.events)
    browser.close()


def test_a_slow_browser_is_told_to_look_at_everything() -> None:
    listener = Listener(frozenset({1}))
    assert listener.take() == b"event: resync\ndata: all\n\n"
    listener.add([f"instance:{number}" for number in range(MOST_TOPICS_WAITING + 1)])
    assert listener.take() == b"event: resync\ndata: all\n\n"
    assert listener.waiting == set()
    listener.add(["instance:1"])
    listener.add(["instance:1", "list"])
    assert listener.take() == b"event: change\ndata: instance:1 list\n\n"


def test_a_page_is_told_its_pace_when_that_changes() -> None:
    listener = Listener(frozenset({1}))
    assert listener.take(3) == b"event: pace\ndata: 3\n\nevent: resync\ndata: all\n\n"
    assert listener.take(3) == b": ping\n\n"
    listener.add(["list"])
    assert listener.take(0) == b"event: pace\ndata: 0\n\nevent: change\ndata: list\n\n"


def test_the_more_pages_are_open_the_calmer_each_is(broker: RedisServer) -> None:
    async def paces() -> list[int]:
        hub, found = Hub(broker.url), []
        mine, other = Listener(frozenset({1, 2})), Listener(frozenset({2}))
        await hub.add(other)
        await hub.add(mine)
        others = [Listener(frozenset({1})) for _page in range(499)]
        for number, one in enumerate(others, start=2):
            await hub.add(one)
            if number in (18, 19, 50, 500):
                found.append(hub.pace(mine))
        assert hub.pace(other) == 0  # another team's pages
        for one in others[:450]:
            hub.remove(one)
        found.append(hub.pace(mine))
        for one in others[450:481]:
            hub.moved(one, Visitor(frozenset({2})))
        return [*found, hub.pace(mine), hub.pace(others[-1])]

    assert asyncio.run(paces()) == [0, 1, 7, 120, 7, 3, 1]


def test_where_many_pages_are_open_what_comes_within_a_while_is_told_together(
    address: str, broker: RedisServer, teams: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(address, bob)
    heard_by_hub(broker)
    monkeypatch.setattr(Hub, "gathers", lambda hub, listener: 0.5)
    for number in range(1, 6):
        say(broker, teams.acme, f"instance:{number}")
        time.sleep(0.02)
    browser.hears(("change", "instance:1 instance:2 instance:3 instance:4 instance:5"))
    assert browser.events.count(("change", "instance:5")) == 0
    browser.close()


def test_how_long_changes_are_gathered_grows_with_the_pages(broker: RedisServer) -> None:
    async def times() -> list[float]:
        hub, found = Hub(broker.url), []
        pages = [Listener(frozenset({1})) for _page in range(500)]
        for number, one in enumerate(pages, start=1):
            await hub.add(one)
            if number in (1, 20, 500):
                found.append(hub.gathers(pages[0]))
        pages[0].add(["staff"])  # whether it may hear anything is looked up at once
        return [*found, hub.gathers(pages[0])]

    assert asyncio.run(times()) == [0.005, 0.1, 1.0, 0.0]


def test_a_hung_redis_is_noticed(broker: RedisServer) -> None:
    """Freeze Redis: reading alone would wait for ever, the mark's time-out shows it."""

    async def follow() -> bool:
        hub, listener = Hub(broker.url, mark_every=0.3), Listener(frozenset({1}))
        await hub.add(listener)
        await asyncio.sleep(1)
        listener.take()
        assert broker.process
        broker.process.send_signal(19)
        await asyncio.sleep(4)
        broker.process.send_signal(18)
        async with asyncio.timeout(8):
            await listener.woken.wait()
        return listener.lost

    assert asyncio.run(follow())


def test_a_database_that_is_away_asks_the_browser_to_try_again(
    address: str, teams: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def away(_user: Any) -> SimpleNamespace:
        raise OperationalError

    client = Client()
    client.force_login(bob)
    monkeypatch.setattr("rescuepanel.visitors.person_behind", away)
    answer = httpx.get(address, cookies=cookies_of(client))
    assert (answer.status_code, answer.text) == (200, "retry: 2000\n\n")


def test_staff_who_act_hear_the_customer_s_teams(
    address: str, broker: RedisServer, teams: Any, bob: Any, sam: Any
) -> None:
    page = Browser(address, sam, acting_for=bob)
    heard_by_hub(broker)
    say(broker, teams.acme, "instance:7")
    page.hears(("change", "instance:7"))
    page.close()


@pytest.mark.parametrize("how", ["ended", "expired"])
def test_their_stream_ends_with_the_impersonation(
    address: str, broker: RedisServer, teams: Any, bob: Any, sam: Any, settings: Any, how: str
) -> None:
    settings.IMPERSONATION_MINUTES = 0.02 if how == "expired" else 10
    page = Browser(address, sam, acting_for=bob)
    heard_by_hub(broker)
    if how == "ended":
        Impersonation.objects.update(ended_at=timezone.now())
        say(broker, teams.acme, "staff")
    page.hears(("change", "staff"))
    wait_until(lambda: not page.open, "the stream's end")
    say(broker, teams.acme, "instance:8")
    assert ("change", "instance:8") not in page.events


def test_each_web_process_says_how_many_pages_it_has(
    address: str, broker: RedisServer, teams: Any, alice: Any, bob: Any
) -> None:
    pages = [Browser(address, alice), Browser(address, bob)]
    with redis.Redis.from_url(broker.url) as client:
        said = [json.loads(value) for value in client.hvals(STREAMS)]  # type: ignore[union-attr]
    assert [row["open"] for row in said] == [2]
    assert said[0]["at"] == pytest.approx(time.time(), abs=10)
    for page in pages:
        page.close()
