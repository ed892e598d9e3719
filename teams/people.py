"""What staff find: people and teams by name, e-mail, team or server, and who is in what."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Prefetch, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from teams import acting
from teams.models import Membership, Team, User

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

PAGE_SIZE = 25
PEOPLE = (
    "name__icontains",
    "email__icontains",
    "teams__name__icontains",
    "teams__cloud_accounts__instances__name__icontains",
    "teams__cloud_accounts__instances__server_id__iexact",
)
TEAMS = (
    "name__icontains",
    "members__name__icontains",
    "members__email__icontains",
    "cloud_accounts__instances__name__icontains",
    "cloud_accounts__instances__server_id__iexact",
)
KINDS: "dict[str, StrOrPromise]" = {"people": _("People"), "teams": _("Teams")}


@dataclass(frozen=True)
class Tab:
    label: "StrOrPromise"
    count: int
    current: bool
    url: str


@dataclass(frozen=True)
class Person:
    user: User
    may_be_acted_for: bool


class Search:
    """What one staff member asked to see of the people and teams."""

    def __init__(self, staff: User, asked: dict[str, str]) -> None:
        self.staff = staff
        self.query = asked.get("q", "").replace("\x00", "").strip()[:200]
        self.kind = asked["kind"] if asked.get("kind") in KINDS else "people"
        self._page = asked.get("page", "1")

    @cached_property
    def _found(self) -> dict[str, Any]:
        roles = Membership.objects.select_related("team", "user").order_by("team__name", "pk")
        shown = Prefetch("memberships", queryset=roles)
        people = User.objects.filter(self._matching(PEOPLE)).distinct().order_by("email")
        teams = Team.objects.filter(self._matching(TEAMS)).distinct().order_by("name")
        return {"people": people.prefetch_related(shown), "teams": teams.prefetch_related(shown)}

    def _matching(self, fields: tuple[str, ...]) -> Q:
        """Ask for each word of the search in any of the fields."""
        asked = Q()
        for word in self.query.split()[:5]:
            anywhere = Q()
            for field in fields:
                anywhere |= Q(**{field: word})
            asked &= anywhere
        return asked

    @cached_property
    def page(self) -> "Page[Any]":
        return Paginator(self._found[self.kind], PAGE_SIZE).get_page(self._page)

    @property
    def people(self) -> list[Person]:
        return [Person(user, acting.may_be_acted_for(user, self.staff)) for user in self.page]

    @property
    def tabs(self) -> list[Tab]:
        return [
            Tab(label, self._found[kind].count(), kind == self.kind, self._url(kind=kind))
            for kind, label in KINDS.items()
        ]

    @property
    def previous_url(self) -> str:
        number = self.page.number
        return self._url(page=number - 1) if self.page.has_previous() else ""

    @property
    def next_url(self) -> str:
        return self._url(page=self.page.number + 1) if self.page.has_next() else ""

    def _url(self, **changes: Any) -> str:
        asked = {"q": self.query, "kind": self.kind} | changes
        query = urlencode({key: value for key, value in asked.items() if value})
        return f"{reverse('teams:staff')}?{query}"
