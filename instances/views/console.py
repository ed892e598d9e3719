"""What an instance's console tells."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from instances import consoles, events, tasks
from instances.models import Instance
from instances.recovery.kinds import REPAIRS
from teams.gates import Request, page, wants_fragment
from teams.permissions import Right


@page("GET", "HEAD", "POST", staff=True)
def console(request: Request, pk: int) -> HttpResponse:
    """Show what the console told when it was last read; have it read when somebody asks."""
    seen = Instance.objects.visible_to(request.user).with_panel_data()
    instance = get_object_or_404(seen, pk=pk)
    if request.method == "POST":
        reading = consoles.ask(instance=instance, by=request.user)
        if reading:
            tasks.nudge_reading(reading)
        if not wants_fragment(request):
            return redirect("instances:console", pk=pk)
    events.watch([instance.account.team_id])
    template = "_console" if wants_fragment(request) else "console"
    return render(request, f"instances/{template}.html", _context(request, instance))


def _context(request: Request, instance: Instance) -> dict[str, Any]:
    looks = consoles.looks_at(instance)
    return {
        "instance": instance,
        "team": instance.team,
        "rescue": instance.open_rescue,
        "looks": looks,
        "waiting": any(look.waiting for look in looks),
        "may_operate": request.user.may(Right.OPERATE, instance.team),
        "repairs": list(REPAIRS),
    }
