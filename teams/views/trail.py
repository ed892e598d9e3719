"""The audit trail of a team, on a page and as a file."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from teams import audit
from teams.gates import Request, page, team_for
from teams.models import Team
from teams.permissions import Right
from teams.trail import TrailFilter, TrailPage, as_csv, as_json_lines


@page("GET", "HEAD")
def trail(request: Request, pk: int) -> HttpResponse:
    """Show what was done in a team, newest first."""
    team = team_for(request, pk, Right.AUDIT)
    return _page(request, team, TrailFilter(team, request.GET))


@page("GET", "HEAD")
def trail_csv(request: Request, pk: int) -> Any:
    """Hand the same entries out for a spreadsheet."""
    return _file(request, pk, "csv", as_csv, "text/csv; charset=utf-8")


@page("GET", "HEAD")
def trail_jsonl(request: Request, pk: int) -> Any:
    """Hand the same entries out for a program."""
    return _file(request, pk, "jsonl", as_json_lines, "application/jsonl")


def _page(request: Request, team: Team, asked: TrailFilter) -> HttpResponse:
    context: dict[str, Any] = {"team": team, "form": asked}
    if asked.is_valid():
        context["trail"] = TrailPage(asked, request.GET.get("before", ""))
        context["narrowed"] = bool(asked.given)
    return render(request, "teams/trail.html", context, status=422 if asked.errors else 200)


def _file(
    request: Request,
    pk: int,
    form: str,
    written: Callable[[TrailFilter, int], Iterator[bytes]],
    content_type: str,
) -> Any:
    """Write the export down, then send it piece by piece."""
    team = team_for(request, pk, Right.AUDIT)
    asked = TrailFilter(team, request.GET)
    if not asked.is_valid():
        return _page(request, team, asked)
    pieces: Any = iter(())
    if request.method == "GET":
        own = audit.record(
            "trail.export",
            team=team,
            target=team.name,
            actor=request.user,
            form=form,
            filter=asked.given,
        )
        pieces = _pieces(request, written(asked, own.pk))
    response = StreamingHttpResponse(pieces, content_type=content_type)
    name = f"audit-trail-{team.pk}-{datetime.now(UTC):%Y-%m-%d}.{form}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _pieces(request: Request, written: Iterator[bytes]) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Let the server read piece by piece, each in a thread that may ask the database."""
    return _in_turn(written) if isinstance(request, ASGIRequest) else written


async def _in_turn(written: Iterator[bytes]) -> AsyncIterator[bytes]:
    following = sync_to_async(lambda: next(written, None))
    while (piece := await following()) is not None:
        yield piece
