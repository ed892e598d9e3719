"""``make chaos``: break everything while machines are rescued and left, and count what was lost.

CHAOS_MINUTES (3), CHAOS_SEED (by the clock), CHAOS_WITHOUT (a guard to take out: the run has to
fail), CHAOS_KILLS (a second: 0.6), CHAOS_SERVERS (64+8), CHAOS_KEEP (a folder that stays).
"""

import faulthandler
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.chaos import ending, judge, world
from tests.chaos.owners import Browser, Machine, Play
from tests.chaos.stage import Stage
from tests.chaos.weather import Weather

PACE = {"rescue_seconds": 1, "unrescue_seconds": 0.7, "outage_seconds": 3}
ZEROS = (
    "lost password", "wrong password", "second accepted rescue", "wrong final state",
    "open operation", "secret in clear", "audit trail broken", "audit trail untrue",
    "mirror unlike the cloud",
)  # fmt: skip


def run(stage: Stage, seconds: float, kills: float) -> dict[str, Any]:
    """Play, end the trouble, verify; return the figures."""
    play, machines = gather(stage, PACE)
    weather = Weather(play, kills, seconds)
    began = time.monotonic()
    for machine in machines:
        machine.start()
    weather.start()
    wanted = seconds * kills
    while not _failed(play):
        spent = time.monotonic() - began
        # A busy machine gets twice the time for its kills.
        if spent >= seconds * (1 if stage.kills.total() >= wanted else 2):
            break
        time.sleep(2)
        play.heard |= ending.in_redis(stage)
    settled = ending.settle(play, machines, weather.stop())
    ending.mirror(play)
    told = ending.audit(play)
    play.rows.on = False
    result = {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "kills": stage.kills.total(),
        "rescue and exit pairs": play.pairs,
        "passwords tried on the machine": play.tried,
        "seconds a pair, median": round(median(play.took), 1) if play.took else None,
        "seconds until all was settled": round(settled, 1),
        "load of this machine, 5 minutes": round(os.getloadavg()[1], 1),
        "process starts": stage.starts,
        "audit trail": told,
        "ends": play.ends,
        "killed": stage.kills,
        "other faults": weather.happened,
        "answers to the owners": play.answers,
    }
    save(stage, judged(result, play))  # the search for secrets may take as much again
    result["megabytes searched for secrets"] = round(ending.secrets(play) / 1e6, 1)
    return judged(result, play)


def gather(stage: Stage, pace: dict[str, float], most: int = 1000) -> tuple[Play, list[Machine]]:
    """Open the stage; return the play and the machines with their owners, so many at most."""
    from democloud.seed_demo import user_id

    stage.open()
    judge.OURS |= {user_id("alice"), user_id("mallory")}
    stage.control("PUT", "knobs", pace)
    given = world.prepare(stage)
    stage.run()
    play = Play(stage, world.Rows(stage.postgres.url), given["image"])
    machines = []
    for person, instances in given["people"].items():
        browser = Browser(play, person)
        browser.sign_in()
        share = most // len(given["people"])
        spread = instances[:: max(1, len(instances) // share)][:share]
        machines += [Machine(play, browser, one) for one in spread]
    play.troubled = {machine.server_id for machine in machines[::5]}
    return play, machines


def judged(result: dict[str, Any], play: Play) -> dict[str, Any]:
    """Add what was found wrong so far."""
    return result | {
        "zeros": {name: sum(one.kind == name for one in play.wrongs) for name in ZEROS},
        "wrongs": [story_of(wrong) for wrong in play.wrongs],
    }


def save(stage: Stage, result: dict[str, Any]) -> None:
    """Keep the figures in the run's folder."""
    (stage.folder / "figures.json").write_text(json.dumps(result, indent=2))


def _failed(play: Play) -> bool:
    """A run that has failed twenty times over need not go on, nor a canary that was heard."""
    return len(play.wrongs) >= (1 if play.stage.without else 20)


def story_of(wrong: judge.Wrong) -> str:
    """Tell what happened to an operation, as the row and the cloud have it."""
    lines = [f"{wrong.kind}: {wrong.text}"]
    if story := wrong.story:
        row = {name: str(value) for name, value in story.row.items()}
        lines += [f"  {story.name} server {story.server_id} rescue {story.rescue_id}"]
        lines += [f"  row: {json.dumps(row)}"]
        lines += [f"  cloud: {json.dumps(one)}" for one in story.seen[-12:]]
    return "\n".join(lines)


def main() -> int:
    """Read what is wanted, run, print."""
    wanted = os.environ.get
    faulthandler.register(signal.SIGUSR1)  # where does it hang?
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    seed = int(wanted("CHAOS_SEED") or time.time())
    random.seed(seed)
    seconds = float(wanted("CHAOS_MINUTES") or 3) * 60
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = Path(wanted("CHAOS_KEEP") or temporary)
        folder.mkdir(exist_ok=True, parents=True)
        stage = Stage(folder, wanted("CHAOS_SERVERS") or "64+8", wanted("CHAOS_WITHOUT") or "")
        try:
            result = run(stage, seconds, float(wanted("CHAOS_KILLS") or 40) / 60)
            save(stage, result)
        finally:
            stage.close()
    tell(result, seed)
    return 1 if result["wrongs"] or not result["rescue and exit pairs"] else 0


def tell(result: dict[str, Any], seed: int) -> None:
    """Print the figures as tables, then what went wrong."""
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"\n{name}")
            for row in sorted(value.items()):
                print("  {:<40}{:>6}".format(*row))
        elif name != "wrongs":
            print(f"{name:<42}{value!s:>6}")
    wrongs = result["wrongs"]
    print("", *wrongs[:20], sep="\n")
    print(f"CHAOS_SEED={seed}: " + (f"{len(wrongs)} wrongs" if wrongs else "nothing lost"))


if __name__ == "__main__":
    sys.exit(main())
