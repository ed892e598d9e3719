"""A team's webhooks: add, change, try out, and the log of what was sent."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from teams import outbox, outgoing, tasks, webhooks
from teams.gates import Request, page, team_for
from teams.models import Delivery, Webhook
from teams.permissions import Right
from teams.secrets import Veiled

ON_A_PAGE = 20
MOST = 10


class WebhookForm(forms.Form):
    url = forms.URLField(
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("Where messages are sent by POST, beginning with https://."),
        max_length=500,
        assume_scheme="https",
        error_messages={"invalid": gettext_lazy("This is not a complete address.")},
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    events = forms.MultipleChoiceField(
        label=gettext_lazy("Tell of"),
        help_text=gettext_lazy("Nothing ticked: all of these."),
        choices=list(outbox.EVENTS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def clean_url(self) -> str:
        """Refuse an address the panel would not go to anyway."""
        url = str(self.cleaned_data["url"])
        try:
            webhooks.check(url)
        except outgoing.Refused as refusal:
            raise forms.ValidationError(refusal.sentence) from None
        return url


class ChangeForm(WebhookForm):
    active = forms.BooleanField(label=gettext_lazy("Switched on"), required=False)


@page("GET", "HEAD")
def webhook_list(request: Request, pk: int) -> HttpResponse:
    """List a team's webhooks."""
    team = team_for(request, pk, Right.MANAGE)
    found = team.webhooks.order_by("pk")
    return render(
        request, "teams/webhooks.html", {"team": team, "hooks": found, "full": len(found) >= MOST}
    )


@page("GET", "HEAD", "POST")
def add(request: Request, pk: int) -> HttpResponse:
    """Add a webhook, and show its secret this once."""
    team = team_for(request, pk, Right.MANAGE)
    if team.webhooks.count() >= MOST:
        messages.error(request, _("A team has ten webhooks at most. Delete one first."))
        return redirect("teams:webhooks", pk=pk)
    form = WebhookForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"team": team, "form": form}
        status = 422 if request.method == "POST" else 200
        return render(request, "teams/webhook_new.html", context, status=status)
    hook, secret = webhooks.add(
        team, url=form.cleaned_data["url"], events=form.cleaned_data["events"], by=request.user
    )
    return _secret_page(request, hook, secret)


@page("GET", "HEAD")
def webhook(request: Request, pk: int, hook: int) -> HttpResponse:
    """Show a webhook and what was sent to it."""
    found = _found(request, pk, hook)
    return _page(request, found, {"form": _change_form(found)})


@page("POST")
def change(request: Request, pk: int, hook: int) -> HttpResponse:
    """Change a webhook, switch it on or off."""
    found = _found(request, pk, hook)
    form = ChangeForm(request.POST)
    if not form.is_valid():
        return _page(request, found, {"form": form}, status=422)
    webhooks.change(found, by=request.user, **form.cleaned_data)
    messages.success(request, _("The webhook is changed."))
    return _back(found)


@page("POST")
def test(request: Request, pk: int, hook: int) -> HttpResponse:
    """Send a test message."""
    found = _found(request, pk, hook)
    sent = webhooks.test(found, by=request.user)
    tasks.nudge(sent.pk)
    messages.success(request, _("A test is on its way: the log below tells how it went."))
    return _back(found)


@page("POST")
def resend(request: Request, pk: int, hook: int, message: uuid.UUID) -> HttpResponse:
    """Send a message of the log again."""
    found = _found(request, pk, hook)
    old = get_object_or_404(found.deliveries, pk=message, next_at=None)
    webhooks.resend(old, by=request.user)
    tasks.nudge(old.pk)
    messages.success(request, _("The message is on its way again."))
    return _back(found)


@page("GET", "HEAD", "POST")
def secret(request: Request, pk: int, hook: int) -> HttpResponse:
    """Ask whether to replace the secret; replace it and show the new one this once."""
    found = _found(request, pk, hook)
    if request.method == "POST":
        return _secret_page(request, found, webhooks.rotate_secret(found, by=request.user))
    return render(request, "teams/webhook_sure.html", {"team": found.team, "hook": found})


@page("GET", "HEAD", "POST")
def delete(request: Request, pk: int, hook: int) -> HttpResponse:
    """Ask whether to delete a webhook, and delete it."""
    found = _found(request, pk, hook)
    if request.method == "POST":
        webhooks.remove(found, by=request.user)
        messages.success(request, _("The webhook is deleted."))
        return redirect("teams:webhooks", pk=pk)
    context = {"team": found.team, "hook": found, "deletes": True}
    return render(request, "teams/webhook_sure.html", context)


@page("GET", "HEAD")
def log(request: Request, pk: int, hook: int) -> HttpResponse:
    """Show the log anew, for a page that waits for it."""
    found = _found(request, pk, hook)
    if not request.htmx:
        return _back(found)
    return render(request, "teams/_deliveries.html", _log(request, found))


def _found(request: Request, pk: int, hook: int) -> Webhook:
    team = team_for(request, pk, Right.MANAGE)
    found: QuerySet[Webhook] = Webhook.objects.filter(team=team).select_related("team")
    return get_object_or_404(found, pk=hook)


def _change_form(hook: Webhook) -> ChangeForm:
    shown = {"url": hook.url, "events": hook.events, "active": hook.active}
    return ChangeForm(initial=shown)


def _page(
    request: Request, hook: Webhook, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    shown = {"team": hook.team, "hook": hook} | _log(request, hook) | context
    return render(request, "teams/webhook.html", shown, status=status)


def _log(request: Request, hook: Webhook) -> dict[str, Any]:
    rows: QuerySet[Delivery] = hook.deliveries.order_by("-created_at")
    shown = Paginator(rows, ON_A_PAGE).get_page(request.GET.get("page"))
    waiting = any(row.next_at and row.attempts < 3 for row in shown.object_list)
    return {"hook": hook, "team": hook.team, "messages_sent": shown, "waiting": waiting}


def _secret_page(request: Request, hook: Webhook, told: str) -> HttpResponse:
    context = {"team": hook.team, "hook": hook, "secret": Veiled(told)}
    return render(request, "teams/webhook_secret.html", context)


def _back(hook: Webhook) -> HttpResponse:
    return redirect("teams:webhook", pk=hook.team_id, hook=hook.pk)
