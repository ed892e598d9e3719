"""The pages for who works on a rescued machine without the panel."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render

from instances import by_hand as steps
from instances.models import Instance
from instances.recovery.known import facts_of
from teams.gates import Request, page
from teams.permissions import Right


@page("GET", "HEAD", staff=True)
def by_hand(request: Request, pk: int) -> HttpResponse:
    """List what one may want to do."""
    instance = _seen(request, pk)
    return render(request, "instances/by_hand.html", _around(instance) | {"goals": steps.GOALS})


@page("GET", "HEAD", staff=True)
def goal(request: Request, pk: int, goal: str) -> HttpResponse:
    """Show the commands for one goal, with this machine's names."""
    instance = _seen(request, pk)
    wanted = steps.GOALS.get(goal)
    if wanted is None:
        raise Http404
    facts = facts_of(instance, request.user)
    context = _around(instance) | {
        "goal": wanted,
        "facts": facts,
        "parts": steps.recipe(wanted, facts),
        "may_operate": request.user.may(Right.OPERATE, instance.team),
    }
    return render(request, "instances/by_hand_goal.html", context)


def _seen(request: Request, pk: int) -> Instance:
    seen = Instance.objects.visible_to(request.user).with_panel_data()
    return get_object_or_404(seen, pk=pk)


def _around(instance: Instance) -> dict[str, Any]:
    return {"instance": instance, "team": instance.team, "rescue": instance.open_rescue}
