"""What the panel tells of a rescue: headline, stages, advice, next steps. It writes nothing."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instances import wording
from instances.lifecycle import BROKEN, IN_RESCUE, STARTING, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_stubs_ext import StrOrPromise

    from instances.models.left_hash import LeftHash
    from instances.models.rescue import Rescue

    Mark = tuple[str, StrOrPromise, datetime | None]

FAILED = frozenset(
    {
        State.REFUSED,
        State.DENIED,
        State.EXPIRED,
        State.LOST_RACE,
        State.FAILED_CLEAN,
        State.FAILED_BROKEN,
        State.EXIT_BROKEN,
    }
)

HEADLINES: "dict[State, StrOrPromise]" = {
    State.REQUESTED: _("Rescue mode requested"),
    State.CALLING: _("Asking the cloud"),
    State.IN_DOUBT: _("Checking what the cloud did"),
    State.WAITING: _("Rescue mode is starting"),
    State.STUCK: _("Rescue mode is taking unusually long"),
    State.READY: _("In rescue mode"),
    State.EXTERNAL: _("In rescue mode, started outside this panel"),
    State.EXIT_REQUESTED: _("Exit from rescue mode requested"),
    State.EXIT_CALLING: _("Asking the cloud to leave rescue mode"),
    State.EXIT_IN_DOUBT: _("Checking what the cloud did"),
    State.EXIT_WAITING: _("Leaving rescue mode"),
    State.EXIT_STUCK: _("Leaving rescue mode is taking unusually long"),
    State.REBOOT_REQUESTED: _("Hard reboot requested"),
    State.REBOOT_CALLING: _("Asking the cloud for a hard reboot"),
    State.REBOOT_IN_DOUBT: _("Checking what the cloud did"),
    State.REBOOT_WAITING: _("Hard rebooting"),
    State.CLOSED: _("Out of rescue mode"),
    State.CANCELLED: pgettext_lazy("rescue", "Cancelled"),
    State.DENIED: _("Not started: the right to do it was withdrawn"),
    State.EXPIRED: _("Not started: the cloud could not be asked in time"),
    State.REFUSED: _("The cloud refused"),
    State.LOST_RACE: _("Somebody else was faster"),
    State.FAILED_CLEAN: _("Rescue mode did not start"),
    State.FAILED_BROKEN: _("Rescue mode failed and left the instance in error"),
    State.EXIT_BROKEN: _("The exit failed and left the instance in error"),
    State.RECOVERED: _("Running again after a hard reboot"),
    State.ENDED_OUTSIDE: _("Rescue mode was ended outside this panel"),
    State.ENDED_BY_CLOUD: _("The cloud ended rescue mode by its own time limit"),
    State.GONE: _("The instance was deleted"),
}
ADVICE: "dict[State, StrOrPromise]" = {
    State.STUCK: _(
        "The request is still with the cloud and may yet succeed. If it lasts, "
        "ask your cloud's operator to look at this instance."
    ),
    State.EXTERNAL: _(
        "The panel does not know this rescue's password: it was shown to whoever started it."
    ),
    State.EXIT_STUCK: _("If it lasts, ask your cloud's operator to look at this instance."),
    State.DENIED: _("Ask an owner of the team."),
    State.EXPIRED: _("Nothing was changed. Try again when the cloud answers."),
    State.LOST_RACE: _(
        "The instance is in somebody else's rescue; the password made for yours was destroyed."
    ),
    State.FAILED_CLEAN: _(
        "The instance is as it was before. You can try again, perhaps with another image."
    ),
    State.FAILED_BROKEN: _(
        "Your disk is untouched. A hard reboot brings the instance back to its normal system; "
        "only then try rescue mode again."
    ),
    State.EXIT_BROKEN: _("A hard reboot brings the instance back to its normal system."),
    State.ENDED_OUTSIDE: _("The temporary password no longer works and was destroyed."),
    State.ENDED_BY_CLOUD: _("The temporary password no longer works and was destroyed."),
    State.CLOSED: _("The instance boots from its own disk. Its usual SSH host key is valid again."),
}
REFUSALS: "dict[str, StrOrPromise]" = {
    "locked": _("The instance is locked. Unlock it, then try again."),
    "busy": _("The instance is busy with another task. Try again when it is done."),
    "conflict": _("The instance is not in a state that allows it. Nothing was changed."),
    "invalid": _("The cloud does not accept this image for this instance. Pick another one."),
    "forbidden": _("The cloud does not allow it to this account's credentials."),
    "exit_failed": _("The exit did not work; the instance is still in rescue mode. Try again."),
    "reboot_failed": _("The hard reboot failed. Ask your cloud's operator for help."),
    "reboot_silent": _("The hard reboot got no answer from the host. Ask your cloud's operator."),
    "not_taken": _("The cloud did not take the request although it was sent three times."),
    "key_gone": _("The password made for this rescue can no longer be opened. Try again."),
    "expired": _("The cloud could not be asked in time. Nothing was changed; try again."),
}

NO_SNAPSHOT: "dict[str, StrOrPromise]" = {
    "": _("No snapshot could be taken, so the rescue was not started. Nothing was changed."),
    "vm_state": _(
        "The cloud takes no snapshot of an instance in this state, so the rescue was not started."
    ),
    "too_long": _("The snapshot was not done within an hour, so the rescue was not started."),
    "unsure": _(
        "The cloud did not say whether it takes the snapshot, so the rescue was not started. Look "
        "among your images."
    ),
}


NO_HASH: "dict[str, StrOrPromise]" = {
    "": _(
        "The cloud did not take the password’s hash into the instance’s metadata, so the rescue "
        "was not started: its password would not have worked. Nothing was changed."
    ),
    "forbidden": _(
        "The cloud does not let the panel write into this instance’s metadata: it is full, or the "
        "account’s role is too small. The rescue was not started, for its password would not have "
        "worked. Remove an entry of the metadata, or pick an image with another way in."
    ),
    "conflict": _(
        "In its present state the cloud takes no metadata for this instance, or it is locked. The "
        "rescue was not started, for its password would not have worked. Try again when it runs or "
        "is off, or pick an image with another way in."
    ),
}
#: failures of the removal after which the panel says how to do it by hand
HASH_SAID_AFTER = 3


@dataclass(frozen=True)
class Stage:
    key: str
    label: "StrOrPromise"
    state: str  # done, now, next or failed
    at: datetime | None


@dataclass(frozen=True)
class Step:
    title: "StrOrPromise"
    text: "StrOrPromise"
    command: str


def headline(rescue: "Rescue") -> "StrOrPromise":
    """Say in a few words how it stands."""
    if rescue.pending_snapshot:
        return _("Taking a snapshot first")
    return HEADLINES[State(rescue.state)]


def advice(rescue: "Rescue") -> "StrOrPromise":
    """Say what to do next; the reason of a refusal comes first."""
    refusal = REFUSALS.get(rescue.failure_code) or _missing(rescue.failure_code)
    if refusal and (rescue.state in FAILED or rescue.is_open):
        return refusal
    if rescue.failure_code.startswith("vm_state:"):
        return wording.not_now(rescue.failure_code.partition(":")[2])
    if rescue.state == State.CLOSED and rescue.vm_state_before == "stopped":
        return _("The instance was off before; leaving rescue mode has started it.")
    if rescue.is_external and rescue.state in (State.ENDED_OUTSIDE, State.ENDED_BY_CLOUD):
        return ""  # its password was never with us
    return ADVICE.get(State(rescue.state), "")


def _missing(code: str) -> "StrOrPromise":
    """Say what had to come before the rescue and failed, so that it was not started."""
    before, _colon, problem = code.partition(":")
    words = {"snapshot": NO_SNAPSHOT, "hash": NO_HASH}.get(before)
    return words.get(problem, words[""]) if words else ""


def hash_remains(rescue: "Rescue") -> "StrOrPromise":
    """Say that the password's hash could not be taken out of the metadata; mostly it was."""
    left: LeftHash | None = getattr(rescue, "left_hash", None)
    if left is None or left.removed_at or rescue.is_open:
        return ""
    if left.given_up_at:
        return _(
            "The hash of the temporary password may still be in the instance’s metadata, and the "
            "panel tries no more to remove it. Nobody can work out the password from it, but "
            "remove it by hand before the next rescue:"
        )
    if left.tries >= HASH_SAID_AFTER:
        return _(
            "The hash of the temporary password could not yet be removed from the instance’s "
            "metadata. The panel keeps trying; you can also remove it by hand, once the instance "
            "runs or is off:"
        )
    return ""


def hash_command(rescue: "Rescue") -> str:
    """Return the line that takes the hash out of the metadata."""
    return f"openstack server unset --property rescue_password_hash {rescue.instance.server_id}"


def obstacle(rescue: "Rescue") -> "StrOrPromise":
    in_doubt = rescue.state in (State.IN_DOUBT, State.EXIT_IN_DOUBT, State.REBOOT_IN_DOUBT)
    return wording.obstacle(rescue.obstacle or ("in_doubt" if in_doubt else ""))


def tone(rescue: "Rescue") -> str:
    """Return busy, ready, failed or ended."""
    if rescue.state in IN_RESCUE:
        return "ready"
    if rescue.is_open:
        return "busy"
    return "failed" if rescue.state in FAILED else "ended"


def stages(rescue: "Rescue") -> list[Stage]:
    """List the honest stages of a start, or of an exit once one was asked for."""
    if rescue.is_external and not rescue.exit_requested_at:
        return []
    if rescue.exit_requested_at and rescue.state not in IN_RESCUE:
        marks: list[Mark] = [
            ("exit_asked", _("Exit asked for"), rescue.exit_requested_at),
            ("restarting", _("Restarting from its own disk"), None),
            ("running", _("Running normally"), rescue.ended_at),
        ]
    else:
        marks = [
            ("asked", pgettext_lazy("rescue stage", "Asked"), rescue.created_at),
            *_snapshot_stage(rescue),
            ("accepted", pgettext_lazy("rescue stage", "Accepted"), rescue.accepted_at),
            ("booting", _("Shutting down, booting the rescue system"), rescue.host_started_at),
            ("ready", _("In rescue mode"), rescue.ready_at),
        ]
    return _marked(rescue, marks)


def _snapshot_stage(rescue: "Rescue") -> "list[Mark]":
    snapshot = getattr(rescue, "snapshot", None)
    return [("snapshot", _("Taking a snapshot"), snapshot.begun_at)] if snapshot else []


def _marked(rescue: "Rescue", marks: "Sequence[Mark]") -> list[Stage]:
    """Mark stages: those before the last one that was reached are done."""
    finished = rescue.is_ready or (rescue.is_ended and rescue.state not in FAILED)
    reached = max((n for n, (_k, _l, at) in enumerate(marks) if at), default=0)
    if rescue.exit_requested_at and rescue.is_exiting:
        reached = 0 if rescue.state == State.EXIT_REQUESTED else 1
    listed = []
    for n, (key, label, at) in enumerate(marks):
        if finished or n < reached:
            state = "done"
        elif n == reached:
            state = "failed" if rescue.state in FAILED else "now"
        else:
            state = "next"
        listed.append(Stage(key, label, state, at))
    return listed


def ssh_command(rescue: "Rescue") -> str:
    """Return the line that opens a session, with a known_hosts file of its own.

    The rescue system makes a new host key at each start; a file per rescue keeps the warning
    about a changed key away without turning the check off.
    """
    address = rescue.instance.primary_address
    if not address or rescue.state not in IN_RESCUE:
        return ""
    known = f"~/.ssh/known_hosts.rescue-{str(rescue.pk)[:8]}"
    user = rescue.access_user or "root"
    port = rescue.instance.account.machine_port
    target = f"-p {port} " if port != 22 else ""
    target += shlex.quote(f"{user}@{address}")
    return f"ssh -o UserKnownHostsFile={known} -o StrictHostKeyChecking=accept-new {target}"


def steps(rescue: "Rescue") -> list[Step]:
    """List the guide's next steps with this machine's facts, once it is in rescue."""
    if rescue.state not in IN_RESCUE:
        return []
    return [
        Step(_log_in_title(rescue), _log_in_text(rescue), ssh_command(rescue)),
        Step(
            _("Look at the disks"),
            _("Your old disk is the one of {size} GB that is not mounted on /.").format(
                size=rescue.instance.flavor_disk
            )
            if rescue.instance.flavor_disk
            else _("Your old disk is the one that is not mounted on /."),
            "lsblk -o NAME,SIZE,FSTYPE,LABEL,MOUNTPOINT",
        ),
        Step(
            _("Mount your system's partition"),
            _("Usually the first partition of the second disk; take the name you saw above."),
            "mount /dev/vdb1 /mnt",
        ),
        Step(
            _("Repair"),
            _("For example put your key back into the list of accepted SSH keys."),
            "nano /mnt/home/admin/.ssh/authorized_keys",
        ),
        Step(
            _("Unmount, then exit rescue mode"),
            _("So that everything is written to the disk."),
            "cd / && sync && umount /mnt",
        ),
    ]


def _log_in_title(rescue: "Rescue") -> "StrOrPromise":
    if rescue.access == "key":
        return _("Log in as {user}").format(user=rescue.access_user or "root")
    return _("Log in as root")


def _log_in_text(rescue: "Rescue") -> "StrOrPromise":
    if rescue.access == "password":
        return _("With the temporary password.")
    if rescue.access == "key":
        return _("With your usual SSH key; then become root with sudo -i.")
    if rescue.password_printed:
        return _("With the password that was read on the console.")
    if rescue.access == "console":
        return _("With what the rescue system prints on the console.")
    return _("The panel does not know how this image lets one in: try your SSH key.")


__all__ = ["BROKEN", "FAILED", "STARTING", "Stage", "Step"]
