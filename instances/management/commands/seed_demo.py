"""``manage.py seed_demo --credentials FILE``: the demo's cast, teams and accounts. Idempotent."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from instances import inventory
from instances.management.commands.connect_cloud import connect
from instances.models import ImageProfile
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
        parser.add_argument("--migrate", action="store_true", help="bring the database up first")
        parser.add_argument("--sync", action="store_true", help="read the demo cloud afterwards")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["migrate"]:  # in one process: loading all of it a second time takes as long
            call_command("migrate", interactive=False)
        self.seed(**options)
        if options["sync"]:  # the list is there when the demo says that it is ready
            for account_id in inventory.due_accounts():
                inventory.sync(account_id)

    @transaction.atomic
    def seed(self, **options: Any) -> None:
        """Put everything in, or find it there."""
        source = options["credentials"]
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        one_hash = make_password(PASSWORD)  # slow on purpose, and the same for all of the cast
        for name in ("alice", "bob", "carol", "mallory", "sam"):
            _person(name, one_hash)
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
        # As an operator would with manage.py image_profile; one may change it and keep that.
        ImageProfile.objects.get_or_create(
            image="SystemRescue*",
            defaults={"printed_line": r"rescue-setup: password of root for this boot: (\S+)"},
        )
        self.stdout.write(f"Demo: {len(ACCOUNTS)} cloud accounts.")


def _person(name: str, password: str) -> None:
    email = f"{name}@example.org"
    if not User.objects.filter(email=email).exists():
        User.objects.create(
            email=email, password=password, name=name.capitalize(), is_staff=name == "sam"
        )
