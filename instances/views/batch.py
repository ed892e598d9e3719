"""Bulk actions: choose, review, begin, and the board that follows them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from instances import rescue, tasks
from instances.batch_forms import PaceForm, form_for
from instances.bulk import asked
from instances.bulk.review import Review
from instances.cards import panel_for
from instances.models import Batch, BatchItem, Instance
from instances.views.gates import operated_batch, seen_batch
from instances.views.list import ListView
from teams.gates import Request, page, team_for, wants_fragment
from teams.permissions import Right

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.models.mirror import InstanceQuerySet

ON_A_PAGE = 50
STATES: "dict[str, StrOrPromise]" = {
    "waiting": pgettext_lazy("bulk action", "Waiting"),
    "started": gettext_lazy("On the way"),
    "done": pgettext_lazy("bulk action", "Done"),
    "failed": pgettext_lazy("bulk action", "Failed"),
    "skipped": pgettext_lazy("bulk action", "Skipped"),
}


@dataclass(frozen=True)
class Chip:
    key: str
    label: "StrOrPromise"
    count: int
    current: bool
    url: str


class Board:
    """One batch as somebody sees it, narrowed to a state if asked."""

    def __init__(self, batch: Batch, request: Request) -> None:
        self.batch, self.user = batch, request.user
        asked_for = request.GET.get("show", "")
        self.show = asked_for if asked_for in STATES else ""
        self._page = request.GET.get("page", "1")

    @cached_property
    def counts(self) -> Any:
        return self.batch.counts()

    @cached_property
    def may_operate(self) -> bool:
        return self.user.may(Right.OPERATE, self.batch.team)

    @property
    def url(self) -> str:
        return self._url(page=self.page.number if self.page.number > 1 else "")

    def _url(self, **changes: Any) -> str:
        wanted = {"show": self.show} | changes
        query = urlencode({key: value for key, value in wanted.items() if value})
        path = reverse("instances:batch", args=[self.batch.pk])
        return f"{path}?{query}" if query else path

    @cached_property
    def page(self) -> "Page[BatchItem]":
        items = self.batch.items.select_related(
            "instance__account__team", "rescue__instance__account__team"
        )
        if self.show:
            items = items.filter(state=self.show)
        return Paginator(items.order_by("position"), ON_A_PAGE).get_page(self._page)

    @cached_property
    def items(self) -> list[BatchItem]:
        """List its items, each with whether this person may ask for its password here."""
        shown = list(self.page)
        may_read = self.user.acted_by is None and self.user.may(Right.REVEAL, self.batch.team)
        for item in shown:
            there = may_read and item.rescue is not None and item.rescue.password_available
            item.shows_password = (  # type: ignore[attr-defined]
                there and item.rescue is not None and item.rescue.may_read_password(self.user)
            )
        return shown

    @property
    def chips(self) -> list[Chip]:
        counts = self.counts
        numbers = {
            "waiting": counts.waiting, "started": counts.under_way, "done": counts.done,
            "failed": counts.failed, "skipped": counts.skipped,
        }  # fmt: skip
        chips = [Chip("", _("All"), counts.total, not self.show, self._url(show=""))]
        for key, number in numbers.items():
            if number or key == self.show:
                label = STATES[key]
                chips.append(Chip(key, label, number, key == self.show, self._url(show=key)))
        return chips

    @property
    def previous_url(self) -> str:
        return self._url(page=self.page.number - 1) if self.page.has_previous() else ""

    @property
    def next_url(self) -> str:
        return self._url(page=self.page.number + 1) if self.page.has_next() else ""

    @property
    def may_stop(self) -> bool:
        return self.may_operate and self.batch.state in (Batch.State.RUNNING, Batch.State.PAUSED)

    @property
    def may_resume(self) -> bool:
        held = self.batch.state in (Batch.State.PAUSED, Batch.State.STOPPED)
        return self.may_operate and held and bool(self.counts.waiting)

    @property
    def may_retry(self) -> bool:
        return self.may_operate and bool(self.counts.again)

    @property
    def may_exit(self) -> bool:
        return self.may_operate and bool(self.counts.inside)


@page("POST", staff=True)
def draft(request: Request) -> HttpResponse:
    """Keep what was chosen in the list, and lead to its review."""
    kind = request.POST.get("kind", "")
    if kind not in Batch.Kind.values:
        return _nothing(request, _("Choose what to do with them."), 422)
    try:
        drafted = asked.draft(kind=kind, chosen=_chosen(request), by=request.user)
    except rescue.NotPossible as problem:
        return _nothing(request, problem.sentence, 422)
    return redirect("instances:batch", pk=drafted.pk)


def _chosen(request: Request) -> "InstanceQuerySet":
    """Find what was ticked, or all that the list's search and filter find."""
    if request.POST.get("all"):
        return ListView(request.user, request.POST.dict(), "").shown
    ticked = {int(pk) for pk in request.POST.getlist("instance") if pk.isdecimal() and len(pk) < 19}
    return Instance.objects.visible_to(request.user).filter(pk__in=list(ticked)[:900])


def _nothing(request: Request, sentence: Any, status: int) -> HttpResponse:
    return render(request, "instances/batch_none.html", {"sentence": sentence}, status=status)


@page("GET", "HEAD", staff=True)
def board(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show the board; of a draft, its review."""
    batch = seen_batch(request, pk)
    if batch.is_draft:
        review = Review(batch)
        return _review(request, review, form_for(review))
    template = "_batch" if wants_fragment(request) else "batch"
    context = {"board": Board(batch, request), "batch": batch, "team": batch.team}
    return render(request, f"instances/{template}.html", context)


def _review(
    request: Request, review: Review, form: PaceForm, problem: Any = "", status: int = 200
) -> HttpResponse:
    context = {
        "review": review,
        "batch": review.batch,
        "team": review.batch.team,
        "form": form,
        "problem": problem,
    }
    return render(request, "instances/batch_review.html", context, status=status)


@page("POST", staff=True)
def begin(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Set a draft going; one that was begun already only shows its board."""
    batch = operated_batch(request, pk)
    if not batch.is_draft:
        return redirect("instances:batch", pk=pk)
    review = Review(batch)
    form = form_for(review, request.POST)
    if not form.is_valid():
        return _review(request, review, form, status=422)
    try:
        begun = asked.begin(batch=batch, by=request.user, **form.choices())
    except rescue.NotPossible as problem:
        if problem.field in form.fields:
            form.add_error(problem.field, str(problem.sentence))
            return _review(request, review, form, status=422)
        return _review(request, review, form, problem.sentence, 409)
    tasks.nudge_batch(begun)
    return redirect("instances:batch", pk=pk)


@page("POST", staff=True)
def stop(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Start no more of them."""
    return _acted(request, pk, asked.stop, _("Stopped. Those on their way go on."))


@page("POST", staff=True)
def resume(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Go on with those that wait."""
    return _acted(request, pk, asked.resume, _("It goes on."))


@page("POST", staff=True)
def retry(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Try those again that failed or were skipped."""
    return _acted(request, pk, asked.retry, _("They are tried again."))


@page("POST", staff=True)
def exit_all(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Draft the exit of all that are in rescue by this batch, and lead to its review."""
    try:
        drafted = asked.exit_all(batch=operated_batch(request, pk), by=request.user)
    except rescue.NotPossible:
        messages.warning(request, _("None of them is in rescue mode any more."))
        return redirect("instances:batch", pk=pk)
    return redirect("instances:batch", pk=drafted.pk)


@page("POST", staff=True)
def dismiss(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Put a batch's notification away."""
    try:
        asked.put_away(batch=seen_batch(request, pk), by=request.user)
    except rescue.NotPossible as problem:
        return render(request, "409.html", {"sentence": problem.sentence}, status=409)
    if not wants_fragment(request):
        return redirect("instances:list")
    return render(request, "instances/_notifications.html", panel_for(request.user))


def _acted(
    request: Request, pk: uuid.UUID, use_case: Callable[..., None], said: str
) -> HttpResponse:
    batch = operated_batch(request, pk)
    try:
        use_case(batch=batch, by=request.user)
    except rescue.NotPossible as problem:
        messages.warning(request, str(problem.sentence))
    else:
        messages.success(request, said)
        tasks.nudge_batch(batch)
    return redirect("instances:batch", pk=pk)


@page("GET", "HEAD", staff=True)
def past(request: Request, pk: int) -> HttpResponse:
    """List a team's bulk actions, newest first."""
    team = team_for(request, pk, Right.LOOK)
    found = Batch.objects.begun().filter(team=team).select_related("asked_by")
    shown = Paginator(found.order_by("-begun_at"), 25).get_page(request.GET.get("page"))
    for batch in shown:
        batch.counted = batch.counts()  # type: ignore[attr-defined]
    return render(request, "instances/batches.html", {"team": team, "page_of_batches": shown})
