"""Who put which rescue's notification away."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class Dismissal(models.Model):
    """Somebody put a rescue's notification away."""

    rescue = models.ForeignKey(
        "instances.Rescue", on_delete=models.CASCADE, related_name="dismissals"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rescue", "user"], name="dismissed_once"),
        ]

    def __str__(self) -> str:
        return f"{self.rescue_id} put away by {self.user}"
