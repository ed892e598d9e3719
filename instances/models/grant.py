"""A customer's leave for staff to read one rescue's password."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from instances.models.clock import now as clock_now
from instances.models.rescue import Rescue
from teams.models import Impersonation

LIVES = timedelta(minutes=15)


class GrantQuerySet(models.QuerySet["Grant"]):
    def alive(self) -> "GrantQuerySet":
        """Keep those asked in an impersonation that still runs: with it they all end."""
        asked_in = Impersonation.objects.filter(
            staff=OuterRef("staff"),
            started_at__lte=OuterRef("asked_at"),
            ended_at=None,
            until__gt=clock_now(),
        )
        return self.filter(Exists(asked_in)).select_related("staff", "answered_by")

    def waiting(self) -> "GrantQuerySet":
        """Keep the questions that nobody has answered."""
        return self.alive().filter(answered_at=None)

    def given(self) -> "GrantQuerySet":
        """Keep those that let staff read the password at this moment."""
        return self.alive().filter(until__gt=clock_now(), withdrawn_at=None)

    def of_hands(self, user: Any) -> "GrantQuerySet":
        """Keep what the staff member behind a customer asked for; nothing when there is none."""
        return self.filter(staff=user.acted_by) if user.acted_by else self.none()


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

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rescue", "staff"], condition=Q(answered_at=None), name="asked_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} asks for the password of {self.rescue_id}"

    @property
    def state(self) -> str:
        """Return waiting, refused, withdrawn, expired or given."""
        if self.answered_at is None:
            return "waiting"
        if self.until is None:
            return "refused"
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "given" if self.until > clock_now() else "expired"
