"""``manage.py connect_cloud TEAM --os-cloud NAME``: connect an account of clouds.yaml."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from instances import cloud
from teams import audit
from teams.models import CloudAccount, Team
from teams.secrets import CannotOpen

#: what to set when the panel must not go to an address
HELP = {
    "private": "{host} is inside a private network: name that network in CLOUD_PRIVATE_NETWORKS,"
    " such as CLOUD_PRIVATE_NETWORKS=10.20.0.0/16, for every part of the panel.",
    "plain_http": "The address of {host} begins with http, which only the networks named in"
    " CLOUD_PRIVATE_NETWORKS may use: take the https address, or name its network there.",
    "not_listed": "{host} is not in CLOUD_AUTH_HOSTS: add it there.",
    "userinfo": "Take the user name out of the address of {host}.",
    "malformed": "The auth_url of this cloud is no address.",
}


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
        try:
            account = connect(team, name, found.region_name, found.credential)
        except cloud.Refused as error:
            raise CommandError(HELP.get(error.reason, str(error)).format(host=error.host)) from None
        self.stdout.write(f"{team.name}: {account.name} connected ({account.auth_url}).")


def connect(team: Team, name: str, region_name: str, credential: dict[str, Any]) -> CloudAccount:
    """Make or renew a team's account; the same credential again changes nothing.

    Raise ``cloud.Refused`` when the panel must not go to its address.
    """
    cloud.check_address(credential["auth"]["auth_url"])
    account, _made = CloudAccount.objects.update_or_create(
        team=team,
        name=name,
        defaults={
            "region_name": region_name,
            "auth_url": credential["auth"]["auth_url"],
            "disconnected_at": None,
        },
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
