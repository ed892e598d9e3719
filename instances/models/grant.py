"""A customer's leave for staff to read one rescue's password."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from instances.models.rescue import Rescue


class Grant(models.Model):
    """A staff member's request to read this rescue's password, and the customer's answer."""

    rescue = models.ForeignKey(Rescue, on_delete=models.CASCADE, related_name="grants")
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    asked_at = models.DateTimeField()
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    #: until when the password may be read; None: not granted
    until = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rescue", "staff"], condition=Q(answered_at=None), name="asked_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} asks for the password of {self.rescue_id}"
