"""``manage.py connect_cloud TEAM --os-cloud NAME``: connect an account of clouds.yaml."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from instances import cloud
from teams import audit
from teams.models import CloudAccount, Team
from teams.secrets import CannotOpen


class Command(BaseCommand):
    help = "Connect an account of clouds.yaml, found the way every OpenStack client finds it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team")
        parser.add_argument("--os-cloud", required=True, metavar="NAME")
        parser.add_argument("--os-region", metavar="REGION")
        parser.add_argument("--name", help="name in the panel; default: the cloud's name")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        team = Team.objects.filter(name=options["team"]).first()
        if team is None:
            raise CommandError(f"There is no team {options['team']}: make it with create_team.")
        try:
            found = cloud.from_clouds_yaml(options["os_cloud"], options["os_region"])
        except cloud.Invalid as error:
            raise CommandError(str(error)) from None
        name = options["name"] or options["os_cloud"]
        account = connect(team, name, found.region_name, found.credential)
        self.stdout.write(f"{team.name}: {account.name} connected ({account.auth_url}).")


def connect(team: Team, name: str, region_name: str, credential: dict[str, Any]) -> CloudAccount:
    """Make or renew a team's account; the same credential again changes nothing."""
    account, _made = CloudAccount.objects.update_or_create(
        team=team,
        name=name,
        defaults={"region_name": region_name, "auth_url": credential["auth"]["auth_url"]},
    )
    if _credential_of(account) != credential:
        account.keep_credential(credential)
        audit.record("account.connect", team=team, target=name, region=region_name)
    return account


def _credential_of(account: CloudAccount) -> dict[str, Any] | None:
    """Return what the account has; None for a new one, or when its key is gone."""
    try:
        return account.credential()
    except CannotOpen:
        return None
