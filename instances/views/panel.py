"""The notification panel and what one does in it."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render

from instances import rescue
from instances.models import Rescue
from instances.templatetags.panel import notification_context
from instances.views.gates import Request, followed, page, wants_fragment


@page("GET", "HEAD")
def notifications(request: Request) -> HttpResponse:
    """Show the panel again, or a page that holds it."""
    if not wants_fragment(request):
        return render(request, "instances/notifications.html")
    return render(request, "instances/_notifications.html", notification_context(request))


@page("POST")
def password(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show the temporary password, in an answer that (as with every page) nothing keeps."""
    shown = followed(request, pk)
    context: dict[str, Any] = {"rescue": shown}
    status = 200
    try:
        context["password"] = rescue.reveal_password(rescue=shown, by=request.user)
    except rescue.NotPossible as problem:
        context["problem"], status = problem.sentence, 409
    template = "_password" if wants_fragment(request) else "password"
    return render(request, f"instances/{template}.html", context, status=status)


@page("POST")
def cancel(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Take a request back before the cloud was asked."""
    return _acted(request, followed(request, pk), rescue.cancel)


@page("POST")
def dismiss(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Put a notification away."""
    return _acted(request, followed(request, pk), rescue.dismiss)


def _acted(request: Request, on: Rescue, use_case: Any) -> HttpResponse:
    try:
        use_case(rescue=on, by=request.user)
    except rescue.NotPossible as problem:
        return render(request, "409.html", {"sentence": problem.sentence}, status=409)
    if not wants_fragment(request):
        return redirect("instances:list")
    return render(request, "instances/_notifications.html", notification_context(request))
