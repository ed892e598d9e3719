"""Check that the audit trail is as it was written."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from teams import audit


class Command(BaseCommand):
    help = "Walk along the audit trail's chain of hashes and name the first broken entry."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--head",
            default="",
            metavar="HASH",
            help="a head kept elsewhere: shows whether the end was cut off or all written anew",
        )

    def handle(self, *args: Any, head: str = "", **options: Any) -> None:
        verdict = audit.verify(head.strip().lower())
        if verdict.problem:
            raise CommandError(verdict.problem, returncode=1)
        entries = "1 entry" if verdict.count == 1 else f"{verdict.count} entries"
        self.stdout.write(f"The audit trail is whole: {entries}, head {verdict.head or 'none'}.")
