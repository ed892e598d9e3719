"""``manage.py create_team NAME --owner EMAIL``: make a team and its owner. Idempotent."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from teams import audit
from teams.models import Membership, Team, User
from teams.permissions import Role


class Command(BaseCommand):
    help = "Make a team and its owner; doing it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--owner", required=True, metavar="EMAIL")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        team, made = Team.objects.get_or_create(name=options["name"])
        owner = User.objects.filter(email=options["owner"].lower()).first()
        if owner is None:
            owner = User.objects.create_user(options["owner"], _ask_password())
        Membership.objects.update_or_create(team=team, user=owner, defaults={"role": Role.OWNER})
        if made:
            audit.record("team.create", team=team, target=team.name, owner=owner.email)
        self.stdout.write(f"Team {team.name}: owner {owner.email}.")


def _ask_password() -> str | None:
    """Ask for the new owner's password: on the terminal, else as a line on standard input.

    None, and with it no way to sign in yet, when there is none.
    """
    if sys.stdin.isatty():
        return getpass.getpass("Password for the new owner: ") or None
    return sys.stdin.readline().rstrip("\n") or None
