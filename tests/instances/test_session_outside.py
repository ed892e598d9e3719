"""A rescue begun outside the panel: reminded of, never ended by the panel of its own accord."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from instances import sessions
from instances.models import Rescue
from teams.models import AuditEntry, Delivery
from tests.instances import rows as make

SAYS = "never exits by itself unless somebody sets an end here"


@pytest.fixture
def outside(teams: Any, alice: Any) -> Rescue:
    """Give one that lasts for days in a team whose rescues end by themselves after an hour."""
    teams.acme.rescue_hours, teams.acme.exits_by_itself = 1, True
    teams.acme.save()
    teams.acme.memberships.filter(user=alice).update(mail_about="all")  # nobody asked for it
    found = make.rescue(make.rescued(make.account(teams.acme)), "EXTERNAL", None)
    begun = timezone.now() - timedelta(days=3)
    Rescue.objects.filter(pk=found.pk).update(created_at=begun, asked_at=begun, ready_at=begun)
    return Rescue.objects.get(pk=found.pk)


def page(rescue: Rescue, person: Any) -> str:
    client = Client()
    client.force_login(person)
    return str(client.get(f"/rescues/{rescue.pk}").content.decode())


def test_the_team_is_reminded_and_the_instance_stays(outside: Rescue, alice: Any) -> None:
    assert sessions.mind() == []
    outside.refresh_from_db()
    assert (outside.state, outside.until) == ("EXTERNAL", None)
    assert Delivery.objects.filter(event="rescue.still_open").exists()
    assert not AuditEntry.objects.filter(act="rescue.exit").exists()
    assert SAYS in page(outside, alice)


def test_an_end_that_somebody_set_is_an_end(outside: Rescue, alice: Any) -> None:
    sessions.extend(of=outside, hours=1, by=alice)
    assert SAYS not in page(outside, alice)
    Rescue.objects.filter(pk=outside.pk).update(until=timezone.now() - timedelta(minutes=1))
    assert sessions.mind() == [outside.pk]
    outside.refresh_from_db()
    assert outside.state == "EXIT_REQUESTED"


def test_ours_are_not_told_of(teams: Any, alice: Any) -> None:
    ours = make.rescue(make.rescued(make.account(teams.acme)), "READY", alice, holder=alice)
    assert SAYS not in page(ours, alice)
