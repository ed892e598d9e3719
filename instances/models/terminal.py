"""A terminal in the browser: asked for, opened once, ended. What was typed or shown is nowhere."""

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from instances.models.clock import now as clock_now
from instances.models.rescue import Rescue

TICKET_LIVES = timedelta(seconds=30)
#: whose process says nothing for so long is dead, and its terminal with it
LOST_AFTER = timedelta(seconds=60)


class TerminalQuerySet(models.QuerySet["Terminal"]):
    def open(self, now: datetime) -> "TerminalQuerySet":
        """Keep those in use, and those that somebody is just about to open."""
        used, asked = (
            Q(seen_at__gt=now - LOST_AFTER),
            Q(opened_at=None, asked_at__gt=now - TICKET_LIVES),
        )
        return self.filter(used | asked, ended_at=None)

    def lost(self, now: datetime) -> "TerminalQuerySet":
        """Keep those whose process ended without a word."""
        return self.filter(ended_at=None, seen_at__lte=now - LOST_AFTER)


class Terminal(models.Model):
    """One person's terminal on one rescue's machine; its ticket works once, for that person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rescue = models.ForeignKey(Rescue, on_delete=models.CASCADE, related_name="terminals")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    acting_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    ticket_hash = models.CharField(max_length=64, unique=True, editable=False)
    asked_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = TerminalQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["ended_at", "seen_at"])]

    def __str__(self) -> str:
        return f"{self.user} on {self.rescue_id}"

    def new_ticket(self) -> str:
        """Return a new ticket; the row keeps no more than what recognises it."""
        ticket = secrets.token_urlsafe(32)
        self.ticket_hash = self.hash_of(ticket)
        return ticket

    @staticmethod
    def hash_of(ticket: str) -> str:
        return hashlib.sha256(ticket.encode()).hexdigest()

    def take(self) -> bool:
        """Use the ticket up; tell whether it was still good."""
        now = clock_now()
        good = Terminal.objects.filter(
            pk=self.pk, opened_at=None, ended_at=None, asked_at__gt=now - TICKET_LIVES
        )
        if not good.update(opened_at=now, seen_at=now):
            return False
        self.opened_at = self.seen_at = now
        return True
