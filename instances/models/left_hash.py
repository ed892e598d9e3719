"""The hash of a temporary password that lies, or may lie, in a server's metadata."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F, Q

from instances.lifecycle import OPEN
from instances.models.mirror import Instance
from instances.models.rescue import Rescue


class LeftHashQuerySet(models.QuerySet["LeftHash"]):
    def there(self) -> "LeftHashQuerySet":
        """Keep those that may be there still."""
        return self.filter(removed_at=None)

    def due(self, now: datetime) -> "LeftHashQuerySet":
        """Keep those to be removed now: no rescue of the server needs one, nobody is at it."""
        free = Q(held_until=None) | Q(held_until__lt=now)
        connected = Q(instance__account__disconnected_at=None)
        needed = Rescue.objects.filter(instance=models.OuterRef("instance"), state__in=OPEN)
        waiting = self.there().filter(free, connected, given_up_at=None, next_at__lte=now)
        return waiting.filter(~models.Exists(needed))


class LeftHash(models.Model):
    """A row for each server that was ever given one; it is written before Nova is asked.

    Whoever changes the server's metadata holds the row meanwhile, so that the removal of one
    rescue's hash never meets the hash of the next.
    """

    instance = models.OneToOneField(
        Instance, on_delete=models.CASCADE, primary_key=True, related_name="left_hash"
    )
    #: whose password it is the hash of
    rescue = models.OneToOneField(Rescue, on_delete=models.CASCADE, related_name="left_hash")
    #: when Nova said that it took it; until then nobody knows
    left_at = models.DateTimeField(null=True)
    #: when Nova said that it is there no more, or never was
    removed_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    #: how often its removal failed, and when and how it did last
    tries = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=20, blank=True)
    next_at = models.DateTimeField(db_index=True)
    held_until = models.DateTimeField(null=True)
    #: counts every write: a writer that was overtaken matches no row
    version = models.PositiveIntegerField(default=0)

    objects = LeftHashQuerySet.as_manager()

    def __str__(self) -> str:
        return f"hash in the metadata of {self.instance_id}"

    def move(self, **changes: Any) -> bool:
        """Write a step if nobody else wrote since this row was read; tell whether it was."""
        mine = LeftHash.objects.filter(pk=self.pk, version=self.version)
        if mine.update(version=F("version") + 1, **changes) != 1:
            return False
        self.version += 1
        for name, value in changes.items():
            setattr(self, name, value)
        return True
