"""``manage.py purge_old``: delete what ended long ago. Idempotent; beat runs it once a day."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from instances import retention


class Command(BaseCommand):
    help = "Delete what ended long ago; the audit trail is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=settings.RETENTION_DAYS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("--days must be 1 or more.")
        for name, number in retention.purge(options["days"]).items():
            self.stdout.write(f"{name}: {number}")
