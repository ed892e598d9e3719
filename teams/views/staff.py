"""Staff: finding people and teams, acting for one of them, and stopping."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import acting
from teams.gates import Request, View, page
from teams.models import User
from teams.people import Search

PAGE_SIZE = 25


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("A ticket, or what you were asked for. The customer reads it."),
        min_length=5,
        max_length=300,
    )


def staff_page(*methods: str) -> Callable[[View], View]:
    """Let staff through; for everybody else there is nothing here."""

    def decorate(view: View) -> View:
        @wraps(view)
        def handle(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
            if not acting.may_act(request.user):
                raise Http404
            return view(request, *args, **kwargs)

        return page(*methods)(handle)

    return decorate


@staff_page("GET", "HEAD")
def search(request: Request) -> HttpResponse:
    """Show people and teams, and who is in what."""
    return render(
        request, "staff/search.html", {"search": Search(request.user, request.GET.dict())}
    )


@staff_page("GET", "HEAD")
def accesses(request: Request) -> HttpResponse:
    """Show for whom this staff member acts or acted."""
    listed = Paginator(acting.theirs(request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "staff/accesses.html", {"accesses": listed})


@staff_page("GET", "HEAD", "POST")
def impersonate(request: Request, pk: int) -> HttpResponse:
    """Ask why, and let staff act for this person."""
    customer = get_object_or_404(User, pk=pk)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    possible = acting.may_be_acted_for(customer, request.user)
    if possible and form.is_valid():
        acting.begin(request, customer, form.cleaned_data["reason"])
        return redirect(resolve_url(settings.LOGIN_REDIRECT_URL))
    context = {
        "customer": customer,
        "form": form,
        "possible": possible,
        "minutes": settings.IMPERSONATION_MINUTES,
    }
    if request.method != "POST":
        return render(request, "staff/impersonate.html", context)
    return render(request, "staff/impersonate.html", context, status=422 if possible else 403)


@page("POST", staff=True)
def stop(request: Request) -> HttpResponse:
    """End the access of the staff member behind this request."""
    impersonation = getattr(request, "impersonation", None)
    if impersonation is None:
        return redirect(resolve_url(settings.LOGIN_REDIRECT_URL))
    acting.stop(request)
    ended = _("You no longer act for {name}.").format(name=impersonation.customer)
    messages.success(request, ended)
    return redirect("teams:staff")


@page("GET", "HEAD", staff=True)
def strip(request: Request) -> HttpResponse:
    """Draw again the strip at the top: for whom staff act, or that staff act for oneself."""
    return render(request, "staff/_acting.html")
