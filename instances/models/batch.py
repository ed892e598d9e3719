"""A bulk action: one row for what was asked, one for each instance it is about."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Count, Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from instances.lifecycle import OPEN, State
from instances.models.clock import now as clock_now
from instances.models.mirror import Instance
from instances.models.rescue import SHOWN_AFTER_END, Rescue
from teams.models import CloudAccount, Team, User
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class BatchQuerySet(models.QuerySet["Batch"]):
    def visible_to(self, user: Any) -> "BatchQuerySet":
        """Keep those of somebody's teams; a draft is seen by whoever drafts it alone."""
        own = ~Q(state=Batch.State.DRAFT) | Q(asked_by=user.pk)
        return self.filter(own, team__in=Team.objects.of(user))

    def operable_by(self, user: Any) -> "BatchQuerySet":
        return self.visible_to(user).filter(team__in=Team.objects.of(user, Right.OPERATE))

    def begun(self) -> "BatchQuerySet":
        return self.exclude(state=Batch.State.DRAFT)

    def in_panel_of(self, user: Any) -> "BatchQuerySet":
        """Keep what the notification panel shows somebody, newest first."""
        inside = BatchItem.objects.filter(batch=models.OuterRef("pk"), rescue__state__in=OPEN)
        fresh = Q(ended_at=None) | Q(ended_at__gt=clock_now() - SHOWN_AFTER_END)
        shown = fresh | models.Exists(inside)
        mine = self.begun().visible_to(user).filter(shown)
        return mine.exclude(put_away_by=user.acted_by or user).order_by("-begun_at")


class Batch(models.Model):
    """What somebody asked for many instances of one team; each becomes an ordinary rescue."""

    class Kind(models.TextChoices):
        START = "start", _("Start in rescue mode")
        EXIT = "exit", _("Exit rescue mode")

    class State(models.TextChoices):
        DRAFT = "draft", _("Being prepared")
        RUNNING = "running", _("Under way")
        PAUSED = "paused", _("Held after failures")
        STOPPED = "stopped", _("Stopped")
        DONE = "done", _("Done")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="batches")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    acting_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    #: in whose name the next ones start: whoever began it, resumed it or tried it again last
    run_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    run_by_staff = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=300, blank=True)
    hours = models.PositiveSmallIntegerField(null=True)
    #: how the name of each one's snapshot begins; empty: none is taken
    snapshot = models.CharField(max_length=80, blank=True)
    #: which image for which account: {account's id: image's id}
    images = models.JSONField(default=dict)
    at_once = models.PositiveSmallIntegerField(default=5)
    stop_after = models.PositiveSmallIntegerField(default=3)
    #: failures that somebody looked at and went on nevertheless
    forgiven = models.PositiveIntegerField(default=0)
    #: counts the times it was set going, so that each end is told once
    round = models.PositiveIntegerField(default=0)
    #: chosen, but beyond the limit of one bulk action, or another team's
    over_limit = models.PositiveIntegerField(default=0)
    of_other_teams = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True)
    #: since when nothing is on its way and nothing will start by itself
    ended_at = models.DateTimeField(null=True)
    put_away_by = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")

    objects = BatchQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["team", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind} {self.state}"

    @property
    def is_start(self) -> bool:
        return self.kind == Batch.Kind.START

    @property
    def is_draft(self) -> bool:
        return self.state == Batch.State.DRAFT

    @property
    def is_running(self) -> bool:
        return self.state == Batch.State.RUNNING

    def hands(self) -> User | None:
        """Return the person in whose name it runs, in the hands of staff if that was so."""
        if self.run_by is None:
            return None
        self.run_by.acted_by = self.run_by_staff
        return self.run_by

    def counts(self) -> "Counts":
        """Count its items by how they stand, in one query."""
        held = BatchItem.State
        exiting = Q(state=held.DONE) & ~Q(rescue__state=State.READY)
        found = self.items.aggregate(
            total=Count("pk"),
            waiting=Count("pk", filter=Q(state=held.WAITING)),
            under_way=Count("pk", filter=Q(state=held.STARTED)),
            done=Count("pk", filter=Q(state=held.DONE)),
            left=Count("pk", filter=exiting),
            failed=Count("pk", filter=Q(state=held.FAILED)),
            skipped=Count("pk", filter=Q(state=held.SKIPPED)),
        )
        return Counts(is_start=self.is_start, **found)


class Counts:
    """How many of a batch's instances stand where."""

    def __init__(self, *, is_start: bool, **found: int) -> None:
        self.total, self.waiting, self.under_way = (
            found["total"], found["waiting"], found["under_way"],
        )  # fmt: skip
        self.failed, self.skipped, self.done = found["failed"], found["skipped"], found["done"]
        #: of those brought into rescue: still in it, and no longer
        self.left = found["left"] if is_start else found["done"]
        self.inside = found["done"] - found["left"] if is_start else 0

    @property
    def settled(self) -> int:
        return self.done + self.failed + self.skipped

    @property
    def again(self) -> int:
        """Those that can be tried again."""
        return self.failed + self.skipped


class BatchItem(models.Model):
    """One instance of a batch, and the rescue that it became."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        STARTED = "started", _("On the way")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        SKIPPED = "skipped", _("Skipped")

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="batch_items")
    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    #: why it was skipped, in each language of the panel
    reasons = models.JSONField(default=dict)
    #: counts the tries: each makes a rescue of its own
    attempt = models.PositiveIntegerField(default=0)
    rescue = models.ForeignKey(
        Rescue, on_delete=models.SET_NULL, null=True, related_name="batch_items"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "instance"], name="once_in_a_batch"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["batch", "state", "position"]),
            models.Index(fields=["account", "state"]),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.position} {self.state}"

    @property
    def key(self) -> uuid.UUID:
        """The idempotency key of the rescue of this try."""
        return uuid.uuid5(self.batch_id, f"{self.pk}:{self.attempt}")

    @property
    def reason(self) -> str:
        return str(self.reasons.get(get_language() or settings.LANGUAGE_CODE, ""))

    @property
    def tone(self) -> str:
        """Return busy, ready, failed, ended or waiting, for colour and icon."""
        if self.state == BatchItem.State.DONE:
            return self.rescue.tone if self.rescue else "ended"
        told = {"waiting": "waiting", "started": "busy", "failed": "failed"}
        return told.get(self.state, "ended")

    @property
    def headline(self) -> "StrOrPromise":
        """Say in a few words how it stands."""
        if self.rescue and self.state in (BatchItem.State.STARTED, BatchItem.State.DONE,
                                          BatchItem.State.FAILED):  # fmt: skip
            return self.rescue.headline
        return BatchItem.State(self.state).label

    @property
    def explanation(self) -> "StrOrPromise":
        """Say why it is not as it was wanted."""
        if self.state == BatchItem.State.SKIPPED:
            return self.reason
        if self.rescue and (self.state == BatchItem.State.FAILED or self.rescue.is_failed):
            return self.rescue.advice
        return ""
