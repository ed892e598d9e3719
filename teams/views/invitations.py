"""Invitations: a team's, and the page their links lead to."""

from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from teams import invitations
from teams.gates import Request, page, team_for
from teams.models import Invitation, Team
from teams.permissions import Right, Role
from teams.refusals import Refused
from teams.secrets import Veiled
from teams.team_forms import InvitationForm


@page("GET", "HEAD", "POST")
def of_team(request: Request, pk: int) -> HttpResponse:
    """List a team's open invitations, and invite somebody."""
    team = team_for(request, pk, Right.MANAGE)
    form = InvitationForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            sent = invitations.invite(
                team=team,
                email=given["email"],
                role=Role(given["role"]),
                by=request.user,
                link=_link(request),
                language=given["language"],
            )
        except Refused as refused:
            form.add_error(refused.field, str(refused.sentence))
        else:
            return _told(request, team, sent)
    return _list(request, team, form, status=422 if form.errors else 200)


@page("POST")
def resend(request: Request, pk: int, invitation: int) -> HttpResponse:
    """Send a new link in place of the one before."""
    team = team_for(request, pk, Right.MANAGE)
    waiting = get_object_or_404(team.invitations, pk=invitation)
    try:
        sent = invitations.resend(invitation=waiting, by=request.user, link=_link(request))
    except Refused as refused:
        messages.error(request, str(refused.sentence))
        return redirect("teams:invitations", team.pk)
    return _told(request, team, sent)


@page("POST")
def withdraw(request: Request, pk: int, invitation: int) -> HttpResponse:
    """Take an invitation back."""
    team = team_for(request, pk, Right.MANAGE)
    waiting = get_object_or_404(team.invitations, pk=invitation)
    try:
        invitations.withdraw(invitation=waiting, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused.sentence))
    else:
        sentence = _("The invitation of {email} is withdrawn: its link no longer works.")
        messages.success(request, sentence.format(email=waiting.email))
    return redirect("teams:invitations", team.pk)


@never_cache
@sensitive_variables("token")
def of_link(request: Request, token: str) -> HttpResponse:
    """Show what a link invites to; accept it by POST, signed in with the address it is for."""
    if request.method not in ("GET", "HEAD", "POST"):
        response = render(request, "405.html", status=405)
        response.headers["Allow"] = "GET, HEAD, POST"
        return response
    found = invitations.look_up(token)
    signed_in = request.user.is_authenticated
    if found is None:
        return _door(request, token, problem=_("This invitation does not exist."), status=404)
    if request.method == "POST" and not signed_in:
        return redirect(_sign_in(request))
    if request.method == "POST":
        try:
            joined = invitations.accept(token, request.user)
        except Refused as refused:
            return _door(request, token, found, str(refused.sentence), status=409)
        messages.success(request, _("Welcome to {team}.").format(team=joined.team.name))
        return redirect(f"{reverse('instances:list')}?{urlencode({'team': joined.team_id})}")
    problem = "" if found.is_open else str(invitations.ENDED[found.state])
    if not problem and signed_in and request.user.email.lower() != found.email:
        problem = invitations.foreign(found, request.user)
    return _door(request, token, found, problem)


def _door(
    request: HttpRequest,
    token: str,
    found: Invitation | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    signed_in = request.user.is_authenticated
    context = {
        "invitation": found,
        "problem": problem,
        "foreign": bool(problem and signed_in and found and found.is_open),
        "sign_in": _sign_in(request),
        "sign_up": "/account/sign-up?" + urlencode({"invitation": token}),
    }
    return render(request, "teams/invitation.html", context, status=status)


def _sign_in(request: HttpRequest) -> str:
    return resolve_url("teams:sign_in") + "?" + urlencode({"next": request.path})


def _link(request: HttpRequest) -> Callable[[str], str]:
    return lambda token: request.build_absolute_uri(reverse("teams:invitation", args=[token]))


def _told(request: Request, team: Team, sent: invitations.Sent) -> HttpResponse:
    """Say that the mail is out; if it is not, show the link once."""
    if sent.mailed:
        sentence = _("An invitation is on its way to {email}. Its link works for seven days.")
        messages.success(request, sentence.format(email=sent.invitation.email))
        return redirect("teams:invitations", team.pk)
    return _list(request, team, InvitationForm(), unsent=sent)


def _list(
    request: Request,
    team: Team,
    form: InvitationForm,
    unsent: invitations.Sent | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "team": team,
        "form": form,
        "waiting": team.invitations.waiting().select_related("invited_by").order_by("-created_at"),
        "unsent": unsent.invitation if unsent else None,
        "link": Veiled(unsent.link) if unsent else "",
    }
    return render(request, "teams/invitations.html", context, status=status)
