"""``manage.py seed_demo --credentials FILE``: the demo's cast, teams and accounts. Idempotent."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from instances.management.commands.connect_cloud import connect
from teams.models import CloudAccount, Membership, Team, User

PASSWORD = "rescue-demo"  # noqa: S105
CAST = {
    "Acme Web": {"alice": "owner", "bob": "member", "carol": "reader"},
    "Other Corp": {"mallory": "owner"},
}
#: accounts of the demo cloud, and whose they are
ACCOUNTS = {"Demo-GRA": "Acme Web", "Demo-SBG": "Acme Web", "Demo-Other": "Other Corp"}
#: where the demo cloud's machines are; no other account allows loopback by itself
MACHINES = "127.77.0.0/16"


class Command(BaseCommand):
    help = "Make the demo's people and teams and connect them to the demo cloud."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--credentials", required=True, help="JSON of the demo cloud; - reads standard input"
        )

        parser.add_argument(
            "--machine-port", type=int, default=0, help="where the demo cloud's machines answer SSH"
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        source = options["credentials"]
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        for name in ("alice", "bob", "carol", "mallory", "sam"):
            _person(name)
        for team_name, roles in CAST.items():
            team, _ = Team.objects.get_or_create(name=team_name)
            for name, role in roles.items():
                user = User.objects.get(email=f"{name}@example.org")
                Membership.objects.get_or_create(team=team, user=user, defaults={"role": role})
        accounts = json.loads(text)
        for name, team_name in ACCOUNTS.items():
            given = accounts[name]
            credential = {"auth_type": given["auth_type"], "auth": given["auth"]}
            team = Team.objects.get(name=team_name)
            connect(team, name, given["region_name"], credential)
            if port := options["machine_port"]:
                mine = CloudAccount.objects.filter(team=team, name=name)
                mine.update(machine_port=port, machine_networks=MACHINES)
        self.stdout.write(f"Demo: {len(ACCOUNTS)} cloud accounts.")


def _person(name: str) -> None:
    email = f"{name}@example.org"
    if not User.objects.filter(email=email).exists():
        User.objects.create_user(email, PASSWORD, name=name.capitalize(), is_staff=name == "sam")
