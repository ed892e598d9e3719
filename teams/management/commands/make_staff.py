"""``manage.py make_staff EMAIL [--remove]``: let somebody act for customers. Idempotent."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from teams import acting, audit
from teams.models import User


class Command(BaseCommand):
    help = "Make somebody staff, or with --remove not any more; what they do as staff ends at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--remove", action="store_true")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        staff = not options["remove"]
        user = (
            User.objects.select_for_update(no_key=True)
            .filter(email=options["email"].lower())
            .first()
        )
        if user is None:
            raise CommandError(f"Nobody signs in as {options['email']}.")
        if user.is_superuser:
            raise CommandError("This is an operator's account: operators do not act for customers.")
        if user.is_staff != staff:
            user.is_staff = staff
            user.save(update_fields=["is_staff"])
            audit.record("staff.add" if staff else "staff.remove", team=None, target=user.email)
        if not staff:
            for access in user.impersonations.filter(ended_at=None):
                acting.end(access, by=None)
        self.stdout.write(f"{user.email} is {'staff' if staff else 'not staff'}.")
