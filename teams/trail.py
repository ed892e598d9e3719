"""What a team's owners see of the audit trail: narrowed, in plain words, and as a file."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from teams import acts
from teams.models import AuditEntry, Team, User

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django_stubs_ext import StrOrPromise

PAGE_SIZE = 50
BATCH = 500
COLUMNS = (
    "number,at,act,words,target,actor,actor_email,acting_by,acting_by_email,details,hash"
).split(",")
#: what a spreadsheet takes for the beginning of a formula
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Shown:
    """An entry as the page shows it."""

    number: int
    at: datetime
    actor: str
    staff: str
    words: "StrOrPromise"
    target: str
    details: "list[tuple[StrOrPromise, str]]"


class TrailFilter(forms.Form):
    """What of the trail somebody wants to see; an empty one is all of it."""

    person = forms.TypedChoiceField(label=_("Person"), required=False, coerce=int, empty_value=None)
    act = forms.ChoiceField(label=_("Act"), required=False)
    target = forms.CharField(
        label=_("Instance, or what it was done to"), required=False, max_length=300
    )
    since = forms.DateField(label=_("From (UTC)"), required=False)
    until = forms.DateField(label=_("Until (UTC)"), required=False)
    staff = forms.BooleanField(label=_("Only what staff did"), required=False)

    def __init__(self, team: Team, asked: Any) -> None:
        super().__init__(asked)
        self.team = team
        seen = AuditEntry.objects.filter(team=team).order_by()
        ids = {
            pk
            for field in ("actor", "acting_by")
            for pk in seen.values_list(field, flat=True).distinct()
        }
        people = User.objects.filter(pk__in=ids - {None}).order_by("name", "email")
        found = sorted(
            seen.values_list("act", flat=True).distinct(), key=lambda a: str(acts.words(a))
        )
        fields: dict[str, Any] = self.fields
        fields["person"].choices = [
            ("", _("Everybody")),
            *((person.pk, f"{person} ({person.email})") for person in people),
            (0, _("the panel itself")),
        ]
        fields["act"].choices = [("", _("All acts")), *((act, acts.words(act)) for act in found)]
        for name in ("since", "until"):
            fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def clean(self) -> dict[str, Any]:
        """Refuse a span that ends before it begins."""
        asked = super().clean() or {}
        if asked.get("since") and asked.get("until") and asked["until"] < asked["since"]:
            self.add_error("until", _("This day is before the first one."))
        if "\x00" in (asked.get("target") or ""):
            self.add_error("target", _("This text holds a sign that cannot be searched."))
        return asked

    @property
    def entries(self) -> "QuerySet[AuditEntry]":
        """The team's entries that fit, newest first."""
        found = AuditEntry.objects.filter(team=self.team).order_by("-pk")
        asked = self.cleaned_data
        if asked["person"] is not None:
            someone = asked["person"] or None
            theirs = Q(actor=someone) | Q(acting_by=someone)
            found = found.filter(theirs if someone else Q(actor=None))
        if asked["act"]:
            found = found.filter(act=asked["act"])
        if asked["target"]:
            found = found.filter(target__icontains=asked["target"].strip())
        if asked["since"]:
            found = found.filter(at__gte=_midnight(asked["since"]))
        if asked["until"]:
            found = found.filter(at__lt=_midnight(asked["until"]) + timedelta(days=1))
        if asked["staff"]:
            found = found.exclude(acting_by=None)
        return found.select_related("actor", "acting_by")

    @property
    def given(self) -> dict[str, str]:
        """What was asked for, as the address says it."""
        return {
            name: self.data[name] for name in self.fields if self.is_valid() and self.data.get(name)
        }

    @property
    def query(self) -> str:
        return urlencode(self.given)


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


class TrailPage:
    """Some of the entries, and the way to older ones."""

    def __init__(self, asked: TrailFilter, before: str) -> None:
        self.asked = asked
        self.before = int(before) if before.isdecimal() and len(before) < 19 else None

    @cached_property
    def _found(self) -> list[AuditEntry]:
        found = self.asked.entries
        if self.before:
            found = found.filter(pk__lt=self.before)
        return list(found[: PAGE_SIZE + 1])

    @property
    def entries(self) -> list[Shown]:
        return [shown(entry) for entry in self._found[:PAGE_SIZE]]

    @property
    def older(self) -> str:
        """The query of the page with older entries; empty at the beginning of the trail."""
        if len(self._found) <= PAGE_SIZE:
            return ""
        return urlencode(self.asked.given | {"before": self._found[PAGE_SIZE - 1].pk})


def shown(entry: AuditEntry) -> Shown:
    """Put an entry into words."""
    return Shown(
        number=entry.pk,
        at=entry.at,
        actor=_name(entry.actor),
        staff=_name(entry.acting_by),
        words=acts.words(entry.act),
        target=acts.visible(entry.target),
        details=list(acts.told(entry.details)),
    )


def _name(person: User | None) -> str:
    return acts.visible(str(person)) if person else ""


# Files ------------------------------------------------------------------------------------------


def _batches(asked: TrailFilter, before: int) -> Iterator[list[AuditEntry]]:
    """Read by key, so that a long download holds no transaction open."""
    while batch := list(asked.entries.filter(pk__lt=before)[:BATCH]):
        yield batch
        before = batch[-1].pk


def as_csv(asked: TrailFilter, before: int) -> Iterator[bytes]:
    """Write the entries before one for a spreadsheet: UTF-8 with its mark, no formulas."""
    yield b"\xef\xbb\xbf" + _line(COLUMNS)
    for batch in _batches(asked, before):
        yield b"".join(_line(_cells(entry)) for entry in batch)


def _cells(entry: AuditEntry) -> list[str]:
    cells = [
        str(entry.pk),
        _moment(entry),
        entry.act,
        str(acts.words(entry.act)),
        entry.target,
        str(entry.actor or ""),
        entry.actor.email if entry.actor else "",
        str(entry.acting_by or ""),
        entry.acting_by.email if entry.acting_by else "",
        json.dumps(entry.details, ensure_ascii=False, sort_keys=True),
        entry.hash,
    ]
    return [harmless(cell) for cell in cells]


def harmless(cell: str) -> str:
    """Keep a spreadsheet from computing somebody's text, and a terminal from obeying it."""
    return acts.visible(f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell)


def _line(cells: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(cells)
    return out.getvalue().encode("utf-8")


def as_json_lines(asked: TrailFilter, before: int) -> Iterator[bytes]:
    """Write the entries before one as JSON, one a line, with all that their hashes cover."""
    for batch in _batches(asked, before):
        yield b"".join(json.dumps(_facts(entry)).encode("ascii") + b"\n" for entry in batch)


def _facts(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "at": _moment(entry),
        "act": entry.act,
        "target": entry.target,
        "team": entry.team_id,
        "actor": _who(entry.actor),
        "acting_by": _who(entry.acting_by),
        "details": entry.details,
        "hash": entry.hash,
    }


def _who(person: User | None) -> dict[str, Any] | None:
    return {"id": person.pk, "name": person.name, "email": person.email} if person else None


def _moment(entry: AuditEntry) -> str:
    return entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
