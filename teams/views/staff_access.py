"""The customer's side: when staff acted for me or my team, why, what they did, and ending it."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from teams import acting, acts
from teams.gates import Request, page
from teams.models import AuditEntry, Impersonation

PAGE_SIZE = 20


@page("GET", "HEAD")
def accesses(request: Request) -> HttpResponse:
    """List who of the staff acted for this person or this person's teams, with what they did."""
    listed = Paginator(acting.of_people(request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    shown = [{"access": one, "acts": _acts(one, request)} for one in listed]
    return render(request, "staff/my_accesses.html", {"page": listed, "accesses": shown})


def _acts(access: Impersonation, request: Request) -> list[dict[str, Any]]:
    """List what was done in it, as far as this person's teams are concerned."""
    done = AuditEntry.objects.filter(
        acting_by=access.staff,
        actor=access.customer,
        at__gte=access.started_at,
        at__lte=access.ended_at or access.until,
        team__in=request.user.teams.all(),
    ).exclude(act__in=["staff.begin", "staff.end"])
    listed = done.order_by("at", "pk")[:100]
    return [{"at": one.at, "words": acts.words(one.act), "target": one.target} for one in listed]


@page("POST")
def end(request: Request, pk: int) -> HttpResponse:
    """End an access to oneself at once."""
    access = get_object_or_404(Impersonation, pk=pk, customer=request.user)
    if acting.end(access, by=request.user):
        messages.success(request, _("The access was ended."))
    else:
        messages.info(request, _("The access had ended already."))
    return redirect("teams:staff_access")
