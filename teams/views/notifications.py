"""What one is told by mail of a team's rescues."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import audit
from teams.gates import Request, page, team_for
from teams.models import Membership
from teams.models.team import MailAbout
from teams.permissions import Right


class MailForm(forms.Form):
    mail_about = forms.ChoiceField(
        label=gettext_lazy("Write to me about"),
        choices=MailAbout.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Pick one of these."),
            "invalid_choice": gettext_lazy("Pick one of these."),
        },
    )


@page("GET", "HEAD", "POST")
def notifications(request: Request, pk: int) -> HttpResponse:
    """Show and change what one is written to about."""
    team = team_for(request, pk, Right.LOOK)
    mine = Membership.objects.get(team=team, user=request.user)
    form = MailForm(request.POST or None, initial={"mail_about": mine.mail_about})
    if request.method == "POST" and form.is_valid():
        mine.mail_about = form.cleaned_data["mail_about"]
        mine.save(update_fields=["mail_about"])
        audit.record(
            "member.mail", team=team, target=request.user.email, actor=request.user,
            mail_about=mine.mail_about,
        )  # fmt: skip
        messages.success(request, _("Your choice is saved."))
        return redirect("teams:notifications", pk=pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "teams/notifications.html", {"team": team, "form": form}, status=status)
