"""The rescued machine: how far one gets, its disks, and the repairs."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from instances import events, rescue, tasks
from instances.machine_forms import FORMS, NEXT, NextForm, RepairForm
from instances.models import Job, Machine, Rescue
from instances.recovery import access, jobs
from instances.views.gates import followed, operated
from teams.gates import Request, page, wants_fragment
from teams.models import User
from teams.secrets import CannotOpen, Veiled

LATEST = 12


@page("GET", "HEAD", staff=True)
def machine(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show how far one gets into a rescued machine, its disks and what was done on it."""
    shown = followed(request, pk)
    events.watch([shown.instance.account.team_id])
    return _page(request, shown)


@page("POST", staff=True)
def accept_key(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Vouch for the host key that the person compared."""
    shown = operated(request, pk)
    fingerprint = request.POST.get("fingerprint", "")[:64]
    return _acted(
        request, shown,
        lambda: access.accept_key(rescue=shown, fingerprint=fingerprint, by=request.user),
    )  # fmt: skip


@page("POST", staff=True)
def try_again(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Try the machine anew."""
    shown = operated(request, pk)
    return _acted(request, shown, lambda: access.try_again(rescue=shown, by=request.user))


@page("POST", staff=True)
def look(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Look at the disks."""
    return _asked(request, operated(request, pk), "look")


@page("POST", staff=True)
def mount(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Mount a file system of the old disk, read-only or so that it can be changed."""
    device = request.POST.get("device", "")[:200]
    params = {"device": device, "writable": request.POST.get("writable") == "1"}
    return _asked(request, operated(request, pk), "mount", params)


@page("POST", staff=True)
def unmount(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Unmount the old disk."""
    return _asked(request, operated(request, pk), "unmount")


@page("GET", "HEAD", "POST", staff=True)
def repair(request: Request, pk: uuid.UUID, kind: str) -> HttpResponse:
    """Ask what a repair needs to know, then have the machine looked at."""
    shown = operated(request, pk)
    if kind not in FORMS:
        raise Http404
    access.must_use(shown, request.user)
    data = request.POST if request.method == "POST" else None
    form = FORMS[kind](data, rescue=shown, user=request.user)
    status = 200
    if form.is_bound:
        if form.is_valid():
            try:
                return redirect("instances:job", pk=shown.pk, job=_ask(request, shown, kind, form))
            except rescue.NotPossible as problem:
                form.add_error(None, str(problem.sentence))
                status = 409
        else:
            status = 422
    context = _around(shown) | {"form": form, "kind": kind}
    return render(request, "instances/repair.html", context, status=status)


def _ask(request: Request, shown: Rescue, kind: str, form: RepairForm | NextForm) -> uuid.UUID:
    params, private = form.params(), form.private()
    asked = jobs.ask(rescue=shown, kind=kind, params=params, private=private, by=request.user)
    tasks.nudge_job(asked)
    return asked.pk


@page("GET", "HEAD", staff=True)
def job(request: Request, pk: uuid.UUID, job: uuid.UUID) -> HttpResponse:
    """Show a repair: what it would do, what it did."""
    shown = _job(request, pk, job)
    events.watch([shown.rescue.instance.account.team_id])
    context = _around(shown.rescue) | {
        "job": shown, "diff": _diff(shown), "next": _next_form(shown),
        "reveals": _reveals(shown, request.user),
    }  # fmt: skip
    template = "_job" if wants_fragment(request) else "job"
    return render(request, f"instances/{template}.html", context)


@page("POST", staff=True)
def answer(request: Request, pk: uuid.UUID, job: uuid.UUID) -> HttpResponse:
    """Go on with what a look has asked: a new look, at what was said."""
    found = _job(request, pk, job)
    form = _next_form(found, request.POST)
    if form is None:
        messages.error(request, _("Something else happened at the same moment. Look again."))
        return redirect("instances:job", pk=pk, job=job)
    status = 422
    if form.is_valid():
        try:
            return redirect(
                "instances:job", pk=pk, job=_ask(request, found.rescue, found.kind, form)
            )
        except rescue.NotPossible as problem:
            form.add_error(None, str(problem.sentence))
            status = 409
    context = _around(found.rescue) | {"job": found, "next": form, "diff": _diff(found)}
    return render(request, "instances/job.html", context, status=status)


@page("POST")
def reveal(request: Request, pk: uuid.UUID, job: uuid.UUID) -> HttpResponse:
    """Show a password that the panel made, once, in an answer that nothing keeps."""
    found = _job(request, pk, job)
    context = _around(found.rescue) | {"job": found}
    status = 200
    try:
        context["password"] = Veiled(jobs.reveal(job=found, by=request.user))
    except rescue.NotPossible as problem:
        context["problem"], status = problem.sentence, 409
    return render(request, "instances/job_password.html", context, status=status)


@page("POST", staff=True)
def confirm(request: Request, pk: uuid.UUID, job: uuid.UUID) -> HttpResponse:
    """Do what was looked at."""
    return _answered(request, _job(request, pk, job), jobs.confirm)


@page("POST", staff=True)
def undo(request: Request, pk: uuid.UUID, job: uuid.UUID) -> HttpResponse:
    """Take back what was done."""
    return _answered(request, _job(request, pk, job), jobs.undo)


@page("POST", staff=True)
def drop(request: Request, pk: uuid.UUID, job: uuid.UUID) -> HttpResponse:
    """Leave it as it is."""
    found = _job(request, pk, job)
    jobs.drop(job=found, by=request.user)
    return redirect("instances:machine", pk=pk)


def _job(request: Request, pk: uuid.UUID, job: uuid.UUID) -> Job:
    """Find a job of a rescue, for those who may work on its machine."""
    shown = followed(request, pk)
    if not access.may_use(shown, request.user):
        raise PermissionDenied(_("Only who may read the temporary password works on the machine."))
    repairs = shown.jobs.select_related("requested_by", "acting_by").filter(kind__in=FORMS)
    found = get_object_or_404(repairs, pk=job)
    found.rescue = shown
    return found


def _diff(job: Job) -> str:
    return str(_unsealed(job).get("diff", "")) if job.state == Job.State.PLANNED else ""


def _unsealed(job: Job) -> dict[str, Any]:
    """Open what was sealed; nothing when its key is gone, as the next step will say."""
    try:
        return job.unsealed()
    except CannotOpen:
        return {}


def _next_form(job: Job, data: Any = None) -> NextForm | None:
    """Return the form for what a look has asked; None when it has asked nothing."""
    if job.state != Job.State.PLANNED or job.kind not in NEXT:
        return None
    asks = _unsealed(job).get("asks")
    return NEXT[job.kind](data, asks=asks) if asks else None


def _reveals(job: Job, user: User) -> bool:
    """Tell whether a password made by the job waits to be read, by this person."""
    mine = job.requested_by_id == user.pk and user.acted_by is None
    return mine and job.state == Job.State.DONE and bool(_unsealed(job).get("password"))


def _answered(request: Request, job: Job, use_case: Callable[..., None]) -> HttpResponse:
    try:
        use_case(job=job, by=request.user)
    except rescue.NotPossible as problem:
        messages.error(request, str(problem.sentence))
    else:
        tasks.nudge_job(job)
    return redirect("instances:job", pk=job.rescue_id, job=job.pk)


def _asked(
    request: Request, shown: Rescue, kind: str, params: dict[str, Any] | None = None
) -> HttpResponse:
    def act() -> None:
        tasks.nudge_job(jobs.ask(rescue=shown, kind=kind, params=params, by=request.user))

    return _acted(request, shown, act)


def _acted(request: Request, shown: Rescue, act: Callable[[], None]) -> HttpResponse:
    """Do what was clicked; show the machine, with the reason where it was not possible."""
    problem, status = "", 200
    try:
        act()
    except rescue.NotPossible as refusal:
        problem, status = str(refusal.sentence), 409
    tasks.nudge_machine(shown.pk)
    if not wants_fragment(request) and not problem:
        return redirect("instances:machine", pk=shown.pk)
    return _page(request, shown, problem, status)


def _page(request: Request, shown: Rescue, problem: str = "", status: int = 200) -> HttpResponse:
    row = Machine.objects.filter(rescue=shown).select_related("accepted_by").first()
    listed = list(
        shown.jobs.select_related("requested_by", "acting_by").order_by("-created_at")[:LATEST]
    )
    context = _around(shown) | {
        "machine": row,
        "jobs": [one for one in listed if one.kind in FORMS],
        "busy": next((one for one in listed if one.under_way), None),
        "last": listed[0] if listed else None,
        "latest": listed,
        "may_use": access.may_use(shown, request.user),
        "repairs": list(FORMS),
        "problem": problem,
    }
    template = "_machine" if wants_fragment(request) else "machine"
    return render(request, f"instances/{template}.html", context, status=status)


def _around(shown: Rescue) -> dict[str, Any]:
    return {"rescue": shown, "team": shown.instance.team}
