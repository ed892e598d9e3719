"""The terminal in the browser: its page, and the ticket that opens its socket."""

import uuid

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from instances import rescue
from instances.recovery import access, terminals
from instances.views.gates import operated
from teams.gates import Request, page


@page("GET", "HEAD", staff=True)
def terminal(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show the terminal, or why there is none."""
    shown = operated(request, pk)
    access.must_use(shown, request.user)
    problem = ""
    try:
        access.must_be_in(shown)
    except rescue.NotPossible as refusal:
        problem = str(refusal.sentence)
    context = {"rescue": shown, "problem": problem, "installed": settings.TERMINAL_INSTALLED}
    return render(request, "instances/terminal.html", context)


@page("POST", staff=True)
def ticket(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Give a ticket for one terminal."""
    shown = operated(request, pk)
    try:
        return JsonResponse({"ticket": terminals.ask(rescue=shown, by=request.user)})
    except rescue.NotPossible as refusal:
        return JsonResponse({"problem": str(refusal.sentence)}, status=409)
