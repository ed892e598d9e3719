"""The history of an instance."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from instances import events, tasks
from instances import history as use_cases
from instances.models import Instance
from teams.gates import Request, page, wants_fragment


@page("GET", "HEAD", staff=True)
def history(request: Request, pk: int) -> HttpResponse:
    """Show what was done to an instance; have the cloud asked when that is old."""
    seen = Instance.objects.visible_to(request.user).select_related("account__team")
    instance = get_object_or_404(seen, pk=pk)
    if use_cases.wanted(instance):
        tasks.nudge_history(instance.pk)
    events.watch([instance.account.team_id])
    context = {"instance": instance, "history": use_cases.History(instance)}
    template = "_history" if wants_fragment(request) else "history"
    return render(request, f"instances/{template}.html", context)
