"""Forget what nobody needs any more. The audit trail is kept: it is append-only."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils import timezone

from instances.lifecycle import OPEN
from instances.models import Batch, Dismissal, Grant, Rescue, Terminal
from teams.models import Delivery, Impersonation, Invitation

AT_A_TIME = 500
DRAFTS_LIVE = timedelta(days=1)


def purge(days: int) -> dict[str, int]:
    """Delete what ended that many days ago; return how many rows of each kind."""
    before = timezone.now() - timedelta(days=days)
    used = Q(accepted_at__lt=before) | Q(withdrawn_at__lt=before) | Q(expires_at__lt=before)
    old: dict[str, QuerySet[Any]] = {
        "impersonations": Impersonation.objects.filter(ended_at__lt=before),
        "grants": Grant.objects.filter(asked_at__lt=before),
        "terminals": Terminal.objects.filter(asked_at__lt=before).exclude(
            opened_at__isnull=False, ended_at=None
        ),
        "invitations": Invitation.objects.filter(used),
        "deliveries": Delivery.objects.filter(created_at__lt=before, next_at=None),
        "bulk actions": Batch.objects.filter(ended_at__lt=before).exclude(
            items__rescue__state__in=OPEN
        ),
        "drafts of bulk actions": Batch.objects.filter(
            state=Batch.State.DRAFT, created_at__lt=timezone.now() - DRAFTS_LIVE
        ),
        "dismissals": Dismissal.objects.filter(at__lt=before, rescue__ended_at__lt=before),
    }
    gone = {name: _in_batches(rows, _delete) for name, rows in old.items()}
    failed = Rescue.objects.filter(ended_at__lt=before).exclude(failure_text="")
    gone["failure texts"] = _in_batches(failed, lambda some: some.update(failure_text=""))
    return gone | {"sessions": _sessions()}


def _sessions() -> int:
    """Delete sessions that ran out, whatever the days, and what listed them."""
    before = Session.objects.count()
    SessionStore.clear_expired()
    there = Session.objects.values("session_key")
    UserSession.objects.exclude(session_key__in=there).delete()
    return before - Session.objects.count()


def _delete(some: "QuerySet[Any]") -> int:
    number = some.count()
    some.delete()
    return number


def _in_batches(rows: "QuerySet[Any]", act: Callable[["QuerySet[Any]"], int]) -> int:
    """Act on a few rows at a time: nobody waits long for the tables."""
    total = 0
    while some := list(rows.order_by("pk").values_list("pk", flat=True)[:AT_A_TIME]):
        total += act(rows.model._default_manager.filter(pk__in=some))
    return total
