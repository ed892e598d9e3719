"""The page of one rescue, its report, and what its holder decides; a team's past rescues."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from instances import report, rescue, sessions
from instances.cards import leave_of
from instances.forms import ExtendForm, HandOverForm, NoteForm
from instances.models import Rescue
from instances.recovery import record
from instances.views.gates import followed, operated
from teams.gates import Request, page, team_for, wants_fragment
from teams.permissions import Right

ON_A_PAGE = 25


@page("GET", "HEAD", staff=True)
def session(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show a rescue from its beginning to its end."""
    shown = followed(request, pk)
    return grant_card(request, shown) if wants_fragment(request) else _page(request, shown)


def grant_card(request: Request, shown: Rescue) -> HttpResponse:
    """Draw the part of the page about letting staff read the password."""
    context = {"rescue": shown, "card": leave_of(shown, request.user)}
    return render(request, "instances/_session_grant.html", context)


@page("GET", "HEAD", staff=True)
def download(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Give the report as a file."""
    shown = followed(request, pk)
    response = HttpResponse(
        report.as_markdown(shown, request.user, record.pieces(shown, request.user)),
        content_type="text/markdown; charset=utf-8",
    )
    response.headers["Content-Disposition"] = f'attachment; filename="rescue-{shown.pk}.md"'
    return response


@page("POST", staff=True)
def extend(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Give a rescue more time, or less."""
    shown = operated(request, pk)
    form = ExtendForm(shown, request.user, request.POST)

    def act() -> None:
        sessions.extend(of=shown, hours=form.cleaned_data["hours"], by=request.user)

    return _done(request, shown, form, act, _("The new end is set."))


@page("POST", staff=True)
def hand_over(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Put a rescue into a colleague's care."""
    shown = operated(request, pk)
    form = HandOverForm(shown, request.POST)

    def act() -> None:
        sessions.hand_over(of=shown, to=form.cleaned_data["to"], by=request.user)

    return _done(request, shown, form, act, _("Handed over. Both of you are told by mail."))


@page("POST", staff=True)
def note(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Write the closing note."""
    shown = operated(request, pk)
    form = NoteForm(request.POST)

    def act() -> None:
        text = form.cleaned_data["closing_note"].replace("\r\n", "\n").strip()
        sessions.write_note(of=shown, text=text, by=request.user)

    return _done(request, shown, form, act, _("The closing note is saved."))


@page("GET", "HEAD", staff=True)
def past(request: Request, pk: int) -> HttpResponse:
    """List a team's rescues, newest first."""
    team = team_for(request, pk, Right.LOOK)
    found = Rescue.objects.filter(instance__account__team=team).order_by("-created_at")
    found = found.select_related("instance__account", "requested_by", "holder")
    shown = Paginator(found, ON_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "instances/rescues.html", {"team": team, "page_of_rescues": shown})


def _done(request: Request, shown: Rescue, form: Form, act: Any, said: str) -> HttpResponse:
    """Do what a form asks and go back to the page, or show the form with what is wrong."""
    if not form.is_valid():
        return _page(request, shown, form, status=422)
    try:
        act()
    except rescue.NotPossible as problem:
        form.add_error(problem.field or None, str(problem.sentence))
        return _page(request, shown, form, status=422 if problem.field else 409)
    messages.success(request, said)
    return redirect("instances:session", pk=shown.pk)


def _page(
    request: Request, shown: Rescue, sent: Form | None = None, status: int = 200
) -> HttpResponse:
    user = request.user
    may_operate = user.may(Right.OPERATE, shown.instance.team)
    forms: dict[str, Form] = {}
    if may_operate and shown.is_ready and sessions.extension_choices(shown, user):
        forms["extend"] = ExtendForm(shown, user)
    if sessions.may_hand_over(shown, user) and sessions.colleagues(shown):
        forms["hand_over"] = HandOverForm(shown)
    if sessions.may_note(shown, user):
        forms["note"] = NoteForm(initial={"closing_note": shown.closing_note})
    if sent is not None:
        forms[_name_of(sent)] = sent
    context = {
        "team": shown.instance.team,
        "rescue": shown,
        "card": leave_of(shown, user),
        "facts": report.facts(shown),
        "timeline": report.timeline(shown, user),
        "work": record.pieces(shown, user),
        "forms": forms,
        "may_exit": may_operate and shown.is_ready,
        "endless": sessions.endless(shown),
        "latest_end": sessions.latest_end(shown, user),
    }
    return render(request, "instances/session.html", context, status=status)


def _name_of(form: Form) -> str:
    kinds = {ExtendForm: "extend", HandOverForm: "hand_over", NoteForm: "note"}
    return kinds[type(form)]
