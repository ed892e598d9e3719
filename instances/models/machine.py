"""The rescued machine as the panel reaches it over SSH, and the work done on it."""

import json
import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from instances.disks import Disks
from instances.models.clock import now as clock_now
from instances.models.rescue import Rescue
from teams import secrets

LEASE = timedelta(seconds=90)


class Reach(models.TextChoices):
    """How far one gets, as it was last seen."""

    UNTRIED = "untried"
    NO_ADDRESS = "no_address"
    NOT_ALLOWED = "not_allowed"
    CLOSED = "closed"
    SILENT = "silent"
    TROUBLE = "trouble"
    NEW_KEY = "new_key"  # it answers with a host key nobody vouched for
    KEY_CHANGED = "key_changed"
    REFUSED = "refused"
    KEY_ONLY = "key_only"
    NO_PASSWORD = "no_password"  # noqa: S105  the panel has none that would work
    IN = "in"


#: what may yet change by itself: the rescue system boots, or sets the password
PASSING = frozenset({Reach.UNTRIED, Reach.CLOSED, Reach.SILENT, Reach.TROUBLE, Reach.REFUSED})


class MachineQuerySet(models.QuerySet["Machine"]):
    def due(self, now: datetime) -> "MachineQuerySet":
        """Keep those to be tried now, that nobody tries at the moment."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        return self.filter(free, next_at__lte=now)

    def claim(self, rescue: uuid.UUID) -> "Machine | None":
        """Take the lease of one that is due; None when somebody has it or it can wait."""
        now = clock_now()
        mine = self.due(now).filter(rescue_id=rescue)
        if not mine.update(lease_until=now + LEASE):
            return None
        row = self.select_related("rescue__instance__account__team").get(rescue_id=rescue)
        row.lease_until = now + LEASE
        return row


class Machine(models.Model):
    """How far the panel gets into one rescue's system. A row for each rescue."""

    rescue = models.OneToOneField(
        Rescue, on_delete=models.CASCADE, primary_key=True, related_name="machine"
    )
    reach = models.CharField(max_length=16, choices=Reach, default=Reach.UNTRIED)
    address = models.CharField(max_length=64, blank=True)
    port = models.PositiveIntegerField(default=22)
    #: the host key seen, as ``ssh-keyscan`` writes it: kind and base64
    host_key_kind = models.CharField(max_length=64, blank=True)
    host_key = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    #: who vouched for it: "console", "person" or nobody yet
    vouched_by = models.CharField(max_length=8, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: fingerprints that the rescue system printed on its console
    printed = models.JSONField(default=list)
    console_read_at = models.DateTimeField(null=True)
    first_tried_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True, db_index=True)
    lease_until = models.DateTimeField(null=True)
    #: what lsblk and findmnt told, see instances.disks
    survey = models.JSONField(default=dict)
    surveyed_at = models.DateTimeField(null=True)

    objects = MachineQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.rescue_id} {self.reach}"

    @property
    def is_in(self) -> bool:
        return self.reach == Reach.IN

    @property
    def may_pass(self) -> bool:
        """It is looked at again by itself."""
        return self.next_at is not None

    def write(self, *names: str) -> bool:
        """Give the lease back with what was seen; tell whether it still was this row's.

        What a person decided meanwhile took it away, and stands.
        """
        mine = Machine.objects.filter(pk=self.pk, lease_until=self.lease_until)
        seen = {name: getattr(self, name) for name in names}
        return bool(mine.update(lease_until=None, **seen))

    @property
    def disks(self) -> Disks | None:
        return Disks.from_kept(self.survey) if self.survey else None


class Job(models.Model):
    """One piece of work on a rescued machine: looked at dry, done, perhaps undone."""

    class Stage(models.TextChoices):
        LOOK = "look"
        APPLY = "apply"
        UNDO = "undo"

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PLANNED = "planned"  # looked at; waits for the person's yes
        DONE = "done"
        UNDONE = "undone"
        FAILED = "failed"
        DROPPED = "dropped"

    UNDER_WAY: ClassVar = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rescue = models.ForeignKey(Rescue, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=24)
    stage = models.CharField(max_length=8, choices=Stage, default=Stage.LOOK)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    version = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    params = models.JSONField(default=dict)
    #: what of the parameters and the plan is nobody else's business, for this row alone
    sealed = models.TextField(blank=True, editable=False)
    plan = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    problem = models.CharField(max_length=24, blank=True)
    problem_args = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    acting_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField()
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rescue"],
                condition=Q(state__in=("queued", "running")),
                name="one_job_at_a_time_per_machine",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["rescue", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.stage} {self.state}"

    @property
    def under_way(self) -> bool:
        return self.state in self.UNDER_WAY

    @property
    def may_undo(self) -> bool:
        """What it did can be taken back, or that was tried and did not work."""
        failed_at_it = self.state == self.State.FAILED and self.stage == self.Stage.UNDO
        return failed_at_it or (self.state == self.State.DONE and bool(self.result.get("kept")))

    @property
    def may_confirm(self) -> bool:
        """Everything is known that has to be, and waits for a yes."""
        return self.state == self.State.PLANNED and bool(self.plan.get("ready", True))

    def move(self, to: str, **changes: Any) -> bool:
        """Write a step if nobody wrote since this row was read; tell whether it was written."""
        changes |= {"state": to}
        mine = Job.objects.filter(pk=self.pk, state=self.state, version=self.version)
        if mine.update(version=F("version") + 1, **changes) != 1:
            return False
        self.version += 1
        for name, value in changes.items():
            setattr(self, name, value)
        return True

    def seal(self, secret: dict[str, Any]) -> str:
        """Return values sealed for this row alone; nothing for nothing."""
        return secrets.seal(json.dumps(secret), bound_to=self._binding) if secret else ""

    def unsealed(self) -> dict[str, Any]:
        """Open what was sealed; raise ``secrets.CannotOpen`` when its key is gone."""
        if not self.sealed:
            return {}
        opened: dict[str, Any] = json.loads(secrets.unseal(self.sealed, bound_to=self._binding))
        return opened

    @property
    def _binding(self) -> str:
        return f"instances.Job:{self.pk}:sealed"
