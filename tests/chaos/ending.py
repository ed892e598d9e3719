"""After the last fault: wait, then count what must be zero."""

import random
import re
import subprocess
import sys
import time
from typing import Any

import redis

from tests.chaos import judge
from tests.chaos.owners import IN_RESCUE, SETTLED, Machine, Play
from tests.chaos.stage import Stage
from tests.chaos.world import ask
from tests.security import dumps
from tests.services import ROOT

PATIENCE = 60.0  # seconds after the last fault in which everything has to be settled
WORD = re.compile(rb"[a-z]{20,}")  # as the temporary passwords are
OWNERS_PATIENCE = 120.0
TOLD = """
    SELECT r.id::text, r.state, i.server_id, array_agg(a.act ORDER BY a.id) AS acts
    FROM instances_rescue r
    JOIN instances_instance i ON i.id = r.instance_id
    LEFT JOIN teams_auditentry a ON a.details->>'rescue' = r.id::text
    GROUP BY r.id, r.state, i.server_id
"""
MIRRORED = """
    SELECT server_id, vm_state, task_state, deleted_at IS NOT NULL AS gone FROM instances_instance
"""


def settle(play: Play, machines: list[Machine], last_fault: float) -> float:
    """Wait until all that was under way rests; return the seconds it took.

    Meanwhile the owners leave their machines, which are operations of their own: these end, too,
    but may begin late on a busy machine.
    """
    play.enough.set()
    play.deadline = last_fault + PATIENCE + OWNERS_PATIENCE
    (clock,) = ask(play.stage.postgres.url, "SELECT clock_timestamp() AS now")
    rested = _rested(play, clock["now"], last_fault + PATIENCE) - last_fault
    for machine in machines:
        machine.join()
    play.rows.fresh()
    _note_open(play, [row for row in play.rows.by_id.values() if row["state"] not in SETTLED])
    return rested


def _rested(play: Play, before: Any, until: float) -> float:
    while True:
        play.rows.fresh()
        moving = [
            row
            for row in play.rows.by_id.values()
            if row["state"] not in (*SETTLED, *IN_RESCUE) and row["asked_at"] < before
        ]
        if not moving or time.monotonic() > until:
            _note_open(play, moving)
            return time.monotonic()
        time.sleep(0.3)


def _note_open(play: Play, rows: list[dict[str, Any]]) -> None:
    noted = {wrong.story.rescue_id for wrong in play.wrongs if wrong.story}
    for row in rows:
        if row["id"] in noted:
            continue
        story = judge.Story(row["id"], row["server_id"], "", 0, row)
        story.seen = play.stage.control("GET", f"servers/{row['server_id']}")["actions"]
        play.wrongs.append(judge.Wrong("open operation", str(row["state"]), story))


def mirror(play: Play) -> None:
    """Hold the mirror against the cloud, as soon as it can be true."""
    until = time.monotonic() + 30
    while True:
        cloud = {one["id"]: one for one in play.stage.control("GET", "servers")["servers"]}
        rows = ask(play.stage.postgres.url, MIRRORED)
        unlike = [row for row in rows if not _same(row, cloud.get(row["server_id"]))]
        unlike_count = len(unlike) + abs(len(rows) - len(cloud))
        if not unlike_count:
            return
        if time.monotonic() > until:
            text = f"{unlike_count} instances are shown wrong: {unlike[:3]}"
            play.wrongs.append(judge.Wrong("mirror unlike the cloud", text))
            return
        time.sleep(1)


def _same(row: dict[str, Any], server: dict[str, Any] | None) -> bool:
    if server is None or server["deleted"]:
        return bool(row["gone"])
    return not row["gone"] and all(row[one] == server[one] for one in ("vm_state", "task_state"))


def secrets(play: Play) -> int:
    """Look for passwords and credentials where they must not be; return the bytes looked at.

    Forty and the credentials in every spelling, the others as they are.
    """
    stage = play.stage
    some = set(random.sample(sorted(play.secrets), min(40, len(play.secrets))))
    spelled = {name: play.secrets[name] for name in some} | stage.secrets
    logs = [path.read_bytes() for path in stage.folder.glob("*.log") if "cloud" not in path.name]
    places = {
        "the database": dumps.database(stage.postgres.url),
        "Redis": list(play.heard | in_redis(stage)),
        "the logs": logs,
    }
    for place, blobs in places.items():
        words = set(WORD.findall(b"\n".join(blobs)))
        found = [name for name, word in play.secrets.items() if word.encode() in words]
        for name in {*found, *dumps.found_in(blobs, spelled)}:
            play.wrongs.append(judge.Wrong("secret in clear", f"{name}, in {place}"))
    return sum(len(blob) for blobs in places.values() for blob in blobs)


def in_redis(stage: Stage) -> set[bytes]:
    """Return what is in Redis now; nothing while it is away."""
    try:
        return set(dumps.broker(stage.redis.url))
    except redis.RedisError:
        return set()


def audit(play: Play) -> str:
    """Walk along the audit trail's chain, and hold what it tells of each rescue against its row."""
    for row in ask(play.stage.postgres.url, TOLD):
        if problem := judge.untrue(row["state"], row["acts"], SETTLED):
            story = judge.Story(row["id"], row["server_id"], "", 0, row)
            play.wrongs.append(judge.Wrong("audit trail untrue", problem, story))
    told = subprocess.run(
        [sys.executable, "manage.py", "verify_audit"], cwd=ROOT, text=True,
        env=play.stage.environment(direct=True), capture_output=True,
    )  # fmt: skip
    said = (told.stdout + told.stderr).strip()
    if told.returncode:
        play.wrongs.append(judge.Wrong("audit trail broken", said))
    return said
