"""``manage.py listen``: hear Nova's notifications, so that clouds need not be asked as often."""

import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from instances import ears
from instances.listener import LOOK, Listener


class Command(BaseCommand):
    help = "Listen to Nova's versioned notifications at NOVA_NOTIFICATIONS_URL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="only say whether a listener is heard of"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.NOVA_NOTIFICATIONS_URL:
            raise CommandError("NOVA_NOTIFICATIONS_URL is not set: there is nothing to listen to.")
        if options["check"]:
            if not ears.figures().listening:
                raise CommandError("Nobody listens.")
            return
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        listener = Listener(settings.NOVA_NOTIFICATIONS_URL, settings.NOVA_NOTIFICATIONS_REGION)
        try:
            listener.run(safety_interval=LOOK)
        finally:
            ears.stopped()
