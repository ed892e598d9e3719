"""``manage.py allow_machines TEAM ACCOUNT``: say where the panel may log in to its machines."""

import ipaddress
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from teams import audit
from teams.models import CloudAccount


class Command(BaseCommand):
    help = (
        "Let the panel log in to rescued machines in these networks too. Public addresses are"
        " always allowed; a private one may as well be a machine of your own network."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team")
        parser.add_argument("account")
        parser.add_argument(
            "--networks", nargs="*", metavar="CIDR", help="none given: none allowed"
        )
        parser.add_argument("--port", type=int, help="where SSH answers; default: as it is")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        named = CloudAccount.objects.filter(team__name=options["team"], name=options["account"])
        account = named.select_for_update().first()
        if account is None:
            raise CommandError(f"{options['team']} has no cloud account {options['account']}.")
        before = account.machine_networks, account.machine_port
        if options["networks"] is not None:
            account.machine_networks = " ".join(map(_network, options["networks"]))
        if options["port"] is not None:
            account.machine_port = _port(options["port"])
        if (account.machine_networks, account.machine_port) != before:
            account.save(update_fields=["machine_networks", "machine_port"])
            audit.record(
                "account.machines", team=account.team, target=account.name,
                networks=account.machine_networks, port=account.machine_port,
            )  # fmt: skip
        where = account.machine_networks.replace(" ", ", ")
        self.stdout.write(
            f"{account.team.name}: {account.name}: the panel logs in at public addresses"
            f"{' and in ' + where if where else ' only'}, port {account.machine_port}."
        )


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as problem:
        raise CommandError(f"{text} is no network such as 10.20.0.0/16: {problem}.") from None


def _port(port: int) -> int:
    if not 0 < port < 65536:
        raise CommandError(f"{port} is no port: 1 to 65535.")
    return port
