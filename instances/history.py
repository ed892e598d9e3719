"""An instance's history: what the panel did and what the cloud says was done, in one line of time.

The page shows what was last read, and says how old that is; a worker asks the cloud.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from instances import events, wording
from instances.cloud import CloudError, open_account
from instances.models import CloudHistory, Instance, Rescue
from instances.models.clock import now as clock_now
from teams.acts import visible
from teams.models import AuditEntry
from teams.trail import shown

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Nova's actions that people meet; another keeps Nova's name
ACTIONS: dict[str, "StrOrPromise"] = {
    "create": _("Created"),
    "delete": _("Deleted"),
    "rescue": _("Put into rescue mode"),
    "unrescue": _("Taken out of rescue mode"),
    "reboot": _("Rebooted"),
    "start": _("Started"),
    "stop": _("Stopped"),
    "pause": _("Paused"),
    "unpause": _("Unpaused"),
    "suspend": _("Suspended"),
    "resume": _("Resumed"),
    "shelve": _("Shelved"),
    "unshelve": _("Unshelved"),
    "rebuild": _("Rebuilt"),
    "resize": _("Resized"),
    "confirmResize": _("Resize confirmed"),
    "revertResize": _("Resize reverted"),
    "migrate": _("Moved to another host"),
    "live-migration": _("Moved to another host while running"),
    "evacuate": _("Moved away from a host that failed"),
    "lock": _("Locked"),
    "unlock": _("Unlocked"),
    "createImage": _("Snapshot taken"),
    "createBackup": _("Backup taken"),
    "attach_volume": _("Volume attached"),
    "detach_volume": _("Volume detached"),
    "attach_interface": _("Network interface attached"),
    "detach_interface": _("Network interface detached"),
    "changePassword": _("Administrator’s password changed"),
    "resetState": _("State reset by the cloud’s operator"),
}
PROBLEMS: dict[str, "StrOrPromise"] = {
    "gone": _("The cloud no longer knows this instance. What you see is what it told before."),
    "forbidden": _("The cloud does not show this instance’s actions to the account’s credential."),
}
#: how old it may be before the cloud is asked again, and how long an answer may take
FRESH = timedelta(seconds=10)
MOST = 200


@dataclass(frozen=True)
class Line:
    """One thing that was done, by the panel's or by the cloud's word."""

    at: datetime
    source: str  # "panel" or "cloud"
    words: "StrOrPromise"
    who: str = ""
    staff: str = ""
    #: whose action the cloud's is: "panel", "account", "cloud" or "other"
    whose: str = ""
    failed: bool = False
    details: "tuple[tuple[StrOrPromise, str], ...]" = ()


class History:
    """What is known of an instance, newest first."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    @cached_property
    def read(self) -> CloudHistory | None:
        """What the cloud told when it was last asked."""
        return CloudHistory.objects.filter(instance=self.instance).first()

    @property
    def read_at(self) -> datetime | None:
        return self.read.read_at if self.read else None

    @property
    def problem(self) -> "StrOrPromise":
        code = self.read.problem if self.read else ""
        return PROBLEMS.get(code) or wording.problem(code)

    @cached_property
    def lines(self) -> list[Line]:
        merged = [*self._of_the_panel(), *self._of_the_cloud()]
        return sorted(merged, key=lambda line: (line.at, line.source), reverse=True)[:MOST]

    def _of_the_panel(self) -> list[Line]:
        about = f"({self.instance.server_id})"
        mine = AuditEntry.objects.filter(team=self.instance.team, target__endswith=about)
        entries = mine.select_related("actor", "acting_by").order_by("-pk")[:MOST]
        return [
            Line(
                at=told.at,
                source="panel",
                words=told.words,
                who=told.actor,
                staff=told.staff,
                details=tuple(told.details),
            )
            for told in map(shown, entries)
        ]

    def _of_the_cloud(self) -> list[Line]:
        acts = self.read.acts if self.read else []
        return [
            Line(
                at=at,
                source="cloud",
                words=ACTIONS.get(act["action"], visible(act["action"])),
                who=self._asked_by.get(act["request_id"], ""),
                whose=self._whose(act),
                failed=act["failed"],
                details=self._ids(act),
            )
            for act in acts
            if (at := parse_datetime(act["at"]))
        ]

    @cached_property
    def _asked_by(self) -> dict[str, str]:
        """Who is behind the requests that the panel sent and still knows."""
        known = self.instance.rescues.exclude(request_id="").exclude(called_at=None)
        return {
            rescue.request_id: str(rescue.exit_requested_by or rescue.requested_by or "")
            for rescue in known.select_related("requested_by", "exit_requested_by")
        }

    @cached_property
    def _own_users(self) -> set[str]:
        """The cloud's users that the panel has worked as."""
        used = Rescue.objects.filter(instance=self.instance).exclude(cloud_user_id="")
        mirror = getattr(self.instance.account, "mirror", None)
        now = {mirror.user_id} if mirror and mirror.user_id else set()
        return now | set(used.values_list("cloud_user_id", flat=True))

    def _whose(self, act: dict[str, Any]) -> str:
        if act["request_id"] in self._asked_by:
            return "panel"
        if not act["user_id"]:
            return "cloud"
        return "account" if act["user_id"] in self._own_users else "other"

    @staticmethod
    def _ids(act: dict[str, Any]) -> "tuple[tuple[StrOrPromise, str], ...]":
        pairs = [(_("Cloud user"), act["user_id"]), (_("Request"), act["request_id"])]
        return tuple((label, visible(text)) for label, text in pairs if text)


def wanted(instance: Instance) -> bool:
    """Tell whether the cloud should be asked again; note that it is being asked."""
    now = clock_now()
    row, _created = CloudHistory.objects.get_or_create(instance=instance)
    latest = max(filter(None, [row.asked_at, row.read_at]), default=None)
    if latest and now - latest < FRESH:
        return False
    return bool(CloudHistory.objects.filter(pk=row.pk, asked_at=row.asked_at).update(asked_at=now))


def read(instance_id: int) -> None:
    """Ask the cloud what was done to a server, keep it, and tell the open pages."""
    found = Instance.objects.select_related("account__team").filter(pk=instance_id).first()
    if found is None:
        return
    changes: dict[str, Any] = {"problem": ""}
    try:
        acts = open_account(found.account).history(found.server_id)
        changes |= {"acts": [act.kept() for act in acts], "read_at": clock_now()}
    except CloudError as error:
        changes["problem"] = error.kind
    CloudHistory.objects.update_or_create(instance=found, defaults=changes)
    events.changed(found.account.team_id, [f"history:{found.pk}"])
