"""The audit trail's rows: written once, never changed."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from teams.chain import Link
from teams.models.people import User
from teams.models.team import Team


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """The ways round ``save`` and ``delete`` are closed too; bulk updates come by here."""

    def update(self, **changes: Any) -> int:
        raise ValidationError("An audit entry is never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise ValidationError("An audit entry is never deleted.")

    def bulk_create(self, *_args: Any, **_kwargs: Any) -> "list[AuditEntry]":
        raise ValidationError("Entries are written by teams.audit.record.")


class AuditEntry(models.Model):
    """One act, by one person, on one thing. Written once, never changed."""

    at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    acting_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    act = models.CharField(max_length=60)
    target = models.CharField(max_length=300)
    details = models.JSONField(default=dict)
    #: of this entry and of the one before it, so that a change shows; see teams.chain
    hash = models.CharField(max_length=64, blank=True)
    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["team", "-at"])]

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.actor or 'the panel'}: {self.act} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ValidationError("An audit entry is never changed.")
        if not self.hash:
            raise ValidationError("Entries are written by teams.audit.record.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise ValidationError("An audit entry is never deleted.")

    def link(self) -> Link:
        """Return the entry as the chain sees it."""
        return Link(
            id=self.pk,
            at=self.at,
            team=self.team_id,
            actor=self.actor_id,
            acting_by=self.acting_by_id,
            act=self.act,
            target=self.target,
            details=self.details,
            hash=self.hash,
        )
