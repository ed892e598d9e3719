"""Who gets through to a view, and to what."""

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

from teams.models import Team, User
from teams.permissions import Right


class Request(HttpRequest):
    """A request of somebody signed in, as the middleware leaves it."""

    htmx: HtmxDetails
    user: User
    #: differs once a change was announced of any team this person sees; empty: not known
    revision: str = ""


View = Callable[..., HttpResponse]


def open_to_staff(view: View) -> View:
    """Let staff who act for a person through to a view that is not a ``page``."""
    view.open_to_staff = True  # type: ignore[attr-defined]
    return view


def page(*methods: str, staff: bool = False) -> Callable[[View], View]:
    """Let signed-in people through with these methods; keep the answer out of every cache.

    Staff who act for a person get through only where ``staff`` says so.
    """

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

        gate = never_cache(login_required(handle))
        return open_to_staff(gate) if staff else gate

    return decorate


def wants_fragment(request: Request) -> bool:
    """Tell a click in an open page from a page load; going back in history is a page load."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def team_for(request: Request, pk: int, right: Right) -> Team:
    """Find one of the person's teams: 404 for another team, 403 for a role that is too small."""
    team = get_object_or_404(Team.objects.of(request.user), pk=pk)
    if not request.user.may(right, team):
        raise PermissionDenied(_("Your role does not allow this."))
    return team
