"""Links of the portal's side list, the choice of a team, and small drawings of names."""

import re
import string
import zlib
from dataclasses import dataclass
from typing import Any

from django import template
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide.templatetags.lucide import lucide

from teams.models import Team
from teams.permissions import Right

register = template.Library()

HUES = 8
SIGNS = string.punctuation + "«»“”‘’—–"


@dataclass(frozen=True)
class Switcher:
    """The teams somebody may choose from, and the one chosen."""

    teams: list[Team]
    chosen: Team | None


@register.simple_tag(takes_context=True)
def switcher(context: RequestContext) -> Switcher:
    """Offer the person's teams; on a team's own pages that team is the chosen one."""
    request = context["request"]
    mine = request.user.teams_with(Right.LOOK)
    match = request.resolver_match
    of_a_team = match is not None and match.route.startswith("teams/<int:pk>/")
    asked = str(match.kwargs["pk"]) if of_a_team else _team_in_query(request)
    return Switcher(mine, next((team for team in mine if str(team.pk) == asked), None))


def _team_in_query(request: HttpRequest) -> str:
    """Read the team that the address names; the page that says "too many fields" has a head too."""
    try:
        return request.GET.get("team", "")
    except TooManyFieldsSent:
        return ""


@register.simple_tag(takes_context=True)
def can_manage(context: RequestContext, team: Team) -> bool:
    """Tell whether the person may change the team."""
    may: bool = context["request"].user.may(Right.MANAGE, team)
    return may


@register.simple_tag
def avatar(name: Any) -> SafeString:
    """Draw somebody's or something's initials, in a colour that the name alone decides."""
    words = [word.lstrip(SIGNS) for word in re.split(r"[\s@.]+", str(name))]
    initials = "".join(word[0] for word in [word for word in words if word][:2]).upper() or "?"
    hue = zlib.crc32(str(name).lower().encode()) % HUES
    return format_html('<span class="avatar hue-{}" aria-hidden="true">{}</span>', hue, initials)


@register.filter
def item(mapping: dict[Any, Any], key: Any) -> Any:
    """Look a key up."""
    return mapping.get(key, "")


@register.simple_tag(takes_context=True)
def side_link(context: RequestContext, name: str, icon: str, label: str, *args: Any) -> SafeString:
    """Draw a link to a page of the portal, marked when it or a page below it is open."""
    address = reverse(name, args=args)
    here = context["request"].path.startswith(address)
    drawing = lucide(icon, size=16, **{"class": "icon", "aria-hidden": "true"})
    return format_html(
        '<a href="{}"{}>{}<span>{}</span></a>',
        address,
        mark_safe(' aria-current="page"') if here else "",  # nosec B308 B703
        mark_safe(drawing),  # noqa: S308  # nosec B308 B703
        label,
    )
