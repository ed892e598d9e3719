"""Who gets through to a view, and to what."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django_htmx.middleware import HtmxDetails

from instances.models import Instance, Rescue
from teams.models import User
from teams.permissions import Right


class Request(HttpRequest):
    """A request of somebody signed in, as the middleware leaves it."""

    htmx: HtmxDetails
    user: User


View = Callable[..., HttpResponse]


def page(*methods: str) -> Callable[[View], View]:
    """Let signed-in people through with these methods; keep the answer out of every cache."""

    def decorate(view: View) -> View:
        @wraps(view)
        def handle(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                response = render(request, "405.html", status=405)
                response.headers["Allow"] = ", ".join(methods)
            else:
                response = view(request, *args, **kwargs)
            patch_vary_headers(response, ["HX-Request"])
            return response

        return never_cache(login_required(handle))

    return decorate


def wants_fragment(request: Request) -> bool:
    """Tell a click in an open page from a page load; going back in history is a page load."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def operable(request: Request, pk: int) -> Instance:
    """Find an instance to act on: 404 for another team's, 403 for a role that may only look."""
    seen = Instance.objects.visible_to(request.user).with_panel_data()
    instance = get_object_or_404(seen, pk=pk)
    if not request.user.may(Right.OPERATE, instance.team):
        raise PermissionDenied(_("Your role may only look."))
    return instance


def followed(request: Request, pk: uuid.UUID) -> Rescue:
    """Find a rescue of the person's teams: 404 for any other."""
    seen = Rescue.objects.visible_to(request.user).select_related("instance__account__team")
    return get_object_or_404(seen, pk=pk)
