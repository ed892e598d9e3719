"""One's teams, a new one, and leaving one."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from teams import membership
from teams.gates import Request, page, team_for
from teams.permissions import Right
from teams.refusals import Refused
from teams.team_forms import TeamForm


@page("GET", "HEAD", staff=True)
def my_teams(request: Request) -> HttpResponse:
    """List the person's teams and roles."""
    mine = request.user.memberships.select_related("team").order_by("team__name")
    may_create = membership.may_create(request.user) and request.user.acted_by is None
    return render(request, "teams/teams.html", {"memberships": mine, "may_create": may_create})


@page("GET", "HEAD", "POST")
def new(request: Request) -> HttpResponse:
    """Make a team."""
    if not membership.may_create(request.user):
        context = {"sentence": _("On this installation only staff create teams.")}
        return render(request, "403.html", context, status=403)
    form = TeamForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            team = membership.create(name=form.cleaned_data["name"], by=request.user)
        except Refused as refused:
            form.add_error(refused.field, str(refused.sentence))
        else:
            messages.success(request, _("The team is made. Now invite your colleagues."))
            return redirect("teams:invitations", team.pk)
    status = 422 if form.errors else 200
    return render(request, "teams/team_new.html", {"form": form}, status=status)


@page("GET", "HEAD", "POST")
def leave(request: Request, pk: int) -> HttpResponse:
    """Ask whether to leave a team, and leave it."""
    team = team_for(request, pk, Right.LOOK)
    mine = get_object_or_404(team.memberships, user=request.user)
    problem = ""
    if request.method == "POST":
        try:
            membership.leave(membership=mine, by=request.user)
        except Refused as refused:
            problem = str(refused.sentence)
        else:
            messages.success(request, _("You left {team}.").format(team=team.name))
            return redirect("teams:list")
    context = {
        "team": team,
        "title": _("Leave the team"),
        "lead": _(
            "You will no longer see the team’s instances or read its passwords. "
            "To come back you need a new invitation."
        ),
        "button": _("Leave the team"),
        "back": "teams:members",
        "problem": problem,
    }
    return render(request, "teams/sure.html", context, status=409 if problem else 200)
