"""Who is behind a request, and where staff who act for a person may not go."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRefresh

from teams import acting
from teams.models import Impersonation

Answer = Callable[[HttpRequest], HttpResponseBase]


class ActingFor:
    """Make a request the customer's when staff act, and say so in every answer.

    Keep staff out of every view that does not say it is open to them, also of those that others
    wrote: sign-in settings, second factors, sessions, the admin.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.impersonation = None  # type: ignore[attr-defined]
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self.get_response(request)
        over = acting.take_up(request)
        if over is None and _fragment(request):
            over = _page_of_another(request)
            if over is not None and request.impersonation is not None:  # type: ignore[attr-defined]
                return HttpResponseClientRefresh()
        return _over(request, over) if over else _with_banner(request, self.get_response(request))

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Refuse what is not open to staff."""
        if getattr(view, "open_to_staff", False):
            return None
        if getattr(request.user, "acted_by", None) is not None:
            raise PermissionDenied(_("Staff who act for somebody may not do this."))
        return None


def _fragment(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


def _page_of_another(request: HttpRequest) -> Impersonation | None:
    """Return the impersonation a page was drawn in, when this request is not made in it."""
    drawn_in = request.headers.get("X-Acting", "")
    now = request.impersonation  # type: ignore[attr-defined]
    if not drawn_in.isdecimal() or (now is not None and str(now.pk) == drawn_in):
        return None
    staff = now.staff if now else request.user
    return acting.theirs(staff).filter(pk=int(drawn_in[:18])).first()


def _over(request: HttpRequest, impersonation: Impersonation) -> HttpResponse:
    """Do nothing of what was asked: it was meant for the customer, and that is over."""
    context = {"over": impersonation, "swap": True}
    template = "staff/_acting.html" if _fragment(request) else "staff/over.html"
    response = render(request, template, context, status=409)
    if _fragment(request):
        response.headers["HX-Reswap"] = "none"
    add_never_cache_headers(response)
    return response


def _with_banner(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Send the banner along with a fragment, into pages that may have been opened before."""
    impersonation = request.impersonation  # type: ignore[attr-defined]
    if impersonation is None or not _fragment(request) or not isinstance(response, HttpResponse):
        return response
    html = response.headers.get("Content-Type", "").startswith("text/html")
    # A whole page, and the strip itself, have it already.
    there = b'id="acting"' in response.content
    if html and not there and response.status_code not in (204, 304):
        strip = render_to_string("staff/_acting.html", {"swap": True}, request)
        response.content += strip.encode()
    return response
