"""What happened in a rescue, moment by moment, for its page and its report. It writes nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from instances import story
from instances.lifecycle import SETTLED, State
from instances.models import Rescue
from teams import acts
from teams.models import AuditEntry
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from teams.models import User

ACTS: "dict[str, StrOrPromise]" = {
    "rescue.start": gettext_lazy("Rescue mode asked for"),
    "rescue.external": gettext_lazy("Found in rescue mode, started outside this panel"),
    "rescue.ready": story.HEADLINES[State.READY],
    "rescue.cancel": pgettext_lazy("rescue", "Cancelled"),
    "rescue.extend": gettext_lazy("New end set: {until}"),
    "rescue.hand_over": gettext_lazy("Handed over to {to}"),
    "rescue.note": gettext_lazy("Closing note written"),
    "rescue.still_open": gettext_lazy("Team reminded: still in rescue mode"),
    "rescue.time_over": gettext_lazy("Team told: the time is over"),
    "rescue.exit": gettext_lazy("Exit asked for"),
    "rescue.exit_failed": gettext_lazy("The exit failed"),
    "rescue.hard_reboot": gettext_lazy("Hard reboot requested"),
    "snapshot.done": gettext_lazy("Snapshot taken"),
    "snapshot.failed": gettext_lazy("No snapshot was taken"),
    "boot.up": gettext_lazy("Seen to start again"),
    "boot.fault": gettext_lazy("Does not start: its console shows a fault"),
    "boot.unseen": gettext_lazy("Not seen to start again"),
    "password.reveal": gettext_lazy("Temporary password shown"),
    "password.printed": gettext_lazy("Password read on the rescue system’s console"),
    "password.destroyed": gettext_lazy("Temporary password destroyed because of its age"),
} | {
    f"rescue.{state.value.lower()}": story.HEADLINES[state]
    for state in State
    if state in SETTLED - {State.CANCELLED}
}
BY_THE_CLOCK = "time_over"


@dataclass(frozen=True)
class Moment:
    at: datetime
    text: str
    who: str = ""
    #: the staff member who acted for ``who``
    staff: str = ""


@dataclass(frozen=True)
class Piece:
    """One repair of the machine, as it is told afterwards."""

    at: datetime
    title: str
    state: str
    who: str
    staff: str
    facts: list[tuple[str, str]]
    lines: list[str]
    #: what the machine's own command said
    output: str


def timeline(rescue: Rescue, reader: "User") -> list[Moment]:
    """List what happened and who did it, oldest first, as far as somebody may know it."""
    entries = AuditEntry.objects.filter(team=rescue.instance.team, details__rescue=str(rescue.pk))
    if not reader.may(Right.AUDIT, rescue.instance.team):
        # Who read the password is between that person and the owners.
        secret = Q(act__startswith="password.") | Q(act="machine.reveal")
        entries = entries.filter(~secret | Q(actor=reader))
    told = [_moment(entry) for entry in entries.select_related("actor", "acting_by")]
    stages = [
        (rescue.accepted_at, _("The cloud accepted")),
        (rescue.host_started_at, _("Shutting down, booting the rescue system")),
    ]
    told += [Moment(at, text) for at, text in stages if at]
    return sorted(told, key=lambda moment: moment.at)


def _moment(entry: AuditEntry) -> Moment:
    text = str(ACTS.get(entry.act) or acts.WORDS.get(entry.act, entry.act))
    if entry.details.get("reason") == BY_THE_CLOCK:
        text = _("Exit asked for by the panel: the time is over")
    if entry.act == "rescue.extend":
        until = datetime.fromisoformat(entry.details["until"])
        text = text.format(until=stamp(until))
    elif entry.act == "rescue.hand_over":
        text = text.format(to=entry.details["to"])
    return Moment(
        at=entry.at, text=text,
        who=str(entry.actor or ""), staff=str(entry.acting_by or ""),
    )  # fmt: skip


def stamp(moment: datetime) -> str:
    """Write a moment in full, with its time zone."""
    local = timezone.localtime(moment)
    return f"{date_format(local, 'DATETIME_FORMAT')} {local:%Z}"


def facts(rescue: Rescue) -> "list[tuple[StrOrPromise, str]]":
    """List what is known of a rescue, a name and a value each; what is empty stays out."""
    instance = rescue.instance
    known: list[tuple[Any, str]] = [
        (_("Instance"), str(instance)),
        (_("Server id"), instance.server_id),
        (_("Cloud account"), instance.account.name),
        (_("Region"), instance.account.region_name),
        (_("Asked for by"), _named(rescue.requested_by, rescue.acting_by)),
        (_("In the care of"), str(rescue.holder or "")),
        (_("Reason or ticket"), rescue.reason),
        (_("Rescue image"), rescue.image_name),
    ]
    return [(name, value) for name, value in known if value]


def _named(person: "User | None", staff: "User | None") -> str:
    if staff:
        return _("{name}, by {staff} of the staff").format(name=person, staff=staff)
    return str(person or "")


def as_markdown(rescue: Rescue, reader: "User", work: list[Piece]) -> str:
    """Write the report as a text that is also Markdown."""
    lines = [f"# {_plain(_('Rescue of {name}').format(name=rescue.instance))}", ""]
    lines += [f"**{rescue.headline}**", ""]
    lines += [f"- {name}: {_plain(value)}" for name, value in facts(rescue)]
    if rescue.until:
        lines.append(f"- {_('Until')}: {stamp(rescue.until)}")
    lines += ["", f"## {_('What happened')}", ""]
    lines += [f"- {stamp(m.at)}: {_plain(_line(m))}" for m in timeline(rescue, reader)]
    if work:
        lines += ["", f"## {_('Repairs')}"]
        lines += [line for piece in work for line in _told(piece)]
    if rescue.closing_note:
        quoted = [f"> {_plain(line)}" for line in rescue.closing_note.splitlines()]
        lines += ["", f"## {_('Closing note')}", "", *quoted]
    return "\n".join(lines) + "\n"


def _told(piece: Piece) -> list[str]:
    by = Moment(piece.at, f"{piece.title}: {piece.state}", piece.who, piece.staff)
    lines = ["", f"### {_plain(_line(by))}", "", f"- {stamp(piece.at)}"]
    lines += [f"- {_plain(name)}: {_plain(value)}" for name, value in piece.facts]
    lines += [f"- {_plain(one)}" for one in piece.lines]
    if piece.output:
        # Indented, it is text for Markdown whatever is in it.
        lines += ["", *(f"    {row}" for row in piece.output.splitlines())]
    return lines


def _line(moment: Moment) -> str:
    who = _("{name}, by {staff} of the staff").format(name=moment.who, staff=moment.staff)
    return f"{moment.text} ({who if moment.staff else moment.who})" if moment.who else moment.text


def _plain(text: str) -> str:
    """Keep people's words from being taken for Markdown, and on one line."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]<>#|!" else letter for letter in text)
    return " ".join(escaped.split())
