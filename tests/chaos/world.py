"""Who plays: two teams with their accounts, and a view of the database's rows for the harness."""

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.stage import Stage
from tests.services import ROOT

PASSWORD = "rescue-demo-people"
TEAMS = {"acme": ("ann", "abe"), "othercorp": ("olga",)}
ONLOOKER = ("acme", "vera")
ROWS = """
    SELECT r.id::text, r.state, r.version, r.failure_code, r.request_id, r.obstacle, r.calls,
           r.image_ref, r.sealed_password <> '' AS kept, r.created_at, r.asked_at,
           r.next_at, r.lease_until,
           i.server_id
    FROM instances_rescue r JOIN instances_instance i ON i.id = r.instance_id
    WHERE r.ended_at IS NULL OR r.ended_at > pg_catalog.clock_timestamp() - interval '10 min'
"""
#: The one clock of all that write is PostgreSQL's: it may jump.
CLOCK = """
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.jump (by interval);
    INSERT INTO chaos.jump VALUES ('0 s');
    CREATE FUNCTION chaos.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
        AS 'SELECT pg_catalog.clock_timestamp() + by FROM chaos.jump';
    ALTER ROLE panel SET search_path = chaos, public, pg_catalog;
"""


def prepare(stage: Stage) -> dict[str, Any]:
    """Make the database and the teams, read each cloud once; return whose instances are whose."""
    told = subprocess.run(
        [sys.executable, "-m", "democloud", "--print-credentials", "--port",
         str(stage.proxied["cloud"])],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    with (stage.folder / "world.log").open("wb") as log:
        made = subprocess.run(
            [sys.executable, "-m", "tests.chaos.world"],
            cwd=ROOT, env=stage.environment(direct=True), input=told, check=True, text=True,
            stdout=subprocess.PIPE, stderr=log,
        ).stdout  # fmt: skip
    with psycopg.connect(stage.postgres.url, autocommit=True) as link:
        link.execute(CLOCK)
    stage.secrets = {
        f"credential of {name}": given["auth"]["application_credential_secret"]
        for name, given in json.loads(told).items()
        if name in TEAMS
    }
    return json.loads(made)


def main() -> None:
    """Make the rows; the credentials come in, the instances go out."""
    import django

    django.setup()
    from django.core.management import call_command

    from instances import inventory, rescue
    from instances.models import Instance
    from teams.models import CloudAccount, Membership, Team, User

    given = json.load(sys.stdin)
    call_command("migrate", verbosity=0)
    for name, people in TEAMS.items():
        team = Team.objects.create(name=name)
        for person in people:
            user = User.objects.create_user(f"{person}@example.org", PASSWORD)
            Membership.objects.create(team=team, user=user, role="owner")
        if name == ONLOOKER[0]:
            user = User.objects.create_user(f"{ONLOOKER[1]}@example.org", PASSWORD)
            Membership.objects.create(team=team, user=user, role="member")
        way = given[name]
        account = CloudAccount(
            team=team, name=name, region_name=way["region_name"], auth_url=way["auth_url"]
        )
        account.keep_credential({"auth_type": way["auth_type"], "auth": way["auth"]})
        inventory.due_accounts()
        inventory.sync(account.pk)
    found = {}
    for name, people in TEAMS.items():
        fields = ("pk", "server_id", "name")
        listed = list(
            Instance.objects.filter(account__team__name=name).order_by("pk").values(*fields)
        )
        for number, person in enumerate(people):
            found[person] = listed[number :: len(people)]
    chosen = rescue.picker_for(Instance.objects.first()).preselected
    print(json.dumps({"people": found, "image": chosen.ref}))


class Rows:
    """The rescues as the database has them, read a few times a second, past every proxy."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.by_id: dict[str, dict[str, Any]] = {}
        self.read_at = 0.0
        self.on = True
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while self.on:
            with (
                suppress(psycopg.Error),
                psycopg.connect(
                    self.url, autocommit=True, row_factory=dict_row, connect_timeout=3
                ) as link,
            ):
                while self.on:
                    began = time.monotonic()
                    rows = link.execute(ROWS).fetchall()
                    self.by_id |= {row["id"]: row for row in rows}
                    self.read_at = began
                    time.sleep(0.4)
            time.sleep(0.2)

    def get(self, rescue_id: str) -> dict[str, Any] | None:
        return self.by_id.get(rescue_id)

    def of(self, server_id: str) -> list[dict[str, Any]]:
        """Return a server's rescues, oldest first."""
        found = [row for row in list(self.by_id.values()) if row["server_id"] == server_id]
        return sorted(found, key=lambda row: row["created_at"])

    def fresh(self) -> None:
        """Wait until the rows were read after now."""
        asked = time.monotonic()
        while self.read_at < asked and self.on:
            time.sleep(0.05)


def ask(url: str, query: str, *values: Any) -> list[dict[str, Any]]:
    """Ask the database directly, again when it was restarted meanwhile."""
    while True:
        try:
            with psycopg.connect(url, row_factory=dict_row, connect_timeout=3) as link:
                answer = link.execute(query, values)
                return answer.fetchall() if answer.description else []
        except psycopg.OperationalError:
            time.sleep(0.3)


if __name__ == "__main__":
    main()
