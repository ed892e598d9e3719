"""The acts of the audit trail in plain words. A test fails for an act without words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

WORDS: dict[str, "StrOrPromise"] = {
    # rescues
    "rescue.start": _("Asked for rescue mode"),
    "rescue.cancel": _("Took the request for rescue mode back"),
    "rescue.exit": _("Asked to leave rescue mode"),
    "rescue.hard_reboot": _("Asked for a hard reboot"),
    "rescue.extend": _("Changed until when the rescue lasts"),
    "rescue.hand_over": _("Handed the rescue over"),
    "rescue.note": _("Wrote the closing note"),
    "rescue.ready": _("In rescue mode"),
    "rescue.external": _("Found in rescue mode, started outside the panel"),
    "rescue.closed": _("Out of rescue mode"),
    "rescue.recovered": _("Running again after a failed rescue"),
    "rescue.exit_failed": _("Could not leave rescue mode"),
    "rescue.failed_clean": _("The rescue failed; the instance runs as before"),
    "rescue.failed_broken": _("The rescue failed and left the instance in error"),
    "rescue.exit_broken": _("The exit failed and left the instance in error"),
    "rescue.denied": _("Not done: the right was withdrawn meanwhile"),
    "rescue.gone": _("The instance was deleted during its rescue"),
    "rescue.expired": _("Given up after too long a wait"),
    "rescue.refused": _("The cloud refused rescue mode"),
    "rescue.lost_race": _("Somebody else was faster"),
    "rescue.ended_by_cloud": _("The cloud ended the rescue"),
    "rescue.ended_outside": _("Left rescue mode outside the panel"),
    "rescue.still_open": _("Reminded: still in rescue mode"),
    "rescue.time_over": _("The time of the rescue was over"),
    "boot.up": _("Seen to start again after the rescue"),
    "boot.fault": _("Did not start again after the rescue"),
    "boot.unseen": _("Not seen to start again after the rescue"),
    "snapshot.done": _("The snapshot before the rescue was taken"),
    "snapshot.failed": _("No snapshot was taken, so the rescue was not started"),
    # bulk actions
    "batch.start": _("Began to start many in rescue mode"),
    "batch.exit": _("Began to take many out of rescue mode"),
    "batch.stop": _("Stopped a bulk action"),
    "batch.resume": _("Went on with a bulk action"),
    "batch.retry": _("Tried those again that failed or were skipped"),
    "batch.paused": _("A bulk action was held after failures"),
    "batch.done": _("A bulk action was over"),
    "batch.denied": _("A bulk action was stopped: the right was withdrawn meanwhile"),
    # passwords
    "password.reveal": _("Read the temporary password"),
    "password.printed": _("Read the password on the rescue system’s console"),
    "password.destroyed": _("The temporary password was destroyed"),
    "hash.left": _("The password’s hash was put into the instance’s metadata"),
    "hash.removed": _("The password’s hash was taken out of the instance’s metadata"),
    "hash.given_up": _("Gave up removing the password’s hash from the instance’s metadata"),
    # the rescued machine
    "machine.proven": _("The temporary password was proven to let one in"),
    "machine.accept_key": _("Accepted the rescue system’s host key"),
    "console.read": _("Had the console read"),
    "machine.look": _("Looked at the disks"),
    "machine.mount": _("Mounted the old disk"),
    "machine.unmount": _("Unmounted the old disk"),
    "machine.ssh_key": _("Put an SSH key back"),
    "machine.password": _("Set a password on the old system"),
    "machine.fstab": _("Worked on the old fstab"),
    "machine.edit": _("Opened or edited a file of the old system"),
    "machine.check": _("Checked a file system"),
    "machine.reveal": _("Read a password that was set on the old system"),
    "machine.terminal": _("Opened a terminal on the machine"),
    "machine.terminal_end": _("The terminal was closed"),
    "machine.failed": _("Work on the machine failed"),
    # staff
    "staff.begin": _("Staff began to act for a member"),
    "staff.end": _("Staff stopped acting for a member"),
    "grant.ask": _("Staff asked to read the temporary password"),
    "grant.allow": _("Let staff read the temporary password"),
    "grant.refuse": _("Refused staff the temporary password"),
    "grant.withdraw": _("Took the leave to read the password back"),
    "staff.add": _("An operator made somebody staff"),
    "staff.remove": _("An operator took the staff right away"),
    "admin.change": _("An operator changed it in the admin"),
    "keys.rotate": _("Secrets were sealed anew with another key"),
    "image.profile": _("The operator said how one gets into an image"),
    # the team
    "team.create": _("Created the team"),
    "team.rename": _("Renamed the team"),
    "team.settings": _("Changed the team’s settings"),
    "member.invite": _("Invited somebody"),
    "invitation.withdraw": _("Withdrew an invitation"),
    "member.join": _("Joined the team"),
    "member.role": _("Gave a member another role"),
    "member.remove": _("Removed a member"),
    "member.leave": _("Left the team"),
    "member.add": _("An operator added a member"),
    "trail.export": _("Exported the audit trail"),
    # what it connects
    "account.connect": _("Connected a cloud account"),
    "account.machines": _("The operator said where the panel may log in to machines"),
    "account.test": _("Tested a cloud account"),
    "account.rotate": _("Replaced a cloud account’s credential"),
    "account.rename": _("Renamed a cloud account"),
    "account.metadata": _("Said whether a password’s hash may go into the metadata"),
    "account.disconnect": _("Disconnected a cloud account"),
    "key.add": _("Added an SSH key"),
    "key.remove": _("Removed an SSH key"),
    "webhook.add": _("Added a webhook"),
    "webhook.change": _("Changed a webhook"),
    "webhook.rotate_secret": _("Replaced a webhook’s secret"),
    "webhook.remove": _("Removed a webhook"),
    "webhook.test": _("Sent a webhook a test"),
    "webhook.resend": _("Sent a message again"),
    "webhook.disabled": _("A webhook that kept failing was turned off"),
    # people
    "person.sign_up": _("Made an account"),
    "person.sign_in": _("Signed in"),
    "person.sign_in_failed": _("Did not get in"),
    "person.sign_out": _("Signed out"),
    "person.session_ended": _("Ended a session"),
    "person.password_changed": _("Changed the account’s password"),
    "person.password_reset": _("Reset the account’s password"),
    "person.address_confirmed": _("Confirmed the e-mail address"),
    "person.address_changed": _("Moved the account to another e-mail address"),
    "person.factor_added": _("Added a second factor"),
    "person.factor_removed": _("Removed a second factor"),
    "person.provider_joined": _("Joined the account to the sign-in provider"),
    "person.provider_left": _("Took the cloud away that signed in to the account"),
}
LABELS: dict[str, "StrOrPromise"] = {
    "account": _("Cloud account"),
    "act": _("Act"),
    "active": _("Active"),
    "again": _("Tried again"),
    "at_once": _("At once"),
    "address": _("Address"),
    "batch": _("Bulk action"),
    "device": _("Device"),
    "done": _("Done"),
    "ended": _("Ended by"),
    "events": _("Events"),
    "failed": _("Failed"),
    "fingerprint": _("Fingerprint"),
    "form": _("Form"),
    "image": _("Image"),
    "image_ref": _("Image id"),
    "images": _("Rescue images"),
    "kind": _("Kind"),
    "new": _("After"),
    "old": _("Before"),
    "outcome": _("Outcome"),
    "owner": _("Owner"),
    "path": _("File"),
    "person": _("Person"),
    "project": _("Project"),
    "reason": _("Reason"),
    "region": _("Region"),
    "rescue": _("Rescue"),
    "role": _("Role"),
    "seconds": _("Seconds"),
    "since": _("From"),
    "staff": _("Staff"),
    "skipped": _("Skipped"),
    "stage": _("Step"),
    "stop_after": _("Stop after failures"),
    "target": _("On"),
    "until": _("Until"),
    "user": _("User on the instance"),
    "webhook": _("Webhook"),
}
#: what stands as a code in the trail and is shown in words
VALUES: dict[tuple[str, str], "StrOrPromise"] = {
    ("kind", "totp"): _("authenticator app"),
    ("kind", "webauthn"): _("passkey"),
    ("kind", "recovery_codes"): _("recovery codes"),
    ("outcome", "broken"): _("the panel’s database did not answer"),
    ("outcome", "exited"): _("the shell ended"),
    ("outcome", "full"): _("too many terminals were open"),
    ("outcome", "gone"): _("the machine hung up"),
    ("outcome", "idle"): _("nothing was typed for long"),
    ("outcome", "key_changed"): _("the host key had changed"),
    ("outcome", "left"): _("the page was left"),
    ("outcome", "lost"): _("the panel’s process ended"),
    ("outcome", "no_way_in"): _("the machine let nobody in"),
    ("outcome", "nonsense"): _("what came was not the page’s"),
    ("outcome", "not_allowed"): _("the right was withdrawn"),
    ("outcome", "over"): _("the rescue ended"),
    ("outcome", "signed_out"): _("the session ended"),
    ("outcome", "ticket"): _("the ticket did not hold"),
    ("stage", "look"): _("look"),
    ("stage", "apply"): _("change"),
    ("stage", "undo"): _("undo"),
}


def words(act: str) -> "StrOrPromise":
    """Say an act in plain words."""
    return WORDS.get(act, act)


def told(details: dict[str, Any]) -> "Iterator[tuple[StrOrPromise, str]]":
    """Yield label and text for each detail that says something."""
    for key, value in details.items():
        if value in ("", None, [], {}):
            continue
        label = LABELS.get(key, visible(key.replace("_", " ").capitalize()))
        yield label, visible(_text(key, value))


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if isinstance(value, list):
        return ", ".join(_text("", one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(name, kept)}" for name, kept in value.items())
    if key in ("rescue", "batch"):
        return str(value)[:8]
    return str(VALUES.get((key, str(value)), value))


def visible(text: str) -> str:
    """Write out what steers a terminal, a log or the direction of writing instead of showing."""
    return "".join(_escaped(sign) if not sign.isprintable() else sign for sign in text)


def _escaped(sign: str) -> str:
    return sign if sign in "\u00a0\u202f" else sign.encode("unicode_escape").decode("ascii")
