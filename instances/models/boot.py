"""Whether a machine was seen to start again after its rescue."""

import uuid
from datetime import datetime

from django.db import models

from instances.models.clock import now as clock_now
from instances.models.rescue import Rescue


class BootCheckQuerySet(models.QuerySet["BootCheck"]):
    def due(self, now: datetime) -> "BootCheckQuerySet":
        """Keep those to be looked at now."""
        return self.filter(ended_at=None, next_at__lte=now)

    def claim(self, rescue: uuid.UUID, until: datetime) -> "BootCheck | None":
        """Take the next look at one that is due; None when somebody else has, or it can wait."""
        mine = self.due(clock_now()).filter(rescue_id=rescue)
        if not mine.update(next_at=until):
            return None
        return self.select_related("rescue__instance__account__team").get(rescue_id=rescue)


class BootCheck(models.Model):
    """What console and SSH port told since the exit. A row for each rescue that was left."""

    class State(models.TextChoices):
        WATCHING = "watching"
        UP = "up"
        FAULT = "fault"
        UNSEEN = "unseen"

    rescue = models.OneToOneField(
        Rescue, on_delete=models.CASCADE, primary_key=True, related_name="boot_check"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WATCHING)
    #: what showed that it is up: console or port
    shown_by = models.CharField(max_length=10, blank=True)
    #: see instances.diagnosis; what stops the boot, and since when it shows
    fault = models.CharField(max_length=20, blank=True)
    line = models.CharField(max_length=200, blank=True)
    fault_since = models.DateTimeField(null=True)
    #: why the console, or the port, tells nothing
    console = models.CharField(max_length=20, blank=True)
    port = models.CharField(max_length=24, blank=True)
    begun_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True, db_index=True)
    ended_at = models.DateTimeField(null=True)

    objects = BootCheckQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.rescue_id} {self.state}"

    @property
    def watching(self) -> bool:
        return self.state == self.State.WATCHING

    @property
    def is_up(self) -> bool:
        return self.state == self.State.UP

    def note(self, **facts: str | datetime | None) -> bool:
        """Write what was seen while it is being watched; tell whether it still was."""
        return bool(BootCheck.objects.filter(pk=self.pk, ended_at=None).update(**facts))
