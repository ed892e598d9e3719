"""A snapshot that is taken before a rescue starts."""

from typing import Any

from django.db import models

from instances.models.rescue import Rescue


class Snapshot(models.Model):
    """What was asked of Nova and what came of it. A row for each rescue that wants one."""

    class State(models.TextChoices):
        WANTED = "wanted"
        CALLING = "calling"  # while it stays so, nobody knows whether Nova heard
        WAITING = "waiting"
        DONE = "done"
        FAILED = "failed"

    rescue = models.OneToOneField(
        Rescue, on_delete=models.CASCADE, primary_key=True, related_name="snapshot"
    )
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State, default=State.WANTED)
    #: ids of the images of that name that were there before the call
    baseline = models.JSONField(default=list)
    image_id = models.CharField(max_length=64, blank=True)
    calls = models.PositiveIntegerField(default=0)
    begun_at = models.DateTimeField()
    called_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    #: why it failed, and the cloud's own words
    problem = models.CharField(max_length=20, blank=True)
    failure_text = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.name} {self.state}"

    @property
    def is_pending(self) -> bool:
        return self.ended_at is None

    def move(self, to: str, **changes: Any) -> bool:
        """Write a step if nobody else made one; tell whether it was written."""
        changes |= {"state": to}
        if Snapshot.objects.filter(pk=self.pk, state=self.state).update(**changes) != 1:
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True
