"""Pages on which somebody moves his or her account to another e-mail address."""

from allauth.account.adapter import get_adapter
from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import new_address
from teams.gates import Request, page
from teams.refusals import Refused

FORM = ("GET", "HEAD", "POST")


class NewAddress(forms.Form):
    email = forms.EmailField(
        label=gettext_lazy("New e-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def clean_email(self) -> str:
        """Write addresses as accounts do."""
        return str(self.cleaned_data["email"]).lower()


@page(*FORM)
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth has no types
def ask(request: Request) -> HttpResponse:
    """Take down the new address, and send the link there."""
    form = NewAddress(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data["email"]
        try:
            key = new_address.ask(request.user, wanted)
        except Refused as refused:
            form.add_error(refused.field, str(refused.sentence))
        else:
            _mail(request, wanted, key)
            return render(request, "account/new_address_sent.html", {"wanted": wanted})
    status = 422 if form.errors else 200
    return render(request, "account/new_address.html", {"form": form}, status=status)


@page(*FORM)
def confirm(request: Request, key: str) -> HttpResponse:
    """Move the account to the address at which the link was found."""
    try:
        wanted = new_address.found(request.user, key)
        if request.method == "POST":
            new_address.change(request.user, key)
    except Refused as refused:
        context = {"problem": refused.sentence}
        return render(request, "account/new_address_confirm.html", context, status=410)
    if request.method == "POST":
        messages.success(request, _("Your address is now {email}.").format(email=wanted))
        return redirect("teams:profile")
    return render(request, "account/new_address_confirm.html", {"wanted": wanted})


def _mail(request: Request, wanted: str, key: str) -> None:
    """Send the link; to an address with an account, that somebody asked for it."""
    link = request.build_absolute_uri(reverse("teams:confirm_address", args=[key])) if key else ""
    letter = "account/email/new_address" if key else "account/email/address_taken"
    get_adapter().send_mail(letter, wanted, {"link": link, "person": request.user})
