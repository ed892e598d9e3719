"""The members of a team: who, in which role, and out again."""

from django.contrib import messages
from django.db.models import Case, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from teams import membership
from teams.gates import Request, page, team_for
from teams.permissions import RIGHTS, RIGHTS_IN_WORDS, Right, Role
from teams.refusals import Refused
from teams.team_forms import RoleForm

ROLE_ORDER = Case(*[When(role=role, then=Value(at)) for at, role in enumerate(Role)])


@page("GET", "HEAD", staff=True)
def members(request: Request, pk: int) -> HttpResponse:
    """List who is in a team, and what each role may do."""
    team = team_for(request, pk, Right.LOOK)
    context = {
        "team": team,
        "memberships": team.memberships.select_related("user").order_by(
            ROLE_ORDER, "user__name", "user__email"
        ),
        "may_manage": request.user.may(Right.MANAGE, team),
        "pending": team.invitations.open().count(),
        "roles": Role.choices,
        "rights": [
            (words, [right in RIGHTS[role] for role in Role])
            for right, words in RIGHTS_IN_WORDS.items()
        ],
    }
    return render(request, "teams/members.html", context)


@page("GET", "HEAD", "POST")
def member(request: Request, pk: int, member: int) -> HttpResponse:
    """Show one member, and give another role."""
    team = team_for(request, pk, Right.MANAGE)
    shown = get_object_or_404(team.memberships.select_related("user"), pk=member)
    form = RoleForm(request.POST or None, initial={"role": shown.role})
    if request.method == "POST" and form.is_valid():
        try:
            role = Role(form.cleaned_data["role"])
            membership.change_role(membership=shown, role=role, by=request.user)
        except Refused as refused:
            form.add_error("role", str(refused.sentence))
        else:
            sentence = _("{name} is now: {role}.").format(name=shown.user, role=role.label)
            messages.success(request, sentence)
            return redirect("teams:members", team.pk)
    context = {
        "team": team,
        "membership": shown,
        "form": form,
        "may_do": {
            role: [RIGHTS_IN_WORDS[right] for right in Right if right in RIGHTS[role]]
            for role in Role
        },
    }
    return render(request, "teams/member.html", context, status=422 if form.errors else 200)


@page("GET", "HEAD", "POST")
def remove(request: Request, pk: int, member: int) -> HttpResponse:
    """Ask whether to take somebody out of a team, and do it."""
    team = team_for(request, pk, Right.MANAGE)
    shown = get_object_or_404(team.memberships.select_related("user"), pk=member)
    problem = ""
    if request.method == "POST":
        try:
            membership.remove(membership=shown, by=request.user)
        except Refused as refused:
            problem = str(refused.sentence)
        else:
            sentence = _("{name} is no longer in the team.").format(name=shown.user)
            messages.success(request, sentence)
            own = shown.user_id == request.user.pk
            return redirect("teams:list") if own else redirect("teams:members", team.pk)
    context = {
        "team": team,
        "title": _("Remove from the team"),
        "about": shown.user,
        "lead": _(
            "This person at once no longer sees the team’s instances. Rescues under way go on; "
            "passwords already read stay known, so exit those rescues."
        ),
        "button": _("Remove from the team"),
        "back": "teams:members",
        "problem": problem,
    }
    return render(request, "teams/sure.html", context, status=409 if problem else 200)
