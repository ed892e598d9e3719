"""``manage.py image_profile IMAGE``: say whom one logs in as on an image, and how."""

import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from instances.models import ImageProfile
from instances.picker import Access
from instances.profiles import BadPattern, compiled
from teams import audit

WAYS = [one.value for one in Access if one is not Access.UNKNOWN]


class Command(BaseCommand):
    help = (
        "Say whom one logs in as on the images of a name (* stands for anything) or id, how one"
        " gets in, and which line of the console shows the password. Without options: show it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("image")
        parser.add_argument("--user", help="whom one logs in as; '' for what is usual")
        parser.add_argument("--access", choices=[*WAYS, ""], help="how one gets in")
        parser.add_argument(
            "--password-line", dest="printed_line", metavar="REGEX",
            help="the line that shows the password, the password its one group",
        )  # fmt: skip
        parser.add_argument("--remove", action="store_true", help="forget it")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        image = options["image"]
        if options["remove"]:
            if ImageProfile.objects.filter(image=image).delete()[0]:
                audit.record("image.profile", team=None, target=image, removed=True)
            self.stdout.write(f"{image}: no profile.")
            return
        names = ("user", "access", "printed_line")
        given = {name: options[name] for name in names if options[name] is not None}
        _check(given)
        before = ImageProfile.objects.filter(image=image).values(*names).first()
        after = dict.fromkeys(names, "") | (before or {}) | given
        if given and after != before:
            ImageProfile.objects.update_or_create(image=image, defaults=after)
            audit.record("image.profile", team=None, target=image, **after)
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in after.items())
        self.stdout.write(f"{image}: {said}." if given or before else f"{image}: no profile.")


def _check(given: dict[str, str]) -> None:
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}|", given.get("user", "")):
        raise CommandError(f"{given['user']} is no user's name.")
    if line := given.get("printed_line"):
        try:
            compiled(line)
        except BadPattern as problem:
            raise CommandError(
                f"--password-line takes a regular expression with one group: {problem}."
            ) from None
