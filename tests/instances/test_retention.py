"""What ended long ago is forgotten; what runs, and the audit trail, is kept."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from instances.models import Batch, BatchItem, Dismissal, Grant, Rescue
from teams import audit, outbox
from teams.models import AuditEntry, Delivery, Impersonation, Invitation
from tests.instances import rows

pytestmark = pytest.mark.django_db


def purge(days: int = 30) -> str:
    out = io.StringIO()
    call_command("purge_old", days=days, stdout=out)
    return out.getvalue()


@pytest.fixture
def past(teams: Any, alice: Any, sam: Any) -> Any:
    """Make each kind of row twice: one of 40 days ago, one of 20."""
    account = rows.account(teams.acme)
    for days in (40, 20):
        at = timezone.now() - timedelta(days=days)
        server = rows.instance(account, f"web-{days}")
        rescue = rows.rescue(
            server, "FAILED_CLEAN", alice, ended_at=at, failure_text="No valid host"
        )
        Dismissal.objects.create(rescue=rescue, user=alice)
        Dismissal.objects.update(at=at)
        Grant.objects.create(rescue=rescue, staff=sam, asked_at=at, answered_at=at)
        Impersonation.objects.create(
            staff=sam, customer=alice, reason="Ticket", started_at=at, until=at, ended_at=at
        )
        Invitation.objects.create(
            team=teams.acme, email=f"{days}@x.org", role="member", token_hash=str(days),
            created_at=at, expires_at=at,
        )  # fmt: skip
        outbox.tell_people(teams.acme, "rescue.ready", {"team": {}}, [alice])
        Delivery.objects.filter(next_at__isnull=False).update(created_at=at, next_at=None)
    Dismissal.objects.filter(rescue__instance__name="web-20").update(
        at=timezone.now() - timedelta(days=20)
    )
    Dismissal.objects.filter(rescue__instance__name="web-40").update(
        at=timezone.now() - timedelta(days=40)
    )
    return teams.acme


def test_the_older_half_goes(past: Any) -> None:
    audit.record("test.act", team=past, target="x")
    entries = AuditEntry.objects.count()
    Impersonation.objects.create(
        staff_id=Impersonation.objects.first().staff_id,
        customer_id=Impersonation.objects.first().customer_id,
        reason="never ended", started_at=timezone.now() - timedelta(days=90),
        until=timezone.now() - timedelta(days=90),
    )  # fmt: skip
    said = purge()
    for name in ("impersonations", "grants", "invitations", "dismissals", "failure texts"):
        assert f"{name}: 1\n" in said, said
    assert Impersonation.objects.filter(reason="Ticket").count() == 1
    assert Impersonation.objects.filter(reason="never ended").exists(), "its end comes first"
    assert Rescue.objects.count() == 2, "rescues themselves stay"
    assert list(Rescue.objects.order_by("-ended_at").values_list("failure_text", flat=True)) == [
        "No valid host", "",
    ]  # fmt: skip
    assert AuditEntry.objects.count() == entries
    assert {line.rpartition(": ")[2] for line in purge().splitlines()} == {"0"}, "once"


def test_bulk_actions_go_and_their_rescues_stay(past: Any, alice: Any) -> None:
    now = timezone.now()

    def batch(days: int, state: str, ended: bool = True) -> Batch:
        at = now - timedelta(days=days)
        return Batch.objects.create(
            team=past, kind="start", state=state, asked_by=alice, created_at=at,
            ended_at=at if ended else None,
        )  # fmt: skip

    old, inside, young, running = (
        batch(40, "done"), batch(40, "done"), batch(20, "done"), batch(40, "running", ended=False),
    )  # fmt: skip
    draft, forgotten = batch(0, "draft", ended=False), batch(2, "draft", ended=False)
    server = Rescue.objects.get(instance__name="web-40").instance
    for made, rescue in (
        (old, server.rescues.get()), (inside, rows.rescue(server, "READY", alice)),
    ):  # fmt: skip
        BatchItem.objects.create(
            batch=made, instance=server, account=server.account, rescue=rescue, position=1
        )
    said = purge()
    assert "bulk actions: 1\n" in said and "drafts of bulk actions: 1\n" in said
    assert set(Batch.objects.all()) == {inside, young, running, draft}
    assert forgotten not in Batch.objects.all() and Rescue.objects.count() == 3


def test_mail_that_is_still_to_go_out_stays(past: Any, alice: Any) -> None:
    outbox.tell_people(past, "rescue.ready", {"team": {}}, [alice])
    Delivery.objects.filter(next_at__isnull=False).update(
        created_at=timezone.now() - timedelta(days=99)
    )
    purge()
    assert Delivery.objects.filter(next_at__isnull=False).count() == 1


def test_sessions_that_ran_out_go(past: Any) -> None:
    for seconds in (-1, 60):
        session = SessionStore()
        session["x"] = 1
        session.set_expiry(timezone.now() + timedelta(seconds=seconds))
        session.save()
    assert "sessions: 1" in purge()
    assert Session.objects.count() == 1


def test_no_days_are_refused() -> None:
    with pytest.raises(CommandError):
        purge(days=0)
