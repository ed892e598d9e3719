"""Codes into words: statuses, reasons and outcomes as the panel says them."""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

STATUSES: "dict[str, tuple[StrOrPromise, str]]" = {
    "ACTIVE": (pgettext_lazy("instance status", "Running"), "ok"),
    "RESCUE": (_("In rescue mode"), "rescue"),
    "SHUTOFF": (pgettext_lazy("instance status", "Off"), "off"),
    "ERROR": (pgettext_lazy("instance status", "Error"), "error"),
    "BUILD": (_("Being created"), "busy"),
    "REBUILD": (_("Being rebuilt"), "busy"),
    "REBOOT": (_("Rebooting"), "busy"),
    "HARD_REBOOT": (_("Rebooting"), "busy"),
    "PAUSED": (pgettext_lazy("instance status", "Paused"), "off"),
    "SUSPENDED": (pgettext_lazy("instance status", "Suspended"), "off"),
    "SHELVED": (pgettext_lazy("instance status", "Shelved"), "off"),
    "SHELVED_OFFLOADED": (pgettext_lazy("instance status", "Shelved"), "off"),
    "RESIZE": (_("Being resized"), "busy"),
    "VERIFY_RESIZE": (_("Waiting for the resize to be confirmed"), "busy"),
    "REVERT_RESIZE": (_("Resize being reverted"), "busy"),
    "MIGRATING": (_("Migrating"), "busy"),
    "PASSWORD": (_("Password being changed"), "busy"),
    "SOFT_DELETED": (pgettext_lazy("instance status", "Deleted"), "off"),
    "DELETED": (pgettext_lazy("instance status", "Deleted"), "off"),
    "UNKNOWN": (pgettext_lazy("instance status", "Unknown"), "unknown"),
}
TASKS: "dict[str, StrOrPromise]" = {
    "rescuing": _("Starting rescue mode"),
    "unrescuing": _("Leaving rescue mode"),
    "deleting": _("Being deleted"),
    "powering-on": _("Starting"),
    "powering-off": _("Stopping"),
    "rebooting": _("Rebooting"),
    "reboot_pending": _("Rebooting"),
    "reboot_started": _("Rebooting"),
    "rebooting_hard": _("Hard rebooting"),
    "reboot_pending_hard": _("Hard rebooting"),
    "reboot_started_hard": _("Hard rebooting"),
    "spawning": _("Being created"),
    "scheduling": _("Being created"),
    "networking": _("Being created"),
    "block_device_mapping": _("Being created"),
    "pausing": _("Pausing"),
    "unpausing": _("Resuming"),
    "suspending": _("Suspending"),
    "resuming": _("Resuming"),
    "migrating": _("Migrating"),
    "image_snapshot": _("Snapshot being taken"),
    "image_pending_upload": _("Snapshot being taken"),
    "image_uploading": _("Snapshot being taken"),
}
PROBLEMS: "dict[str, StrOrPromise]" = {
    "": "",
    "silent": _("The cloud does not answer. What you see is what it last told; we keep asking."),
    "broken": _("The cloud answers with an error. What you see is what it last told."),
    "credentials": _(
        "The cloud does not accept this account's credentials any more. "
        "An owner of the team has to connect it again."
    ),
    "refused": _(
        "The panel is not allowed to connect to the address of this cloud. "
        "Its operator has to permit it."
    ),
    "forbidden": _("The cloud refuses to list this project to the account's credentials."),
    "limited": _("The cloud asks us to slow down. What you see may be older than usual."),
}
OBSTACLES: "dict[str, StrOrPromise]" = {
    "": "",
    "silent": _("The cloud does not answer at the moment. We keep trying; nothing is lost."),
    "broken": _("The cloud answers with errors at the moment. We keep trying; nothing is lost."),
    "credentials": _("The cloud does not accept the account's credentials. We keep trying."),
    "refused": _("The panel is not allowed to connect to the cloud's address. We keep trying."),
    "limited": _("The cloud asks us to slow down. We try again in a moment."),
    "host_silent": _(
        "The host of this machine has not answered for a while. The request is waiting for it "
        "and goes on by itself when the host is back."
    ),
    "in_doubt": _("The cloud's answer got lost. We are finding out what it did."),
}
UNSUITABLE: "dict[str, StrOrPromise]" = {
    "not_allowed": _("your team does not allow this image"),
    "not_active": _("not ready to use (its data is missing or deactivated)"),
    "hidden": _("hidden by its owner"),
    "not_yours": _("belongs to another project"),
    "volume_image": _("made from a volume snapshot, which the cloud cannot rescue with"),
    "architecture": _("made for another processor architecture"),
    "min_ram": _("needs more memory than this instance has"),
    "cloud_too_old": _("this cloud cannot rescue instances that boot from a volume"),
    "volume_backed": _(
        "this instance boots from a volume: only images with stable rescue devices can be used"
    ),
    "iso": _("an ISO can only be used when it is marked to be attached as a CD-ROM"),
}
WARNINGS: "dict[str, StrOrPromise]" = {
    "architecture_unknown": _(
        "Made for a less usual processor architecture; the instance's own is not known."
    ),
    "same_image": _(
        "The instance was made from this very image: both disks carry the same labels, "
        "and the machine may boot the broken disk instead of the rescue system."
    ),
    "snapshot_of_it": _(
        "A snapshot of this instance's image: both disks carry the same labels, and the "
        "machine may boot the broken disk."
    ),
    "other_os": _("Made for another operating system than the instance's."),
    "volumes_absent": _("Attached volumes are not visible in rescue mode with this image."),
    "no_config_drive": _(
        "This instance has no config drive, so a temporary password cannot reach the rescue system."
    ),
    "old_config_drive": _(
        "With this image the cloud hands over an old config drive: a temporary password would "
        "not be accepted."
    ),
}
NOT_NOW: "dict[str, StrOrPromise]" = {
    "paused": _("The instance is paused: resume it first."),
    "suspended": _("The instance is suspended: resume it first."),
    "shelved": _("The instance is shelved: unshelve it first."),
    "shelved_offloaded": _("The instance is shelved: unshelve it first."),
    "resized": _("A resize waits to be confirmed or reverted: do that first."),
    "building": _("The instance is still being created."),
    "rescued": _("The instance is already in rescue mode."),
    "soft-delete": _("The instance is deleted."),
    "deleted": _("The instance is deleted."),
    "": _("The cloud does not tell this instance's state at the moment."),
}


def status(status: str, task_state: str | None) -> "StrOrPromise":
    """Say a server's status; a task under way comes first, for Nova still says ACTIVE then."""
    if task_state and task_state in TASKS:
        return TASKS[task_state]
    return STATUSES.get(status, (status, ""))[0]


def tone(status: str, task_state: str | None) -> str:
    """Return ok, busy, rescue, off, error or unknown."""
    if task_state:
        return "busy"
    return STATUSES.get(status, ("", "unknown"))[1]


def problem(code: str) -> "StrOrPromise":
    """Say what is wrong with a cloud account."""
    return PROBLEMS.get(code, PROBLEMS["broken"])


def obstacle(code: str) -> "StrOrPromise":
    """Say what a rescue under way is waiting for."""
    return OBSTACLES.get(code, OBSTACLES["broken"])


def not_now(vm_state: str) -> "StrOrPromise":
    """Say why a server in this state cannot be rescued."""
    default = _("The instance cannot be rescued in its present state.")
    return NOT_NOW.get(vm_state, default)
