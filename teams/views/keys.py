"""Public SSH keys: one's own, and a team's."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from teams import ssh_keys
from teams.gates import Request, page, team_for
from teams.models import SSHKey, Team
from teams.permissions import Right
from teams.refusals import Refused
from teams.team_forms import KeyForm


@page("GET", "HEAD", "POST")
@sensitive_post_parameters("public_key")
def mine(request: Request) -> HttpResponse:
    """List one's own keys, and add one."""
    return _keys(request, None, may_manage=True)


@page("GET", "HEAD", "POST")
def delete_mine(request: Request, key: int) -> HttpResponse:
    """Ask whether to delete one of one's own keys, and delete it."""
    return _delete(request, get_object_or_404(request.user.ssh_keys, pk=key), None)


@page("GET", "HEAD", "POST", staff=True)
@sensitive_post_parameters("public_key")
def of_team(request: Request, pk: int) -> HttpResponse:
    """List a team's keys; owners add one."""
    team = team_for(request, pk, Right.MANAGE if request.method == "POST" else Right.LOOK)
    return _keys(request, team, may_manage=request.user.may(Right.MANAGE, team))


@page("GET", "HEAD", "POST")
def delete_of_team(request: Request, pk: int, key: int) -> HttpResponse:
    """Ask whether to delete one of a team's keys, and delete it."""
    team = team_for(request, pk, Right.MANAGE)
    return _delete(request, get_object_or_404(team.ssh_keys, pk=key), team)


def _keys(request: Request, team: Team | None, *, may_manage: bool) -> HttpResponse:
    owner = team or request.user
    form = KeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            key = ssh_keys.add(
                owner=owner,
                pasted=form.cleaned_data["public_key"],
                name=form.cleaned_data["name"],
                by=request.user,
            )
        except Refused as refused:
            form.add_error(refused.field, str(refused.sentence))
        else:
            messages.success(request, _("The key {name} is added.").format(name=key.name))
            return _back(team)
    if form.is_bound and ssh_keys.PRIVATE.search(form.data.get("public_key", "")):
        form.forget_key()
    context = {
        "team": team,
        "form": form,
        "keys": ssh_keys.keys_of(owner),
        "kinds": ssh_keys.KEY_TYPES,
        "may_manage": may_manage,
    }
    template = "teams/team_keys.html" if team else "teams/my_keys.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _delete(request: Request, key: SSHKey, team: Team | None) -> HttpResponse:
    if request.method == "POST":
        ssh_keys.delete(key=key, by=request.user)
        messages.success(request, _("The key {name} is deleted.").format(name=key.name))
        return _back(team)
    context = {
        "team": team,
        "title": _("Delete the key"),
        "about": key.name,
        "fingerprint": key.fingerprint,
        "lead": _("The panel forgets it. What is on servers already stays there."),
        "button": _("Delete the key"),
        "back": "teams:keys" if team else "teams:account_keys",
    }
    return render(request, "teams/sure.html", context)


def _back(team: Team | None) -> HttpResponse:
    return redirect("teams:keys", team.pk) if team else redirect("teams:account_keys")
