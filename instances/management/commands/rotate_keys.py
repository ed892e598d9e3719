"""``manage.py rotate_keys``: seal every secret anew under the first key. Idempotent, resumable."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from instances import rotation
from teams import audit
from teams.secrets import key_id


class Command(BaseCommand):
    help = "Seal every secret anew under the first of ENCRYPTION_KEYS; stopped, it goes on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only count, change nothing")
        parser.add_argument("--batch", type=int, default=rotation.BATCH, help="rows at a time")
        parser.add_argument("--pause", type=float, default=0, help="seconds between batches")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["check"]:
            done, closed = rotation.rotate(
                batch=max(1, options["batch"]), pause=max(0, options["pause"])
            )
            if done:
                key = key_id(settings.ENCRYPTION_KEYS[0])
                audit.record("keys.rotate", team=None, target=f"key {key}", rows=done)
            self.stdout.write(f"Sealed anew: {done}.")
            if closed:
                raise CommandError(
                    "No key at hand opens: " + ", ".join(closed) + ". "
                    "Put the key that sealed them back into ENCRYPTION_KEYS, behind the first."
                )
        self._count()

    def _count(self) -> None:
        current, elsewhere = key_id(settings.ENCRYPTION_KEYS[0]), 0
        for label, keys in rotation.count().items():
            others = {name: number for name, number in keys.items() if name != current}
            elsewhere += sum(others.values())
            told = ", ".join(f"{number} under {name}" for name, number in sorted(others.items()))
            rest = f", {told}" if told else ""
            self.stdout.write(f"{label}: {keys[current]} under the first key ({current}){rest}.")
        if elsewhere:
            self.stdout.write(f"{elsewhere} still under other keys: keep them, and run this again.")
        else:
            self.stdout.write("Nothing is under another key: the old keys may be taken out.")
