"""The owners: they rescue each machine, try its password and leave it, through the pages."""

import html
import random
import re
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.chaos import judge
from tests.chaos.stage import BETWEEN_WEB, Stage
from tests.chaos.world import PASSWORD, Rows

SHOWN = re.compile(r'<output class="password"[^>]*>([^<]*)</output>')
IN_RESCUE = ("READY", "EXTERNAL")
SETTLED = (
    "CLOSED CANCELLED DENIED EXPIRED REFUSED LOST_RACE FAILED_CLEAN FAILED_BROKEN EXIT_BROKEN "
    "RECOVERED ENDED_OUTSIDE ENDED_BY_CLOUD GONE"
).split()


class Over(Exception):
    """The run ended while somebody waited."""


@dataclass
class Play:
    """What all machines share: the stage, the rows, when it is over, what was found."""

    stage: Stage
    rows: Rows
    image: str = ""
    stay: float = 0.0  # seconds that a machine is in rescue
    enough: threading.Event = field(default_factory=threading.Event)  # begin nothing more
    deadline: float = float("inf")
    ends: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    tried: int = 0
    took: list[float] = field(default_factory=list)
    wrongs: list[judge.Wrong] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    heard: set[bytes] = field(default_factory=set)  # what was in Redis meanwhile
    troubled: set[str] = field(default_factory=set)  # servers that an outsider touches

    def pause(self, seconds: float) -> None:
        if time.monotonic() > self.deadline:
            raise Over
        time.sleep(seconds * random.uniform(0.8, 1.2))


class Browser:
    """Somebody's browser: tries the other address when one does not answer."""

    def __init__(self, play: Play, person: str) -> None:
        self.play, self.person = play, person
        self.session = requests.Session()

    def ask(self, method: str, path: str, **data: Any) -> requests.Response:
        """Ask until there is an answer that is one; for a part of a page, as an open page does."""
        while True:
            try:
                answer = self._once(method, path, data)
            except requests.RequestException as error:
                self.play.answers[type(error).__name__] += 1
                self.play.pause(0.5)
                continue
            self.play.answers[str(answer.status_code)] += 1
            if answer.status_code >= 500:
                self.play.pause(0.5)
            elif "/sign-in" in answer.headers.get("Location", ""):
                self.sign_in()
            else:
                return answer

    def _once(self, method: str, path: str, data: dict[str, Any]) -> requests.Response:
        port = self.play.stage.proxied[random.choice(BETWEEN_WEB)]
        headers = {"X-CSRFToken": self.session.cookies.get("csrf", "")}
        if path.startswith(("/rescues/", "/notifications")):
            headers["HX-Request"] = "true"
        try:
            return self.session.request(
                method, f"http://127.0.0.1:{port}{path}", data=data or None, headers=headers,
                allow_redirects=False, timeout=(2, 15),
            )  # fmt: skip
        finally:
            self._forget_half_cookies()

    def _forget_half_cookies(self) -> None:
        """Take no cookie from a header that was cut before its path: no browser does."""
        for one in list(self.session.cookies):
            if one.path != "/":
                self.session.cookies.clear(one.domain, one.path, one.name)

    def sign_in(self) -> None:
        """Sign in, as a person does."""
        self.session.cookies.clear()
        while True:
            try:
                self._once("GET", "/sign-in", {})
                given = {"username": f"{self.person}@example.org", "password": PASSWORD}
                answer = self._once("POST", "/sign-in", given)
            except requests.RequestException:
                self.play.pause(0.5)
                continue
            if answer.status_code == 302:
                return
            self.play.pause(1)


class Machine(threading.Thread):
    """One machine and whoever takes care of it."""

    def __init__(self, play: Play, browser: Browser, given: dict[str, Any]) -> None:
        super().__init__(daemon=True, name=given["name"])
        self.play, self.browser = play, browser
        self.pk, self.server_id = given["pk"], given["server_id"]
        self.story: judge.Story | None = None
        self.done = False

    def run(self) -> None:
        try:
            self.play.pause(random.uniform(0, 3))
            while not self.play.enough.is_set():
                self.make_free()
                self.pair()
            self.make_free()
            self.done = True
        except Over:
            return
        except Exception as error:  # the harness itself is at fault: the run must not pass
            self.play.wrongs.append(judge.Wrong("harness", f"{self.name}: {error!r}", self.story))
            raise

    # The plot -----------------------------------------------------------------------------------

    def pair(self) -> None:
        """Rescue it, try the password, exit; then judge what the cloud saw."""
        before = len(self.cloud()["actions"])
        rescue_id = self.begin()
        if rescue_id is None:
            return
        began = time.monotonic()
        self.story = judge.Story(rescue_id, self.server_id, self.name, before)
        row = self.follow(rescue_id)
        while row["state"] == "READY":
            self.try_password(rescue_id)
            self.play.enough.wait(self.play.stay * random.uniform(0.7, 1.3))
            row = self.leave(rescue_id)
        if row["state"] in ("FAILED_BROKEN", "EXIT_BROKEN"):
            self.judge(row)
            row = self.bring_back(rescue_id)
        self.judge(row)
        self.play.ends[row["state"]] += 1
        if row["state"] == "CLOSED":
            self.play.pairs += 1
            self.play.took.append(time.monotonic() - began)

    def begin(self) -> str | None:
        """Ask for a rescue until there is one of ours; None when that cannot be."""
        key = str(uuid.uuid4())
        path = f"/instances/{self.pk}/rescue"
        for _try in range(20):
            answer = self.browser.ask("POST", path, image=self.play.image, idempotency_key=key)
            where = answer.headers.get("Location", "")
            if "#rescue-" in where:
                return where.split("#rescue-")[1]
            self.play.pause(1)
            if self.play.enough.is_set():
                break
        return None

    def follow(self, rescue_id: str) -> dict[str, Any]:
        """Wait until it rests."""
        while True:
            row = self.play.rows.get(rescue_id)
            if row and row["state"] in (*IN_RESCUE, *SETTLED):
                return row
            if random.random() < 0.03:
                self.browser.ask("GET", random.choice(["/notifications", f"/rescues/{rescue_id}"]))
            self.play.pause(0.7)

    def try_password(self, rescue_id: str) -> None:
        """Have the password shown and try it on the machine."""
        for attempt in range(3):
            shown = SHOWN.search(self.browser.ask("POST", f"/rescues/{rescue_id}/password").text)
            word = html.unescape(shown[1]).strip() if shown else ""
            if word:
                self.play.secrets[f"{self.name} {rescue_id}"] = word
            asked = {"server": self.server_id, "password": word}
            self.play.tried += attempt == 0
            if word and self.play.stage.control("POST", "password-check", asked)["accepted"]:
                return
            self.play.rows.fresh()
            self.play.pause(1)
            row = self.play.rows.get(rescue_id)
            if row is None or row["state"] != "READY" or self.taken():
                return
        kind = "wrong password" if word else "lost password"
        self.play.wrongs.append(judge.Wrong(kind, "what is shown does not open it", self.story))

    def taken(self) -> bool:
        """Tell whether somebody else left or took the machine: the panel will notice in time."""
        marks = [one for one in self.cloud()["actions"] if one["action"] in ("rescue", "unrescue")]
        return bool(marks) and marks[-1]["user_id"] not in judge.OURS

    def leave(self, rescue_id: str) -> dict[str, Any]:
        """Ask for the exit, and wait until it rests again."""
        self.browser.ask("POST", f"/instances/{self.pk}/exit")
        self.play.pause(0.5)
        self.play.rows.fresh()
        return self.follow(rescue_id)

    def bring_back(self, rescue_id: str) -> dict[str, Any]:
        """Reboot it the hard way, as often as it takes."""
        while True:
            row = self.play.rows.get(rescue_id) or {"state": ""}
            if row["state"] == "RECOVERED" or self.cloud()["vm_state"] != "error":
                return self.follow(rescue_id)
            if row["state"] in SETTLED:
                self.browser.ask("POST", f"/instances/{self.pk}/reboot")
            self.play.pause(1.5)
            self.play.rows.fresh()

    def make_free(self) -> None:
        """End what is left: a rescue that somebody else began, say."""
        while True:
            self.play.rows.fresh()
            rows = self.play.rows.of(self.server_id)
            last = next((row for row in reversed(rows) if row["state"] not in SETTLED), None)
            cloud = self.cloud()
            if last and last["state"] in IN_RESCUE:
                self.browser.ask("POST", f"/instances/{self.pk}/exit")
            elif last is None and cloud["task_state"] is None and cloud["vm_state"] == "active":
                return
            elif last is None and cloud["vm_state"] == "error":
                self.play.stage.control("POST", f"outside/{self.server_id}/reboot")
            self.play.pause(1)

    # Judging ------------------------------------------------------------------------------------

    def cloud(self) -> dict[str, Any]:
        """Return what the cloud knows of it, past the panel."""
        return self.play.stage.control("GET", f"servers/{self.server_id}")

    def judge(self, row: dict[str, Any]) -> None:
        assert self.story
        self.story.row = row
        self.story.seen = self.cloud()["actions"][self.story.before :]
        self.play.wrongs += judge.of(self.story)
