"""The dialogs that act on an instance: start, exit, hard reboot."""

import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django_htmx.http import trigger_client_event

from instances import consoles, rescue, tasks
from instances.forms import StartRescueForm
from instances.models import Instance, Rescue
from instances.picker import Access
from instances.views.gates import operable
from teams.gates import Request, page, wants_fragment
from teams.models import SSHKey, User
from teams.ssh_keys import keys_of


@page("GET", "HEAD", "POST", staff=True)
def start_rescue(request: Request, pk: int) -> HttpResponse:
    """Offer the rescue images, and start the rescue with the chosen one."""
    instance = operable(request, pk)
    if request.method != "POST":
        return _start_dialog(request, instance, StartRescueForm(team=instance.team))
    form = StartRescueForm(request.POST, team=instance.team)
    if not form.is_valid():
        return _start_dialog(request, instance, form, status=400 if form.forged else 422)
    try:
        started = rescue.start(
            instance=instance,
            image_ref=form.cleaned_data["image"],
            by=request.user,
            idempotency_key=form.cleaned_data["idempotency_key"],
            reason=form.cleaned_data["reason"],
            hours=form.cleaned_data["hours"],
            snapshot=form.cleaned_data["snapshot"],
        )
    except rescue.NotPossible as problem:
        return _start_dialog(request, instance, form, problem, status=409)
    return asked(request, started)


def _start_dialog(
    request: Request,
    instance: Instance,
    form: StartRescueForm,
    problem: rescue.NotPossible | None = None,
    status: int = 200,
) -> HttpResponse:
    """Draw the picker, with what was sent and the sentence that says why it was not taken."""
    picker = rescue.picker_for(instance)
    beside_field = problem is not None and problem.field in form.fields
    if problem is not None and beside_field:
        form.add_error(problem.field, str(problem.sentence))
    for name in form.errors:
        if name in form.fields:
            form.fields[name].widget.attrs["data-focus"] = ""
    impossible = rescue.why_not_start(instance) if problem is None else ""
    selected = form.selected(picker)
    context = {
        "instance": instance,
        "form": form,
        "session_fields": [form["reason"], form["hours"], form["snapshot"]],
        "picker": picker,
        "selected": selected,
        "kept_keys": _kept_keys(request.user, instance, picker),
        "commands": _commands(instance, picker, selected),
        "likely": consoles.likely(instance),
        "problem": form.forgery
        or impossible
        or ("" if beside_field or not problem else problem.sentence),
        "blocked": bool(impossible) or any(note.level == "block" for note in picker.notes),
        "key": form.data.get("idempotency_key", "") if problem else uuid.uuid4(),
    }
    return _dialog(request, "start", context, 422 if beside_field else status)


def _kept_keys(user: User, instance: Instance, picker: rescue.Picker) -> list[SSHKey]:
    """List the person's and the team's keys, where an image lets one in by key."""
    if user.acted_by or not any(choice.access == Access.KEY for choice in picker.choices):
        return []
    return [*keys_of(user), *keys_of(instance.team)]


def _commands(instance: Instance, picker: rescue.Picker, selected: str) -> list[dict[str, Any]]:
    return [
        {
            "ref": choice.ref,
            "selected": choice.ref == selected,
            "command": rescue.cli_command(instance, choice.ref),
        }
        for choice in picker.choices
    ]


@page("GET", "HEAD", "POST", staff=True)
def exit_rescue(request: Request, pk: int) -> HttpResponse:
    """Ask whether to leave rescue mode, and leave it."""
    instance = operable(request, pk)
    context = {
        "address": reverse("instances:exit_rescue", args=[pk]),
        "title": _("Exit rescue mode"),
        "notes": rescue.exit_notes(instance),
        "reminder": True,
        "button": "main",
    }
    reason = rescue.why_not_exit(instance)
    return _confirmed(request, instance, rescue.request_exit, reason, context)


@page("GET", "HEAD", "POST", staff=True)
def hard_reboot(request: Request, pk: int) -> HttpResponse:
    """Ask whether to reboot the hard way, and do it."""
    instance = operable(request, pk)
    context = {
        "address": reverse("instances:hard_reboot", args=[pk]),
        "title": _("Hard reboot"),
        "lead": _(
            "The instance is switched off and started again from its own disk. "
            "It is the way back from a rescue that failed."
        ),
        "button": "main",
    }
    reason = rescue.why_not_reboot(instance)
    return _confirmed(request, instance, rescue.hard_reboot, reason, context)


def _confirmed(
    request: Request,
    instance: Instance,
    use_case: Callable[..., Rescue],
    reason: Any,
    context: dict[str, Any],
) -> HttpResponse:
    """Show the question; on POST do what it asks, or say beside it why it cannot be done."""
    context["instance"] = instance
    if request.method != "POST":
        return _dialog(
            request, "confirm", context | {"problem": reason, "impossible": bool(reason)}
        )
    try:
        moved = use_case(instance=instance, by=request.user)
    except rescue.NotPossible as problem:
        return _dialog(request, "confirm", context | {"problem": problem.sentence}, 409)
    return asked(request, moved)


def _dialog(
    request: Request, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    template = f"_{name}_dialog" if wants_fragment(request) else f"{name}_page"
    return render(request, f"instances/{template}.html", context, status=status)


def asked(request: Request, moved: Rescue) -> HttpResponse:
    """Wake the driver and answer: an empty dialog for an open page, else the list."""
    tasks.nudge(moved.pk)
    if not wants_fragment(request):
        return redirect(f"{reverse('instances:list')}#rescue-{moved.pk}")
    topics = f"rescue:{moved.pk} instance:{moved.instance_id}"
    return trigger_client_event(HttpResponse(), "panel:changed", {"topics": topics})
