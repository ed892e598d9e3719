"""What a team decides about its rescues; here, because it chooses among images."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from instances.models import Image
from teams import decisions, membership
from teams.gates import Request, page, team_for
from teams.models import Team
from teams.permissions import Right
from teams.refusals import Refused
from teams.team_forms import SettingsForm


@page("GET", "HEAD", "POST")
def settings(request: Request, pk: int) -> HttpResponse:
    """Show a team's settings, and change them."""
    team = team_for(request, pk, Right.MANAGE)
    form = SettingsForm(team, _known_images(team), request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                decisions.decide(team=team, by=request.user, **form.decided)
                membership.rename(team=team, name=form.cleaned_data["name"], by=request.user)
        except Refused as refused:
            form.add_error(refused.field, str(refused.sentence))
        else:
            messages.success(request, _("The settings are saved."))
            return redirect("instances:team_settings", team.pk)
    context = {"team": Team.objects.get(pk=pk), "form": form}
    return render(
        request, "instances/team_settings.html", context, status=422 if form.errors else 200
    )


def _known_images(team: Team) -> list[str]:
    """List the images of the team's clouds by name, rescue images or not."""
    images = Image.objects.filter(account__team=team, account__disconnected_at=None)
    names = set(images.exclude(name="").values_list("name", flat=True))
    return sorted(names, key=str.lower)
