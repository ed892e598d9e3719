"""The mirror: what the clouds showed when last asked. Pages read this, never the cloud."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.models import Prefetch, Q
from django.db.models.functions import Lower

from instances import lifecycle, wording
from teams.models import CloudAccount, Team
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.models.rescue import Rescue


class CloudMirror(models.Model):
    """How true the mirror of one cloud account is."""

    account = models.OneToOneField(CloudAccount, on_delete=models.CASCADE, related_name="mirror")
    #: the last time the cloud answered
    synced_at = models.DateTimeField(null=True)
    #: how many servers its Nova manages to show at a time
    page_size = models.PositiveSmallIntegerField(default=200)
    images_at = models.DateTimeField(null=True)
    images_next_at = models.DateTimeField(null=True)
    images_problem = models.CharField(max_length=20, blank=True)
    problem = models.CharField(max_length=20, blank=True)
    problem_since = models.DateTimeField(null=True)
    #: tries in a row that failed
    failures = models.PositiveIntegerField(default=0)

    # Following what changes: see inventory.changes.
    #: when the newest listing of changes began: every server is known as it was then, or later
    listed_at = models.DateTimeField(null=True)
    #: the same moment by the cloud's own clock
    listed_cloud_at = models.DateTimeField(null=True)
    #: when, by the cloud's clock, the newest one began that looked back far enough for all clocks
    changes_since = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True, db_index=True)
    lease_until = models.DateTimeField(null=True)

    # Reading everything, slowly: see inventory.whole.
    full_at = models.DateTimeField(null=True)
    full_next_at = models.DateTimeField(null=True)
    full_lease_until = models.DateTimeField(null=True)

    microversion = models.CharField(max_length=10, blank=True)
    rescues_volume_backed = models.BooleanField(default=False)
    project_id = models.CharField(max_length=64, blank=True)
    user_id = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"mirror of {self.account}"

    @property
    def first_sync_done(self) -> bool:
        return self.full_at is not None

    @property
    def problem_sentence(self) -> "StrOrPromise":
        return wording.problem(self.problem)


class InstanceQuerySet(models.QuerySet["Instance"]):
    def _of_teams_where(self, user: Any, right: Right) -> "InstanceQuerySet":
        teams = Team.objects.of(user, right)
        return self.filter(account__team__in=teams, account__disconnected_at=None, deleted_at=None)

    def visible_to(self, user: Any) -> "InstanceQuerySet":
        """Keep what somebody may see: the instances of his or her teams."""
        return self._of_teams_where(user, Right.LOOK)

    def operable_by(self, user: Any) -> "InstanceQuerySet":
        """Keep what somebody may rescue."""
        return self._of_teams_where(user, Right.OPERATE)

    def of_accounts(self, accounts: list[CloudAccount]) -> "InstanceQuerySet":
        """Keep what is in these accounts, which somebody was found to see."""
        return self.filter(account__in=accounts, deleted_at=None)

    def with_panel_data(self) -> "InstanceQuerySet":
        """Fetch along what a row of the list shows, in a constant number of queries."""
        return self.select_related("account__team", "account__mirror").with_open_rescues()

    def with_open_rescues(self) -> "InstanceQuerySet":
        """Fetch along the rescues a row tells of."""
        from instances.models.rescue import Rescue

        opened = Rescue.objects.open().select_related("requested_by", "exit_requested_by")
        latest = Rescue.objects.filter(state__in=lifecycle.BROKEN).order_by("-created_at")
        return self.prefetch_related(
            Prefetch("rescues", queryset=opened, to_attr="open_rescues"),
            Prefetch("rescues", queryset=latest, to_attr="broken_rescues"),
        )

    def matching(self, text: str) -> "InstanceQuerySet":
        """Keep those whose name, id, address, image or flavor contains every word of a search."""
        found = self
        for word in text.split()[:8]:
            found = found.filter(search_text__contains=word.lower())
        return found


class Instance(models.Model):
    """A server as its cloud last showed it. Its texts are its owner's: hostile until escaped."""

    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="instances")
    server_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=32)
    vm_state = models.CharField(max_length=32)
    task_state = models.CharField(max_length=64, null=True)  # noqa: DJ001  null is Nova's word
    power_state = models.IntegerField(default=0)
    locked = models.BooleanField(default=False)
    addresses = models.JSONField(default=list)
    image_id = models.CharField(max_length=64, blank=True)
    image_name = models.CharField(max_length=255, blank=True)
    flavor_name = models.CharField(max_length=255, blank=True)
    flavor_ram = models.PositiveIntegerField(default=0)  # MiB
    flavor_disk = models.PositiveIntegerField(default=0)  # GiB
    key_name = models.CharField(max_length=255, blank=True)
    config_drive = models.BooleanField(default=False)
    volumes = models.PositiveIntegerField(default=0)
    fault = models.TextField(blank=True)
    cloud_created_at = models.DateTimeField(null=True)
    launched_at = models.DateTimeField(null=True)
    cloud_updated_at = models.DateTimeField(null=True)
    in_rescue_since = models.DateTimeField(null=True)
    #: when what these columns say was asked for
    seen_at = models.DateTimeField()
    #: the newest full listing that showed it
    listed_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    search_text = models.TextField(blank=True)

    objects = InstanceQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "server_id"], name="one_row_per_server"),
        ]
        indexes: ClassVar = [
            models.Index(
                "account", Lower("name"), "id", condition=Q(deleted_at=None), name="by_lower_name"
            ),
            models.Index(
                fields=["account", "status"], condition=Q(deleted_at=None), name="by_status"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.server_id

    @property
    def team(self) -> Team:
        return self.account.team

    @property
    def volume_backed(self) -> bool:
        return not self.image_id

    @property
    def busy(self) -> bool:
        return bool(self.task_state) or self.vm_state == "building"

    @property
    def in_rescue(self) -> bool:
        return self.vm_state == "rescued"

    @property
    def status_label(self) -> "StrOrPromise":
        return wording.status(self.status, self.task_state)

    @property
    def status_tone(self) -> str:
        return wording.tone(self.status, self.task_state)

    @property
    def primary_address(self) -> str:
        """The address to reach it at: floating before fixed, IPv4 before IPv6."""
        ranked = sorted(self.addresses, key=lambda a: (a["kind"] != "floating", a["version"]))
        return str(ranked[0]["address"]) if ranked else ""

    @property
    def open_rescue(self) -> "Rescue | None":
        if hasattr(self, "open_rescues"):
            return self.open_rescues[0] if self.open_rescues else None
        return self.rescues.open().first()

    @property
    def broken_rescue(self) -> "Rescue | None":
        """The newest rescue that left this server in ERROR, if it still is."""
        if self.vm_state != "error":
            return None
        if hasattr(self, "broken_rescues"):
            return self.broken_rescues[0] if self.broken_rescues else None
        return self.rescues.filter(state__in=lifecycle.BROKEN).order_by("-created_at").first()


#: what Nova tells of a server and the mirror keeps, by the same name on both sides
SAME_NAMES = (
    "status vm_state task_state power_state locked addresses image_id flavor_name flavor_ram "
    "flavor_disk key_name config_drive volumes fault launched_at"
).split()


def facts_of(server: Any, *, image_names: dict[str, str], seen_at: datetime) -> dict[str, Any]:
    """Return the columns of an ``Instance`` for a ``cloud.Server``."""
    facts = {name: getattr(server, name) for name in SAME_NAMES}
    image_name = image_names.get(server.image_id, "")
    shown = [server.name, server.server_id, image_name, server.flavor_name]
    shown += [address["address"] for address in server.addresses]
    return facts | {
        "name": server.name or "",
        "image_name": image_name,
        "cloud_created_at": server.created_at,
        "cloud_updated_at": server.updated_at,
        "in_rescue_since": server.launched_at if server.vm_state == "rescued" else None,
        "search_text": " ".join(filter(None, shown)).lower(),
        "seen_at": seen_at,
        "deleted_at": seen_at if server.deleted else None,
    }


class ImageQuerySet(models.QuerySet["Image"]):
    def names(self) -> dict[str, str]:
        """Return names by image id."""
        return dict(self.values_list("image_id", "name"))


class Image(models.Model):
    """An image that a cloud account may use."""

    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="images")
    image_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=32)
    visibility = models.CharField(max_length=32)
    owner = models.CharField(max_length=64, blank=True)
    hidden = models.BooleanField(default=False)
    disk_format = models.CharField(max_length=32, blank=True)
    min_ram = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    tags = models.JSONField(default=list)
    properties = models.JSONField(default=dict)
    cloud_updated_at = models.DateTimeField(null=True)
    objects = ImageQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "image_id"], name="one_row_per_image"),
        ]

    def __str__(self) -> str:
        return self.name or self.image_id
