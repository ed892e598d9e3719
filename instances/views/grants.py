"""Staff ask for a rescue's password; the customer allows, refuses or withdraws it."""

import uuid
from collections.abc import Callable

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from instances import grants
from instances.cards import panel_for
from instances.models import Grant, Rescue
from instances.rescue import NotPossible
from instances.views.gates import followed
from instances.views.session import grant_card
from teams.gates import Request, page, wants_fragment


@page("POST", staff=True)
def ask(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Ask the customer's team to let staff read the password."""
    rescue = followed(request, pk)
    return _done(request, rescue, lambda: grants.ask(rescue=rescue, by=request.user))


@page("POST")
def allow(request: Request, pk: uuid.UUID, grant: int) -> HttpResponse:
    """Let staff read the password for a while."""
    asked = _grant(request, pk, grant)
    return _done(request, asked.rescue, lambda: grants.allow(grant=asked, by=request.user))


@page("POST")
def refuse(request: Request, pk: uuid.UUID, grant: int) -> HttpResponse:
    """Do not let staff read the password."""
    asked = _grant(request, pk, grant)
    return _done(request, asked.rescue, lambda: grants.refuse(grant=asked, by=request.user))


@page("POST")
def withdraw(request: Request, pk: uuid.UUID, grant: int) -> HttpResponse:
    """Take the leave to read the password back."""
    asked = _grant(request, pk, grant)
    return _done(request, asked.rescue, lambda: grants.withdraw(grant=asked, by=request.user))


def _grant(request: Request, pk: uuid.UUID, grant: int) -> Grant:
    rescue = followed(request, pk)
    found = get_object_or_404(Grant.objects.select_related("staff"), pk=grant, rescue=rescue)
    found.rescue = rescue
    return found


def _done(request: Request, rescue: Rescue, use_case: Callable[[], object]) -> HttpResponse:
    """Do it, and answer with the place that asked: the rescue's page or the notifications."""
    try:
        use_case()
    except NotPossible as problem:
        return render(request, "409.html", {"sentence": problem.sentence}, status=409)
    if not wants_fragment(request):
        return redirect("instances:session", pk=rescue.pk)
    if request.htmx.target == "session-grant":
        return grant_card(request, rescue)
    return render(request, "instances/_notifications.html", panel_for(request.user))
