"""Who is behind a request, and where staff who act for a person may not go."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

Answer = Callable[[HttpRequest], HttpResponseBase]


class ActingFor:
    """Keep staff who act for a person out of every view that does not say it is open to them.

    Also of those that others wrote: sign-in settings, second factors, sessions, the admin.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Refuse what is not open to staff."""
        if getattr(view, "open_to_staff", False):
            return None
        if getattr(request.user, "acted_by", None) is not None:
            raise PermissionDenied(_("Staff who act for somebody may not do this."))
        return None
