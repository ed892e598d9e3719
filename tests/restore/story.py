"""What happens around a lost database: each server is in another place of its rescue."""

import base64
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from instances import driver, inventory, rescue, rotation
from instances.lifecycle import State
from instances.models import Instance, Rescue
from teams import audit
from teams.models import CloudAccount, User
from tests.chaos.harness import posts_by_server
from tests.chaos.scenario import prepare

if TYPE_CHECKING:
    from tests.restore.harness import Panel

#: the schema an older version left: before the synchroniser's own columns, bulk actions, consoles
OLDER = {"instances": "0006_machine_job", "teams": "0005_machines"}
PATIENCE = 90.0
#: what each server's rescue is at when the backup is made, or what happens to it after
PLACES = "asked called waiting ready leaving ends_after begins_after".split()


def play(parts: "Panel") -> dict[str, Any]:
    """Bring every server to its place, back up, lose, restore, settle; return what was found."""
    alice = prepare(parts)
    parts.control("PUT", "knobs", {"rescue_seconds": 0, "unrescue_seconds": 0})
    servers = dict(zip(PLACES, Instance.objects.order_by("name"), strict=False))
    rows = {place: place_of(place, parts, servers[place], alice) for place in PLACES[:-1]}
    with Scribe() as scribe:
        parts.database.back_up()
    after_the_backup(parts, servers, rows, alice)
    lose_everything(parts)
    parts.database.restore()
    found: dict[str, Any] = {"written_meanwhile": scribe.written}
    found |= upgraded()
    found |= settled(parts, rows, servers)
    return found | looked_at(parts, rows, servers)


# Before -----------------------------------------------------------------------------------------


def place_of(place: str, parts: "Panel", instance: Instance, by: User) -> uuid.UUID:
    """Bring a server's rescue to where the backup is to find it."""
    image = rescue.picker_for(instance).preselected
    assert image is not None
    row = rescue.start(instance=instance, image_ref=image.ref, by=by, idempotency_key=uuid.uuid4())
    if place == "asked":
        return row.pk
    if place == "called":
        die_after_the_call(row)
        return row.pk
    slow = {"rescue_seconds": 4} if place == "waiting" else {}
    parts.control("PUT", "knobs", slow)
    drive(row, State.WAITING if place == "waiting" else State.READY)
    parts.control("PUT", "knobs", {"rescue_seconds": 0})
    if place == "leaving":
        rescue.request_exit(instance=Instance.objects.get(pk=instance.pk), by=by)
    return row.pk


def die_after_the_call(row: Rescue) -> None:
    """Let the cloud get the call, and whoever made it die before its answer."""

    class Died(BaseException):
        pass

    def dies(*_given: Any) -> None:
        raise Died

    accepted, driver._accepted = driver._accepted, dies  # type: ignore[assignment]
    try:
        drive(row, State.WAITING)
    except Died:
        pass
    finally:
        driver._accepted = accepted


def drive(row: Rescue, to: State, seconds: float = 20) -> None:
    """Step a rescue until it is where it should be."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        row.refresh_from_db()
        if row.state == to:
            return
        driver.step(row.pk)
        time.sleep(0.1)
    raise AssertionError(f"{row} did not become {to}")


class Scribe:
    """Somebody who writes into the audit trail while the backup is made."""

    def __enter__(self) -> "Scribe":
        self.written, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        while self.written < 5:
            time.sleep(0.01)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._over.is_set():
            audit.record("restore.test", team=None, target=f"entry {self.written}")
            self.written += 1
        connections.close_all()


def after_the_backup(
    parts: "Panel", servers: dict[str, Instance], rows: dict[str, uuid.UUID], by: User
) -> None:
    """Let happen what the backup does not know of."""
    ended = Rescue.objects.get(pk=rows["ends_after"])
    rescue.request_exit(instance=Instance.objects.get(pk=ended.instance_id), by=by)
    drive(ended, State.CLOSED)
    place_of("begins_after", parts, servers["begins_after"], by)


def lose_everything(parts: "Panel") -> None:
    """Take away the database and what Redis held."""
    connections.close_all()
    parts.database.lose()
    redis.Redis.from_url(settings.REDIS_URL).flushall()


# After ------------------------------------------------------------------------------------------


def upgraded() -> dict[str, Any]:
    """Bring what was restored to an older version's schema, and up again as a deploy does."""
    began = Rescue.objects.order_by("pk").values_list("pk", "state", "sealed_password")
    before = list(began)
    for app, name in OLDER.items():
        call_command("migrate", app, name, verbosity=0)
    columns = {column.name for column in table("instances_rescue")}
    call_command("migrate", verbosity=0)
    return {
        "older_schema": "by_metadata" not in columns and "password_printed" not in columns,
        "rows_kept": list(began.all()) == before,
        "in_flight": sorted(state for _pk, state, _sealed in before if state in MOVING),
    }


MOVING = {State.REQUESTED, State.CALLING, State.WAITING, State.EXIT_REQUESTED}


def table(name: str) -> Any:
    with connection.cursor() as cursor:
        return connection.introspection.get_table_description(cursor, name)


def settled(
    parts: "Panel", rows: dict[str, uuid.UUID], servers: dict[str, Instance]
) -> dict[str, Any]:
    """Start worker and beat with a new key in front, rotate while they work, wait for the end."""
    from tests.restore.harness import NEW_KEY, OLD_KEY

    parts.keys = f"{NEW_KEY},{OLD_KEY}"
    use_keys(parts.keys)
    parts.start_worker()
    started = time.monotonic()
    sealed_anew = 0
    while time.monotonic() - started < PATIENCE:
        sealed_anew += rotation.rotate()[0]
        states = states_of(rows, servers)
        if states == EXPECTED:
            break
        time.sleep(0.3)
    sealed_anew += rotation.rotate()[0]
    parts.stop_worker()
    use_keys(NEW_KEY)
    return {
        "states": states,
        "settled_in": round(time.monotonic() - started, 1),
        "sealed_anew": sealed_anew,
    }


EXPECTED = {
    "asked": State.READY,
    "called": State.READY,
    "waiting": State.READY,
    "ready": State.READY,
    "leaving": State.CLOSED,
    "ends_after": State.ENDED_OUTSIDE,
    "begins_after": State.EXTERNAL,
}


def use_keys(words: str) -> None:
    settings.ENCRYPTION_KEYS = [base64.urlsafe_b64decode(word) for word in words.split(",")]


def states_of(rows: dict[str, uuid.UUID], servers: dict[str, Instance]) -> dict[str, str]:
    states = {place: str(Rescue.objects.get(pk=pk).state) for place, pk in rows.items()}
    new = Rescue.objects.filter(instance=servers["begins_after"]).order_by("-created_at").first()
    return states | {"begins_after": str(new.state) if new else "none"}


def looked_at(
    parts: "Panel", rows: dict[str, uuid.UUID], servers: dict[str, Instance]
) -> dict[str, Any]:
    """Try each password on its machine with the new key alone, and the audit trail."""
    wrong = []
    for place in ("asked", "called", "waiting", "ready"):
        row = Rescue.objects.select_related("instance").get(pk=rows[place])
        asked = {"server": row.instance.server_id, "password": row.password()}
        if not parts.control("POST", "password-check", asked)["accepted"]:
            wrong.append(place)
    posts = {
        action: max(posts_by_server(parts, action).values()) for action in ("rescue", "unrescue")
    }
    inventory.sync(CloudAccount.objects.get().pk)
    verdict = audit.verify()
    return {
        "wrong_passwords": wrong,
        "most_posts_for_a_server": posts,
        "audit": verdict.problem or "whole",
        "entries": verdict.count,
        "trail_still_refuses": refuses(),
        "opens_cloud": CloudAccount.objects.get().credential()["auth_type"],
    }


def refuses() -> bool:
    """Tell whether the restored and upgraded database still keeps its trail from changes."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE teams_auditentry SET act = 'forged' WHERE id = 1")
    except DatabaseError:
        return True
    return False
