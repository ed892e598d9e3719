"""What a machine's console told when somebody last had it read."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from instances.models.mirror import Instance


class ConsoleReading(models.Model):
    """The diagnosis of one console; its text is not kept. One for each system of an instance."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="readings")
    #: the rescue system's console, not that of the instance's own system
    of_rescue = models.BooleanField(default=False)
    asked_at = models.DateTimeField(null=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    read_at = models.DateTimeField(null=True)
    #: the kind of a CloudError, when the cloud did not give it
    problem = models.CharField(max_length=20, blank=True)
    #: fault, confidence and line of each, see instances.diagnosis
    found = models.JSONField(default=list)
    booted = models.BooleanField(default=False)
    empty = models.BooleanField(default=False)
    last_line = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["instance", "of_rescue"], name="one_reading_for_each_system"
            ),
        ]

    def __str__(self) -> str:
        return f"console of {self.instance}"
