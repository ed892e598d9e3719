"""The play of the kill harness: who asks for what, when it is over, and what is counted."""

import json
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from django.core.management import call_command

from instances import inventory, rescue, tasks
from instances.lifecycle import IN_RESCUE, State
from instances.models import Instance, Rescue
from teams.models import CloudAccount, Membership, Team, User

if TYPE_CHECKING:
    from tests.chaos.harness import Parts


def play(parts: "Parts", points: list[str], patience: float) -> dict[str, Any]:
    """Rescue every server, then exit every one, each with a kill at another point."""
    alice = prepare(parts)
    instances = list(Instance.objects.order_by("name")[: len(points)])
    image = rescue.picker_for(instances[0]).preselected
    assert image is not None
    rescues = {}
    for point, instance in zip(points, instances, strict=True):
        row = rescue.start(
            instance=instance, image_ref=image.ref, by=alice, idempotency_key=uuid.uuid4()
        )
        (parts.doom / f"{row.pk}.dies_at").write_text(point)
        rescues[row.pk] = instance.server_id
        tasks.nudge(row)
        _die_alone(parts, row, point)
    ready_in = _until(parts, lambda row: row.state in IN_RESCUE, patience)
    result = _counted(parts, "rescue", ready_in) | _passwords(parts)
    _forget_points(parts)
    for point, instance in zip(points, instances, strict=True):
        row = Rescue.objects.open().get(instance=instance)
        (parts.doom / f"{row.pk}.dies_at").write_text(point)
        tasks.nudge(rescue.request_exit(instance=_fresh(instance), by=alice))
        _die_alone(parts, row, point)
    closed_in = _until(parts, lambda row: row.state == State.CLOSED, patience)
    result["exit"] = _counted(parts, "unrescue", closed_in)
    result["passwords_left"] = Rescue.objects.exclude(sealed_password="").count()
    result["worker_kills"] = parts.kills
    return result


def _die_alone(parts: "Parts", row: Rescue, point: str) -> None:
    """Wait for a death at the POST: another's would take the worker away in the middle of it."""
    waited = time.monotonic() + 30
    while "POST" in point and not (parts.doom / f"{row.pk}.died").exists():
        parts.keep_worker_alive()
        if time.monotonic() > waited:
            return  # the test says that nobody died there
        time.sleep(0.1)


def prepare(parts: "Parts") -> User:
    """Make the database, a team and its account, read once; return the owner."""
    call_command("migrate", verbosity=0)
    printed = subprocess.run(
        [sys.executable, "-m", "democloud", "--print-credentials", "--port", str(parts.port)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    given = json.loads(printed)["Demo-GRA"]
    alice = User.objects.create_user("alice@example.org", "x")
    team = Team.objects.create(name="Acme")
    Membership.objects.create(team=team, user=alice, role="owner")
    account = CloudAccount(
        team=team, name="demo", region_name=given["region_name"],
        auth_url=given["auth"]["auth_url"],
    )  # fmt: skip
    account.keep_credential({"auth_type": given["auth_type"], "auth": given["auth"]})
    inventory.due_accounts()
    inventory.sync(account.pk)
    return alice


def _until(parts: "Parts", done: Any, patience: float) -> float:
    """Keep the worker alive until all rescues are done; return the seconds since the last kill."""
    last_kill, kills = time.monotonic(), parts.kills
    while True:
        parts.keep_worker_alive()
        if parts.kills != kills:
            last_kill, kills = time.monotonic(), parts.kills
        waited = time.monotonic() - last_kill
        if all(done(row) for row in Rescue.objects.all()) or waited > patience:
            return round(waited, 1)
        time.sleep(0.2)


def _counted(parts: "Parts", action: str, seconds: float) -> dict[str, Any]:
    from tests.chaos.harness import posts_by_server

    posts = posts_by_server(parts, action)
    states: dict[str, int] = {}
    for state in Rescue.objects.values_list("state", flat=True):
        states[state] = states.get(state, 0) + 1
    died = [path.read_text() for path in parts.doom.glob("*.died")]
    return {
        "states": states,
        "deaths": len(died),
        "died_at": {name: died.count(name) for name in sorted(set(died))},
        "posts": sum(posts.values()),
        "second_posts": sum(count - 1 for count in posts.values()),
        "seconds_after_last_kill": seconds,
    }


def _passwords(parts: "Parts") -> dict[str, int]:
    """Count the passwords that do not open the rescued machine."""
    lost = wrong = 0
    for row in Rescue.objects.select_related("instance"):
        if not row.sealed_password:
            lost += 1
            continue
        asked = {"server": row.instance.server_id, "password": row.password()}
        wrong += not parts.control("POST", "password-check", asked)["accepted"]
    return {"lost_passwords": lost, "wrong_passwords": wrong}


def _forget_points(parts: "Parts") -> None:
    for path in parts.doom.iterdir():
        path.unlink()


def _fresh(instance: Instance) -> Instance:
    return Instance.objects.select_related("account__team").get(pk=instance.pk)


__all__ = ["CloudAccount", "play", "prepare"]
