"""A rescue through the panel while a part of the real OpenStack is away, and after it is back."""

import html
import json
import re
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.bench.lab import connect
from tests.bench.visitors import sign_in
from tests.lab.conftest import LAB, openstack
from tests.panel import Panel
from tests.services import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.apart, pytest.mark.timeout(420)]
SETTLED = "CLOSED REFUSED LOST_RACE FAILED_CLEAN FAILED_BROKEN EXPIRED ENDED_OUTSIDE GONE".split()
AWAY = 25  # seconds: longer than the panel waits for an answer, and looks for a trace of its call


@dataclass(frozen=True)
class Outage:
    """What is broken, what the panel may say meanwhile, and where it ends once that is mended."""

    part: str
    how: str
    meanwhile: frozenset[str]
    end: str = "READY"


def outage(part: str, how: str, meanwhile: str, end: str = "READY") -> Outage:
    return Outage(part, how, frozenset(meanwhile.split()), end)


# As Nova itself was seen to behave: what it took is done when the part is back, what it did not
# take is asked for again where it left no trace.
OUTAGES = [
    outage("nova-compute", "stop", "WAITING"),
    outage("nova-compute", "hang", "WAITING"),
    outage("nova-conductor", "stop", "WAITING"),
    outage("glance", "stop", "IN_DOUBT CALLING REQUESTED"),
    outage("neutron", "stop", "REQUESTED WAITING IN_DOUBT"),
    outage("neutron", "hang", "REQUESTED WAITING IN_DOUBT"),
    outage("placement", "stop", "READY"),
    outage("keystone", "stop", "REQUESTED IN_DOUBT CALLING READY"),
    outage("keystone", "hang", "REQUESTED IN_DOUBT CALLING READY"),
    outage("nova-api", "stop", "REQUESTED IN_DOUBT CALLING"),
    outage("mariadbd", "stop", "REQUESTED IN_DOUBT CALLING"),
]


def fault(verb: str, part: str) -> None:
    """Break a part of the lab, or mend it."""
    subprocess.run([LAB / "fault", verb, part], check=True, stdout=subprocess.DEVNULL)


def mend(one: Outage) -> None:
    fault("resume" if one.how == "hang" else "start", one.part)


def reset(server_id: str) -> None:
    """Do what an operator does to a server that is stuck: say that it is active."""
    body = {"os-resetState": {"state": "active"}}
    answer = connect("admin").compute.post(f"/servers/{server_id}/action", json=body)
    assert answer.status_code == 202, answer.text


class Owner:
    """Alice at the panel, and what the rows and the cloud say past it."""

    def __init__(self, panel: Panel, environment: dict[str, str], server: str) -> None:
        self.panel, self.environment, self.server = panel, environment, server
        self.browser = httpx.Client(base_url=panel.url, timeout=60)
        sign_in(self.browser)
        wait_until(lambda: "data-instance" in self._row(), "the server in the list", 60)
        found = re.search(r'data-instance="(\d+)"', self._row())
        assert found
        self.pk = found[1]

    def _row(self) -> str:
        return self.browser.get("/", params={"q": self.server}).text

    def start(self) -> str:
        """Ask for a rescue with the image that is chosen beforehand; return its id."""
        wait_until(lambda: "Running" in self._row(), "the server running", 60)
        dialog = self.browser.get(f"/instances/{self.pk}/rescue").text
        image = re.search(r'name="image"[^>]*value="([^"]+)"[^>]*checked', dialog)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', dialog)
        assert image and token, "the dialog offers an image"
        data = {
            "csrfmiddlewaretoken": token[1], "image": image[1],
            "idempotency_key": str(uuid.uuid4()),
        }  # fmt: skip
        answer = self.browser.post(f"/instances/{self.pk}/rescue", data=data)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"].split("#rescue-")[1]

    def exit(self) -> None:
        """Ask for the exit."""
        page = self.browser.get(f"/instances/{self.pk}/exit").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        self.browser.post(f"/instances/{self.pk}/exit", data={"csrfmiddlewaretoken": token[1]})

    def state(self, rescue_id: str) -> str:
        """Return the rescue's state as the row has it."""
        with closing(sqlite3.connect(self.panel.folder / "panel.sqlite3")) as database:
            asked = "SELECT state FROM instances_rescue WHERE id = ?"
            return str(database.execute(asked, [rescue_id.replace("-", "")]).fetchone()[0])

    def comes_to(self, rescue_id: str, states: set[str], seconds: float) -> str:
        """Wait for a state."""
        deadline = time.monotonic() + seconds
        while (state := self.state(rescue_id)) not in states:
            assert time.monotonic() < deadline, f"{state} after {seconds} s: {self.told()[:300]}"
            time.sleep(0.2)
        return state

    def told(self) -> str:
        """Return what the notification says, as words."""
        page = self.browser.get("/notifications").text
        found = re.search(rf'<article[^>]*data-machine="{self.pk}".*?</article>', page, re.S)
        words = re.sub(r"<[^>]+>", " ", found[0] if found else "")
        return re.sub(r"\s+", " ", html.unescape(words)).strip()

    def rescues(self) -> int:
        """Count the rescues of the server that Nova took."""
        listed = openstack(self.environment, "server", "event", "list", "-f", "json", self._id())
        return sum(one["Action"] == "rescue" for one in json.loads(listed))

    def _id(self) -> str:
        shown = openstack(self.environment, "server", "show", "-f", "json", "-c", "id", self.server)
        return str(json.loads(shown)["id"])


@pytest.fixture
def owner(lab_panel: Panel, lab_server: str, lab_environment: dict[str, str]) -> Iterator[Owner]:
    """Give alice, and her server back as it was."""
    alice = Owner(lab_panel, lab_environment, lab_server)
    yield alice
    alice.browser.close()


@pytest.fixture
def breaks() -> Iterator[Callable[[Outage], None]]:
    """Break a part; mend it in the end, whatever happened."""
    broken: list[Outage] = []

    def break_it(one: Outage) -> None:
        fault(one.how, one.part)
        broken.append(one)

    yield break_it
    for one in broken:
        subprocess.run([LAB / "fault", "resume", one.part], capture_output=True)
    subprocess.run([LAB / "up"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("one", OUTAGES, ids=lambda one: f"{one.part} {one.how}")
def test_a_rescue_while_a_part_is_away(
    one: Outage, owner: Owner, breaks: Callable[[Outage], None]
) -> None:
    before = owner.rescues()
    breaks(one)
    rescue_id = owner.start()
    deadline = time.monotonic() + AWAY
    while time.monotonic() < deadline and owner.state(rescue_id) != "READY":
        time.sleep(1)
    state, told = owner.state(rescue_id), owner.told()
    print(f"\n{one.part} {one.how}: {state}: {told[:300]}")
    assert state in one.meanwhile
    assert told, "it is said in words"
    mend(one)
    end = owner.comes_to(rescue_id, {one.end, *SETTLED}, 150)
    print(f"mended: {end}: {owner.told()[:200]}")
    assert end == one.end
    assert owner.rescues() == before + 1, "asked for once, and no more"
    owner.exit()
    owner.comes_to(rescue_id, {"CLOSED"}, 60)


def test_a_server_that_is_stuck_in_rescuing_is_not_asked_again(owner: Owner) -> None:
    before, server_id = owner.rescues(), owner._id()
    dialog: Any = owner.browser.get(f"/instances/{owner.pk}/rescue").text
    assert "image" in dialog
    subprocess.run([LAB / "tamper", "stuck", server_id], check=True, capture_output=True)
    try:
        rescue_id = owner.start()
        end = owner.comes_to(rescue_id, set(SETTLED), 60)
        print(f"\nstuck: {end}: {owner.told()[:300]}")
        assert end in ("LOST_RACE", "REFUSED")
        assert owner.rescues() == before
    finally:
        reset(server_id)


def test_what_rabbitmq_lost_stays_told_as_under_way(
    owner: Owner, breaks: Callable[[Outage], None]
) -> None:
    """Nova answers nothing, keeps ``rescuing`` for ever, and an operator has to reset it."""
    before = owner.rescues()
    one = outage("rabbitmq", "stop", "IN_DOUBT CALLING WAITING")
    breaks(one)
    rescue_id = owner.start()
    time.sleep(AWAY)
    state = owner.state(rescue_id)
    print(f"\nrabbitmq stop: {state}: {owner.told()[:300]}")
    assert state in one.meanwhile
    mend(one)
    owner.comes_to(rescue_id, {"WAITING", "STUCK"}, 90)
    assert owner.rescues() == before + 1
    reset(owner._id())
    print(f"reset: {owner.state(rescue_id)}: {owner.told()[:200]}")
