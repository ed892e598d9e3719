"""The list of instances: searched, filtered, sorted and paged by the server."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from instances import events
from instances.models import Instance
from instances.views.rows import Row, kept, write
from teams.gates import Request, page, wants_fragment
from teams.models import CloudAccount, Team, User
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.models.mirror import InstanceQuerySet

PAGE_SIZE = 50
ACCOUNTS_KEPT = 1.0  # seconds; how old the list is may seem that much more
LIST_KEPT = 10.0  # seconds, for what might change without being announced
# On the way into rescue a server still has its old status: it counts as in rescue alone.
RESCUED = Q(vm_state="rescued") | Q(task_state__in=["rescuing", "unrescuing"])
FILTERS: "dict[str, tuple[StrOrPromise, Q]]" = {
    "rescue": (_("In rescue"), RESCUED),
    "running": (pgettext_lazy("filter", "Running"), Q(status="ACTIVE") & ~RESCUED),
    "off": (pgettext_lazy("filter", "Off"), Q(status="SHUTOFF") & ~RESCUED),
    "error": (pgettext_lazy("filter", "Error"), Q(status="ERROR") & ~RESCUED),
    "other": (
        pgettext_lazy("filter", "Other"),
        ~Q(status__in=["ACTIVE", "SHUTOFF", "ERROR", "RESCUE"]),
    ),
}
COLUMNS: "dict[str, tuple[StrOrPromise, tuple[str, ...]]]" = {
    "name": (_("Name"), ("name",)),
    "status": (_("Status"), ("status", "task_state")),
    "address": (_("Addresses"), ()),
    "image": (_("Image"), ("image_name",)),
    "flavor": (_("Flavor"), ("flavor_name",)),
    "location": (_("Location"), ("account__region_name", "account__name")),
}
SORTABLE = frozenset(key for key, (_label, fields) in COLUMNS.items() if fields)


@dataclass(frozen=True)
class Written:
    """What a list shows, as HTML, and how many there are of it on all its pages."""

    filters: str
    table: str
    total: int


@dataclass(frozen=True)
class Filter:
    key: str
    label: "StrOrPromise"
    count: int
    current: bool
    url: str


@dataclass(frozen=True)
class Column:
    key: str
    label: "StrOrPromise"
    direction: str  # "", "ascending" or "descending"
    url: str  # "" when one cannot sort by it


class Counted(Paginator):  # type: ignore[type-arg]
    """Pages of what was counted already, together with what the filters would show."""

    def __init__(self, found: "InstanceQuerySet", per_page: int, count: int) -> None:
        super().__init__(found, per_page)
        self.count = count  # Paginator's own is a cached property


class ListView:
    """What one person asked to see of the instances."""

    #: differs once a change of these teams was announced; empty: that cannot be told
    revision = ""

    def __init__(self, user: User, asked: dict[str, str], url: str) -> None:
        self.user = user
        self.url = url
        self.query = asked.get("q", "").replace("\x00", "").strip()[:200]
        self.status = asked["status"] if asked.get("status") in FILTERS else ""
        self.sort = asked["sort"] if asked.get("sort", "").lstrip("-") in SORTABLE else ""
        self._page = asked.get("page", "1")
        self._team = asked.get("team", "")

    def _url(self, **changes: str | int) -> str:
        """Write the address of this view with something changed."""
        team = self.team.pk if self.team else ""
        asked = {"team": team, "q": self.query, "status": self.status, "sort": self.sort} | changes
        query = urlencode({key: value for key, value in asked.items() if value})
        return reverse("instances:list") + (f"?{query}" if query else "")

    @cached_property
    def teams(self) -> list[Team]:
        return self.user.teams_with(Right.LOOK)

    @cached_property
    def team(self) -> Team | None:
        """The team chosen in the header; None: all of the person's."""
        return next((team for team in self.teams if str(team.pk) == self._team), None)

    @property
    def says_team(self) -> bool:
        """Tell whether instances of several teams stand beside each other."""
        return self.team is None and len(self.teams) > 1

    @property
    def cleared_url(self) -> str:
        """The address of the same teams' instances, without search and filter."""
        return self._url(q="", status="")

    @cached_property
    def _found(self) -> "InstanceQuerySet":
        return Instance.objects.of_accounts(self.accounts).matching(self.query)

    @property
    def shown(self) -> "InstanceQuerySet":
        """All that match, on whichever page."""
        return self._found.filter(FILTERS[self.status][1]) if self.status else self._found

    @cached_property
    def page(self) -> "Page[Instance]":
        down, key = self.sort.startswith("-"), self.sort.lstrip("-") or "name"
        fields = [Lower(name) for name in dict.fromkeys((*COLUMNS[key][1], "name"))]
        order = [field.desc() if down else field.asc() for field in fields]
        ordered = self.shown.with_open_rescues().defer("search_text")
        ordered = ordered.order_by(*order, "-pk" if down else "pk")
        return Counted(ordered, PAGE_SIZE, self._counts[self.status or "all"]).get_page(self._page)

    @cached_property
    def rows(self) -> list[Row]:
        teams = self._operable
        accounts = {account.pk: account for account in self.accounts}
        rows = []
        for instance in self.page:
            instance.account = accounts[instance.account_id]
            may = instance.account.team_id in teams
            rows.append(Row(instance, may, self.says_team, self.may_pick))
        return rows

    @cached_property
    def _operable(self) -> set[int]:
        return {team.pk for team in self.user.teams_with(Right.OPERATE)}

    @cached_property
    def written(self) -> Written:
        """The filters and the table as HTML, the same for all who see the same."""
        shown = [(one.pk, one.name, one.region_name, one.team.name) for one in self.accounts]
        facts = (self.revision, self.url, self.says_team, sorted(self._operable), shown)
        return kept("lists", facts, self._write) if self.revision else self._write()[0]

    def _write(self) -> tuple[Written, float]:
        there = bool(self.rows)
        table = "_sheet" if there else "_nothing"
        written = Written(
            write("_filters", view=self) if there or self.is_narrowed else "",
            write(table, view=self),
            self.total if there else 0,
        )
        ages = any(row.tells_age for row in self.rows)
        return written, 0 if not there else 1 if ages else LIST_KEPT

    @property
    def may_pick(self) -> bool:
        """Tell whether there may be something to choose for a bulk action."""
        return any(account.team_id in self._operable for account in self.accounts)

    @property
    def may_operate(self) -> bool:
        return bool(self._operable)

    @property
    def total(self) -> int:
        return self.page.paginator.count

    @property
    def is_narrowed(self) -> bool:
        return bool(self.query or self.status)

    @property
    def summary(self) -> str:
        """Say to those who do not see it what a search found."""
        if not self.is_narrowed:
            return ""
        total = self.written.total
        found = ngettext("{n} instance found", "{n} instances found", total)
        return found.format(n=total)

    @property
    def previous_url(self) -> str:
        number = self.page.number
        return self._url(page=number - 1) if self.page.has_previous() else ""

    @property
    def next_url(self) -> str:
        return self._url(page=self.page.number + 1) if self.page.has_next() else ""

    @cached_property
    def _counts(self) -> dict[str, int]:
        asked = {key: Count("pk", filter=q) for key, (_label, q) in FILTERS.items()}
        return self._found.aggregate(all=Count("pk"), **asked)

    @cached_property
    def filters(self) -> list[Filter]:
        """List the filters that would show something, and "In rescue" always."""
        counts = self._counts
        shown = [Filter("", _("All"), counts["all"], not self.status, self._url(status=""))]
        for key, (label, _q) in FILTERS.items():
            if counts[key] or key in ("rescue", self.status):
                url = self._url(status=key)
                shown.append(Filter(key, label, counts[key], key == self.status, url))
        return shown

    @property
    def columns(self) -> Iterator[Column]:
        current = self.sort.lstrip("-") or "name"
        for key, (label, fields) in COLUMNS.items():
            down = key == current and self.sort.startswith("-")
            direction = "descending" if down else "ascending" if key == current else ""
            turned = f"-{key}" if direction == "ascending" else key
            yield Column(key, label, direction, self._url(sort=turned) if fields else "")

    @cached_property
    def accounts(self) -> list[CloudAccount]:
        teams = {team.pk: team for team in ([self.team] if self.team else self.teams)}

        def ask() -> tuple[list[CloudAccount], float]:
            connected = CloudAccount.objects.connected().filter(team__in=list(teams))
            return list(connected.select_related("mirror")), ACCOUNTS_KEPT

        facts = ("accounts", self.revision, sorted(teams))
        found = kept("lists", facts, ask) if self.revision else ask()[0]
        for account in found:
            account.team = teams[account.team_id]
        return found

    @property
    def has_accounts(self) -> bool:
        return bool(self.accounts)

    @property
    def reading(self) -> bool:
        """A cloud account is there that was never read to its end."""
        return any(not _read(account) for account in self.accounts)

    @property
    def synced_at(self) -> datetime | None:
        """How old the oldest part of this list is; a cloud with a problem says its own age."""
        stamps = [account.mirror.synced_at for account in self._sound]
        return min(filter(None, stamps), default=None)

    @property
    def fresh_accounts(self) -> str:
        """Name the accounts whose reading makes this list younger."""
        return " ".join(str(account.pk) for account in self._sound)

    @property
    def _sound(self) -> list[CloudAccount]:
        read = [account for account in self.accounts if hasattr(account, "mirror")]
        return [one for one in read if one.mirror.synced_at and not one.mirror.problem]

    @property
    def team_name(self) -> str:
        team = self.team or next(iter(self.teams), None)
        return team.name if team else ""


def _read(account: CloudAccount) -> bool:
    return hasattr(account, "mirror") and (
        account.mirror.first_sync_done or bool(account.mirror.problem)
    )


@page("GET", "HEAD", staff=True)
def instance_list(request: Request) -> HttpResponse:
    """Show the list, or only its table to an open page."""
    view = ListView(request.user, request.GET.dict(), request.get_full_path())
    view.revision = events.watch(team.pk for team in ([view.team] if view.team else view.teams))
    if view.team is None:  # the panel tells of all teams
        request.revision = view.revision
    template = "_table" if wants_fragment(request) else "list"
    return render(request, f"instances/{template}.html", {"view": view})


@page("GET", "HEAD", staff=True)
def row(request: Request, pk: int) -> HttpResponse:
    """Show one row of the list again."""
    seen = Instance.objects.visible_to(request.user).with_panel_data()
    instance = get_object_or_404(seen, pk=pk)
    if not wants_fragment(request):
        return redirect("instances:list")
    may_operate = request.user.may(Right.OPERATE, instance.team)
    picking = "pick" in request.GET
    says_team = "teams" in request.GET or request.GET.get("pick") == "teams"
    return HttpResponse(Row(instance, may_operate, says_team, picking).html)
