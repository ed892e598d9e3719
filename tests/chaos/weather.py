"""What goes wrong in a chaos run: kills at a steady pace, beside them all other faults in turn."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from tests.chaos.doom import COMES_TO
from tests.chaos.owners import Play
from tests.chaos.proxy import MODES
from tests.chaos.stage import LINKS
from tests.chaos.world import ask

OF_SERVERS = (
    "lost_reply", "lost_reply", "lost_reply", "race_500", "refuse_500", "driver_error",
    "silent_revert", "unrescue_fails", "slow_reply", "429", "host_silent", "cell_down",
)  # fmt: skip
#: seconds of a fault that has some; how often the others happen
MEASURE = {"slow_reply": 12, "429": 2, "lost_reply": 2}
#: seconds between faults of the whole: in half an hour each comes twice, a short run has the most
CALM = 8.5
ROLES = {"worker": 0.6, "web": 0.25, "beat": 0.15}
JUMP = "UPDATE chaos.jump SET by = by + make_interval(secs => %s)"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


class Weather:
    """Threads that make trouble until ``stop``, and then leave everything whole."""

    def __init__(
        self, play: Play, kills_per_second: float, seconds: float, *, hurries: bool = True
    ) -> None:
        self.play, self.stage = play, play.stage
        self.pace, self.seconds = kills_per_second, seconds
        # A short run has all faults, too; a steady one has them at the long run's pace.
        self.calm = min(CALM, seconds / 200) if hurries else CALM
        self.over = threading.Event()
        self.happened: Counter[str] = Counter()
        self.taken: Counter[tuple[str, str]] = Counter()
        work = (self.kill, self.upset, self.upset_servers, self.outsider)
        work += (self.hold_up, self.deploy) if hurries else (self.hold_up,)
        self.threads = [threading.Thread(target=one, daemon=True) for one in work]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> float:
        """End all trouble; return when the last of it ended."""
        self.over.set()
        for thread in self.threads:
            thread.join()
        for name in LINKS:
            self.stage.link(name, "pass")
        down = {f"{service}_down": None for service in ("nova", "keystone", "glance")}
        self.stage.control("PUT", "knobs", down | {"servers": {}, "nova_limit_seconds": 0})
        return time.monotonic()

    # Kills ----------------------------------------------------------------------------------------

    def kill(self) -> None:
        """Kill at a steady pace: half at random, half at the point that was died at least."""
        next_at = time.monotonic() + 1 / self.pace
        while not self.over.wait(max(0.0, next_at - time.monotonic())):
            next_at += 1 / self.pace
            role = random.choices(list(ROLES), list(ROLES.values()))[0]
            if random.random() < 0.5:
                self.stage.kill(role, child=random.random() < 0.4)
                continue
            # Half of the deaths at points lie at a POST: there most can be lost.
            points = [one for one in COMES_TO[role] if one.endswith("POST")] or COMES_TO[role]
            points = random.choice((points, COMES_TO[role]))
            point = min(points, key=lambda one: (self.taken[role, one], random.random()))
            words = random.choice(("die", "die with all"))
            done = self.stage.doomed(role, point, words, patience=min(3.0, 2 / self.pace))
            self.taken[role, point] += 1 if done else 0.2

    # The rest -------------------------------------------------------------------------------------

    def upset(self) -> None:
        """Do every fault of the whole once, in a random order; then again."""
        while not self.over.is_set():
            deck = self._deck()
            random.shuffle(deck)
            for name, fault in deck:
                if self.over.is_set():
                    return
                fault()
                self.happened[name] += 1
                self.over.wait(random.uniform(0.6, 1.4) * self.calm)

    def _deck(self) -> list[tuple[str, Callable[[], object]]]:
        deck: list[tuple[str, Callable[[], object]]] = [
            (f"{link}: {mode}", partial(self._bad_link, link, mode))
            for link in ("redis", "postgres", "cloud", "web0")
            for mode in MODES
        ]
        deck += [
            (f"{service}: {how}", partial(self._knob, f"{service}_down", how))
            for service in ("nova", "keystone", "glance")
            for how in ("503", "drop", "hang", "slow", "cut")
        ]
        deck += [
            ("nova: 429 for all", lambda: self._knob("nova_limit_seconds", 2)),
            ("tokens expired", lambda: self.stage.control("PUT", "knobs", {"token_expired": True})),
        ] * 2
        deck += [
            ("Redis killed and emptied", self.stage.kill_redis),
            ("PostgreSQL restarted", self.stage.restart_postgres),
            ("PostgreSQL's connections cut", self._cut_connections),
            ("clock jump", self._jump),
            ("frozen process", self._freeze),
        ] * 3
        return deck

    def deploy(self) -> None:
        """Replace all processes in the middle of the run."""
        if not self.over.wait(self.seconds / 2):
            self.stage.deploy()
            self.happened["deploy"] += 1

    def _bad_link(self, link: str, mode: str) -> None:
        self.stage.link(link, mode, random.choice((0.3, 0.7, 1.0)))
        self.over.wait(random.uniform(1, 10 if mode == "hold" else 3))
        self.stage.link(link, "pass")

    def _knob(self, knob: str, value: object) -> None:
        before = self.stage.control("GET", "knobs")[knob]
        self.stage.control("PUT", "knobs", {knob: value})
        self.over.wait(random.uniform(1, 4))
        self.stage.control("PUT", "knobs", {knob: before})

    def _cut_connections(self) -> None:
        ask(self.stage.postgres.url, CUT)

    def _jump(self) -> None:
        """Let the clock of all jump, back a little or forward a lot, and stay there."""
        seconds = random.choice((-10, -3, 20, 60, 120))
        ask(
            self.stage.postgres.url,
            "UPDATE chaos.jump SET by = by + make_interval(secs => %s)",
            seconds,
        )

    def _freeze(self) -> None:
        """Stop a process as a machine that is paused does, longer than a lease."""
        part = random.choice(self.stage.parts)
        if not part.alive:
            return
        os.killpg(part.pid, signal.SIGSTOP)
        self.over.wait(random.uniform(5, 24))
        try:
            os.killpg(part.pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # killed meanwhile

    def hold_up(self) -> None:
        """Hold up a worker past its lease, most often before it writes what it has decided."""
        while not self.over.wait(random.uniform(8, 16)):
            point = random.choice(("before move", random.choice(COMES_TO["worker"])))
            if self.stage.doomed("worker", point, str(random.uniform(21, 27))):
                self.happened[f"held up {point}"] += 1

    def upset_servers(self) -> None:
        """Give each server in turn a fault of its own, which stays a while or until it is used."""
        servers = [one["id"] for one in self.stage.control("GET", "servers")["servers"]]
        faults: dict[str, dict[str, int]] = {}
        while not self.over.wait(random.uniform(1, 3)):
            server, fault = random.choice(servers), random.choice(OF_SERVERS)
            now = self.stage.control("GET", "knobs")["servers"]
            faults = {one: now[one] for one in random.sample(sorted(now), min(6, len(now)))}
            faults[server] = {fault: MEASURE.get(fault, 1)}
            self.stage.control("PUT", "knobs", {"servers": faults})
            self.happened[f"a server: {fault}"] += 1

    def outsider(self) -> None:
        """Somebody with a command line, who rescues, exits and reboots some of the servers."""
        while not self.over.wait(random.uniform(0.5, 3)):
            server = random.choice(sorted(self.play.troubled))
            what = random.choice(("rescue", "unrescue", "unrescue", "reboot"))
            answer = self._outside(server, what)
            self.happened[f"outsider: {what}"] += answer

    def _outside(self, server: str, what: str) -> bool:
        try:
            self.stage.control("POST", f"outside/{server}/{what}")
        except OSError:  # refused: not in that state
            return False
        return True
