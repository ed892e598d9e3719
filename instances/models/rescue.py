"""The rescue operation: one row from the click to the end, written by compare-and-set."""

import uuid
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.cache import caches
from django.db import models
from django.db.models import F, Q

from instances import story
from instances.lifecycle import (
    BROKEN,
    IN_RESCUE,
    KEEPS_PASSWORD,
    OPEN,
    PHASE_OF,
    SETTLED,
    STARTING,
    Call,
    Case,
    State,
)
from instances.models.clock import now as clock_now
from instances.models.dismissal import Dismissal
from instances.models.mirror import Instance
from instances.picker import Access
from teams import secrets
from teams.models import Team
from teams.permissions import PasswordReaders, Right, Role

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.models.snapshot import Snapshot

LEASE, EARLY = timedelta(seconds=20), timedelta(milliseconds=50)  # a message may come early
#: so many servers at work in one account are followed by one listing, not each by its own looks
CROWD = 5
AT_WORK = frozenset({State.WAITING, State.EXIT_WAITING})  # Nova said yes, the host has it
EXITING = frozenset(state for state, phase in PHASE_OF.items() if phase.call is Call.UNRESCUE)
#: on the way in or out, not stuck
MOVING = AT_WORK | {
    State.REQUESTED, State.CALLING, State.IN_DOUBT,
    State.EXIT_REQUESTED, State.EXIT_CALLING, State.EXIT_IN_DOUBT,
}  # fmt: skip
PASSWORD_LIVES = timedelta(hours=24)
SHOWN_AFTER_END = timedelta(hours=24)


class RescueQuerySet(models.QuerySet["Rescue"]):
    def open(self) -> "RescueQuerySet":
        return self.filter(state__in=OPEN)

    def due(self, now: datetime) -> "RescueQuerySet":
        """Keep open rows whose time has come and that nobody holds."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        connected = Q(instance__account__disconnected_at=None)
        return self.open().filter(free, connected, next_at__lte=now)

    def moving(self, account_id: int) -> "RescueQuerySet":
        """Keep an account's open rows that do not rest."""
        return self.open().filter(instance__account_id=account_id).exclude(next_at=None)

    def crowded(self, account_id: int) -> bool:
        """Tell whether so many of an account's servers are moving that one listing is cheaper."""
        moving = self.filter(instance__account_id=account_id, state__in=MOVING)
        return moving[:CROWD].count() == CROWD

    def is_moving(self, pk: uuid.UUID) -> bool:
        """Tell whether a rescue is on its way in or out."""
        return self.filter(pk=pk, state__in=MOVING).exists()

    def with_password_older_than(self, moment: datetime) -> "RescueQuerySet":
        """Keep rows whose password is too old; one still on its way to the machine stays."""
        old = self.exclude(sealed_password="").filter(created_at__lt=moment)
        return old.exclude(state__in=STARTING)

    def visible_to(self, user: Any) -> "RescueQuerySet":
        return self.filter(instance__account__team__in=Team.objects.of(user))

    def operable_by(self, user: Any) -> "RescueQuerySet":
        return self.filter(instance__account__team__in=Team.objects.of(user, Right.OPERATE))

    def in_panel_of(self, user: Any) -> "RescueQuerySet":
        """Keep what the notification panel shows somebody, newest first."""
        connected = Q(instance__account__disconnected_at=None)
        fresh = Q(connected, state__in=OPEN) | Q(ended_at__gt=clock_now() - SHOWN_AFTER_END)
        dismissed = Dismissal.objects.filter(
            user=user.acted_by or user, rescue=models.OuterRef("pk")
        )
        seen = self.visible_to(user).filter(fresh, ~models.Exists(dismissed))
        return seen.order_by("-created_at")

    def with_all_told(self) -> "RescueQuerySet":
        """Bring along all that a card tells of: a dozen tables, 10 ms of a database's planning.

        With the conditions of ``in_panel_of`` it would be 30 ms: ask for keys first.
        """
        return self.select_related(
            "instance__account__team", "instance__account__mirror", "requested_by", "acting_by",
            "exit_requested_by", "holder", "machine", "boot_check", "snapshot", "left_hash",
        )  # fmt: skip

    def claim(self, pk: uuid.UUID) -> "Rescue | None":
        """Take the lease of a due row, or return None: somebody else has it, or it can wait."""
        now = clock_now()
        found = self.due(now + EARLY).filter(pk=pk)
        rescue = found.select_related("instance__account__team", "requested_by").first()
        if rescue is None or not rescue.move(keep_lease=now + LEASE):
            return None
        return rescue


class Rescue(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="rescues")
    state = models.CharField(max_length=20, default=State.REQUESTED)
    #: counts every write: a writer that was overtaken matches no row
    version = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True, db_index=True)
    #: when its server was last asked for, on its own
    looked_at = models.DateTimeField(null=True)
    #: where an exit or reboot that cannot be asked for goes back to
    fallback = models.CharField(max_length=20, default=State.EXPIRED)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    acting_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    exit_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: whose care it is in now: whoever asked, until it is handed over
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: why, in the person's words: a ticket, say
    reason = models.CharField(max_length=300, blank=True)
    #: the closing report's own words
    closing_note = models.TextField(blank=True)
    #: when it should be over, by the team's time limit or somebody's choice
    until = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)
    idempotency_key = models.UUIDField(unique=True, null=True)
    image_ref = models.CharField(max_length=64, blank=True)
    image_name = models.CharField(max_length=255, blank=True)
    access = models.CharField(max_length=10, default="unknown")
    access_user = models.CharField(max_length=64, blank=True)
    #: the machine learns the password by its hash in the server's metadata
    by_metadata = models.BooleanField(default=False)
    sealed_password = models.TextField(blank=True, editable=False)
    #: the rescue system made it up and printed it on its console
    password_printed = models.BooleanField(default=False)

    # The call under way: how to know it again among the server's actions.
    asked_at = models.DateTimeField()
    called_at = models.DateTimeField(null=True)
    calls = models.PositiveIntegerField(default=0)
    baseline = models.JSONField(default=list)
    quiet_since = models.DateTimeField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    cloud_user_id = models.CharField(max_length=64, blank=True)
    vm_state_before = models.CharField(max_length=32, blank=True)
    conflict = models.BooleanField(default=False)

    obstacle = models.CharField(max_length=20, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_text = models.TextField(blank=True)

    created_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    host_started_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    exit_requested_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    revealed_at = models.DateTimeField(null=True)

    objects = RescueQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["instance"],
                condition=Q(state__in=sorted(OPEN)),
                name="one_open_rescue_per_server",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["instance", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"

    # Writing ----------------------------------------------------------------------------------

    def move(
        self, to: State | None = None, *, keep_lease: datetime | None = None, **changes: Any
    ) -> bool:
        """Write a step if nobody else wrote since this row was read; tell whether it was written.

        Settling destroys the password, unless the state still needs it. Raise
        ``IntegrityError`` when a settled row is opened again beside another open one.
        """
        state = State(to or self.state)
        changes |= {"state": state, "lease_until": keep_lease}
        if state in SETTLED:
            changes |= {"next_at": None, "obstacle": ""}
            changes.setdefault("ended_at", self.ended_at or clock_now())
        if state not in KEEPS_PASSWORD:
            changes["sealed_password"] = ""
        mine = Rescue.objects.filter(pk=self.pk, state=self.state, version=self.version)
        if mine.update(version=F("version") + 1, **changes) != 1:
            return False
        self.version += 1
        for name, value in changes.items():
            setattr(self, name, value)
        return True

    def sealed(self, password: str) -> str:
        """Return the password sealed for this row alone."""
        return secrets.seal(password, bound_to=self._binding)

    def password(self) -> str:
        """Open the password; raise ``secrets.CannotOpen`` when its key is gone."""
        return secrets.unseal(self.sealed_password, bound_to=self._binding)

    @property
    def _binding(self) -> str:
        account, server = self.instance.account_id, self.instance.server_id
        return f"instances.Rescue:{self.pk}:{account}:{server}:password"

    # Reading ----------------------------------------------------------------------------------

    def case(self, now: datetime) -> Case:
        """Return what the state machine has to know of this row."""
        return Case(
            state=State(self.state),
            now=now,
            asked_at=self.asked_at,
            called_at=self.called_at,
            calls=self.calls,
            baseline=frozenset(self.baseline),
            quiet_since=self.quiet_since,
            request_id=self.request_id,
            cloud_user_id=self.cloud_user_id,
            vm_state_before=self.vm_state_before,
            fallback=State(self.fallback),
            conflict=self.conflict,
        )

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_starting(self) -> bool:
        return self.state in STARTING

    @property
    def is_ready(self) -> bool:
        return self.state in IN_RESCUE

    @property
    def is_external(self) -> bool:
        return self.requested_by_id is None and not self.image_ref

    @property
    def is_broken(self) -> bool:
        return self.state in BROKEN

    @property
    def is_failed(self) -> bool:
        return self.state in story.FAILED

    @property
    def is_ended(self) -> bool:
        return self.state in SETTLED

    @property
    def is_exiting(self) -> bool:
        return self.state in EXITING

    @property
    def password_available(self) -> bool:
        """There is a password to show, and the machine is there to take it."""
        return bool(self.sealed_password) and self.ready_at is not None and self.is_open

    def shows_password_to(self, user: Any) -> bool:
        return self.password_available and self.may_read_password(user)

    def may_read_password(self, user: Any) -> bool:
        """Tell whether role and team let somebody read it; staff need a leave in force."""
        team = self.instance.team
        if user.acted_by is not None:
            return user.may(Right.OPERATE, team) and self.grants.of_hands(user).given().exists()
        if not user.may(Right.REVEAL, team):
            return False
        if user.pk in (self.requested_by_id, self.holder_id):
            return True
        if team.password_readers == PasswordReaders.OWNERS:
            return bool(user.role_in(team) == Role.OWNER)
        return team.password_readers == PasswordReaders.MEMBERS

    def reveals_automatically_for(self, user: Any) -> bool:
        """Tell whether the password should appear by itself: once, to the one who asked."""
        return (
            self.state == State.READY
            and user.acted_by is None
            and self.access == Access.PASSWORD
            and self.revealed_at is None
            and self.requested_by_id == user.pk
            and self.instance.team.auto_show_password
            and self.shows_password_to(user)
        )

    @property
    def pending_snapshot(self) -> "Snapshot | None":
        """The snapshot that it waits for before it starts."""
        if self.state != State.REQUESTED:
            return None
        found: Snapshot | None = getattr(self, "snapshot", None)
        return found if found is not None and found.is_pending else None

    def may_cancel(self, user: Any) -> bool:
        return self.state == State.REQUESTED and user.may(Right.OPERATE, self.instance.team)

    @property
    def headline(self) -> "StrOrPromise":
        return story.headline(self)

    @property
    def advice(self) -> "StrOrPromise":
        return story.advice(self)

    @property
    def tone(self) -> str:
        return story.tone(self)

    @property
    def stages(self) -> list[story.Stage]:
        return story.stages(self)

    @property
    def steps(self) -> list[story.Step]:
        return story.steps(self)

    @property
    def hash_remains(self) -> "StrOrPromise":
        return story.hash_remains(self)

    @property
    def hash_command(self) -> str:
        return story.hash_command(self)

    @property
    def ssh_command(self) -> str:
        return story.ssh_command(self)

    @property
    def obstacle_sentence(self) -> "StrOrPromise":
        return story.obstacle(self)

    @property
    def elapsed_from(self) -> datetime:
        if self.is_exiting:
            return self.exit_requested_at or self.asked_at
        return self.ready_at if self.is_ready and self.ready_at else self.created_at

    @property
    def settled_seconds(self) -> int | None:
        """How long it took from the click to ready; None until then."""
        return round((self.ready_at - self.created_at).total_seconds()) if self.ready_at else None

    @property
    def usual_seconds(self) -> int | None:
        """How long such rescues took here lately, as was known a minute ago at most."""
        account_id = self.instance.account_id
        found: int | None = caches["lists"].get_or_set(
            f"usual:{account_id}", lambda: _usual_seconds(account_id), timeout=60
        )
        return found


def _usual_seconds(account_id: int) -> int | None:
    """Return the median of the last 20 rescues of an account."""
    done = Rescue.objects.filter(instance__account_id=account_id, snapshot=None)  # may copy hours
    done = done.exclude(image_ref="").exclude(ready_at=None)
    times = done.order_by("-ready_at").values_list("created_at", "ready_at")[:20]
    took = [(ready - asked).total_seconds() for asked, ready in times if ready]
    return round(median(took)) if took else None
