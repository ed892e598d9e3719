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

from instances import events, rescue
from instances.models import Instance
from teams.gates import Request, page, wants_fragment
from teams.models import CloudAccount, Team, User
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.models.mirror import InstanceQuerySet

PAGE_SIZE = 50
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
class Row:
    instance: Instance
    actions: list[rescue.MenuAction]
    may_pick: bool


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


class ListView:
    """What one person asked to see of the instances."""

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
        return list(Team.objects.of(self.user).order_by("name"))

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
        found = Instance.objects.visible_to(self.user).matching(self.query)
        return found.filter(account__team=self.team) if self.team else found

    @property
    def shown(self) -> "InstanceQuerySet":
        """All that match, on whichever page."""
        return self._found.filter(FILTERS[self.status][1]) if self.status else self._found

    @cached_property
    def page(self) -> "Page[Instance]":
        down, key = self.sort.startswith("-"), self.sort.lstrip("-") or "name"
        fields = [Lower(name) for name in COLUMNS[key][1]] + [Lower("name")]
        order = [field.desc() if down else field.asc() for field in fields]
        ordered = self.shown.with_panel_data().order_by(*order, "pk")
        return Paginator(ordered, PAGE_SIZE).get_page(self._page)

    @cached_property
    def rows(self) -> list[Row]:
        return [self._row(instance) for instance in self.page]

    def _row(self, instance: Instance) -> Row:
        may = instance.account.team_id in self._operable
        actions = rescue.actions_for(instance, self.user, may_operate=may)
        return Row(instance, actions, may)

    @cached_property
    def _operable(self) -> set[int]:
        return set(Team.objects.of(self.user, Right.OPERATE).values_list("pk", flat=True))

    @property
    def may_operate(self) -> bool:
        return bool(self._operable)

    @property
    def may_pick(self) -> bool:
        """Tell whether there is something to choose for a bulk action."""
        return any(row.may_pick for row in self.rows)

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
        found = ngettext("{n} instance found", "{n} instances found", self.total)
        return found.format(n=self.total)

    @property
    def previous_url(self) -> str:
        number = self.page.number
        return self._url(page=number - 1) if self.page.has_previous() else ""

    @property
    def next_url(self) -> str:
        return self._url(page=self.page.number + 1) if self.page.has_next() else ""

    @cached_property
    def filters(self) -> list[Filter]:
        """List the filters that would show something, and "In rescue" always."""
        asked = {key: Count("pk", filter=q) for key, (_label, q) in FILTERS.items()}
        counts = self._found.aggregate(all=Count("pk"), **asked)
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
        teams = [self.team] if self.team else self.teams
        return list(
            CloudAccount.objects.connected().filter(team__in=teams).select_related("mirror")
        )

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
        mirrors = [a.mirror for a in self.accounts if hasattr(a, "mirror")]
        stamps = [mirror.synced_at for mirror in mirrors if not mirror.problem]
        return min((stamp for stamp in stamps if stamp), default=None)

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
    events.watch({account.team_id for account in view.accounts})
    template = "_table" if wants_fragment(request) else "list"
    return render(request, f"instances/{template}.html", {"view": view})


@page("GET", "HEAD", staff=True)
def row(request: Request, pk: int) -> HttpResponse:
    """Show one row of the list again."""
    seen = Instance.objects.visible_to(request.user).with_panel_data()
    instance = get_object_or_404(seen, pk=pk)
    if not wants_fragment(request):
        return redirect("instances:list")
    may_pick = request.user.may(Right.OPERATE, instance.team)
    context = {
        "instance": instance,
        "actions": rescue.actions_for(instance, request.user, may_operate=may_pick),
        "may_pick": may_pick,
        "picking": "pick" in request.GET,
        "says_team": "teams" in request.GET or request.GET.get("pick") == "teams",
    }
    return render(request, "instances/_row.html", context)
