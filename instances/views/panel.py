"""The notification panel and what one does in it."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render

from instances import rescue as use_cases
from instances.cards import panel_for
from instances.models import Rescue
from instances.models.clock import now as clock_now
from instances.views.gates import followed
from teams.gates import Request, page, wants_fragment
from teams.models import User
from teams.secrets import Veiled

SHOWN_FOR = 120  # seconds


@page("GET", "HEAD", staff=True)
def notifications(request: Request) -> HttpResponse:
    """Show the panel again, or a page that holds it."""
    if not wants_fragment(request):
        return render(request, "instances/notifications.html")
    return render(request, "instances/_notifications.html", panel_for(request.user))


@page("POST", staff=True)
def password(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show the temporary password, in an answer that (as with every page) nothing keeps."""
    shown = followed(request, pk)
    context: dict[str, Any] = {"rescue": shown}
    status = 200
    try:
        context["password"] = Veiled(use_cases.reveal_password(rescue=shown, by=request.user))
    except use_cases.NotPossible as problem:
        context["problem"], status = problem.sentence, 409
    context["seconds"] = _shown_for(shown, request.user)
    template = "_password" if wants_fragment(request) else "password"
    return render(request, f"instances/{template}.html", context, status=status)


def _shown_for(rescue: Rescue, user: User) -> int:
    """Say for how many seconds it stays in sight: to staff no longer than they may read it."""
    leave = rescue.grants.of_hands(user).given().first()
    if leave is None or leave.until is None:
        return SHOWN_FOR
    return max(1, min(SHOWN_FOR, int((leave.until - clock_now()).total_seconds())))


@page("POST", staff=True)
def cancel(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Take a request back before the cloud was asked."""
    return _acted(request, followed(request, pk), use_cases.cancel)


@page("POST", staff=True)
def dismiss(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Put a notification away."""
    return _acted(request, followed(request, pk), _dismiss)


def _dismiss(*, rescue: Rescue, by: User) -> None:
    """Put away a notification and the earlier ones it had taken the place of."""
    use_cases.dismiss(rescue=rescue, by=by)
    told = Rescue.objects.in_panel_of(by).filter(instance=rescue.instance_id)
    for earlier in told.filter(created_at__lt=rescue.created_at):
        use_cases.dismiss(rescue=earlier, by=by)


def _acted(request: Request, on: Rescue, use_case: Any) -> HttpResponse:
    try:
        use_case(rescue=on, by=request.user)
    except use_cases.NotPossible as problem:
        return render(request, "409.html", {"sentence": problem.sentence}, status=409)
    if not wants_fragment(request):
        return redirect("instances:list")
    return render(request, "instances/_notifications.html", panel_for(request.user))
