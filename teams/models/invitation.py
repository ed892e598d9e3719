"""An invitation into a team: a link that works once, for a while."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from teams.models.people import User
from teams.models.team import Team
from teams.permissions import Role


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def waiting(self) -> "InvitationQuerySet":
        """Keep those neither used nor withdrawn; some may have expired."""
        return self.filter(accepted_at=None, withdrawn_at=None)

    def open(self) -> "InvitationQuerySet":
        """Keep those that can be accepted now."""
        return self.waiting().filter(expires_at__gt=timezone.now())


class Invitation(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role.choices)
    #: of the link's secret; the link itself is only in the mail
    token_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["team", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.email} into {self.team}"

    @property
    def state(self) -> str:
        """Return open, accepted, withdrawn or expired."""
        if self.accepted_at:
            return "accepted"
        if self.withdrawn_at:
            return "withdrawn"
        return "open" if self.expires_at > timezone.now() else "expired"

    @property
    def is_open(self) -> bool:
        return self.state == "open"
