"""What pages show of staff who act for somebody."""

from datetime import datetime
from typing import Any

from django import template
from django.core.cache import caches
from django.template.context import RequestContext
from django.utils import timezone

from teams import acting
from teams.models import Impersonation

register = template.Library()

NOBODY_KEPT = 10.0  # seconds


@register.simple_tag(takes_context=True)
def accesses_to_me(context: RequestContext) -> list[Impersonation]:
    """List the staff who act for this person now; staff themselves have the banner.

    That nobody does stays so until something is announced of the person's teams: whoever begins
    announces it to them.
    """
    request: Any = context.get("request")
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated or user.acted_by or user.is_staff:
        return []
    revision = getattr(request, "revision", "")
    nobody = f"nobody:{user.pk}:{revision}"
    if revision and caches["lists"].get(nobody):
        return []
    accesses = list(acting.running().filter(customer=user))
    if revision and not accesses:
        caches["lists"].set(nobody, True, NOBODY_KEPT)
    return accesses


@register.simple_tag(takes_context=True)
def is_of_staff(context: RequestContext) -> bool:
    """Tell whether the page is drawn for staff, by themselves."""
    user = getattr(context.get("request"), "user", None)
    return user is not None and acting.may_act(user)


@register.filter
def seconds_left(moment: datetime) -> int:
    """Count the whole seconds until a moment."""
    return max(0, int((moment - timezone.now()).total_seconds()))


@register.filter
def running(access: Impersonation) -> bool:
    """Tell whether an access is in force."""
    return acting.in_force(access)


@register.filter
def lasted_seconds(access: Impersonation) -> int:
    """Count how long an access lasted, or lasts already."""
    end = access.ended_at or min(timezone.now(), access.until)
    return max(0, int((end - access.started_at).total_seconds()))
