"""Staff ask for one rescue's password; the customer allows it for a while, or does not."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from instances.models import Dismissal, Grant, Rescue
from teams.models import AuditEntry, Impersonation
from tests.instances import rows

HTMX = {"HTTP_HX_REQUEST": "true"}


class Party:
    """Sam acting for somebody, and the customers, each in a browser of their own."""

    def __init__(self, world: SimpleNamespace) -> None:
        self.world, self.rescue = world, world.rescue
        self.sam = self.browser(world.sam)
        self.act_for(world.alice)

    def browser(self, person: Any) -> Client:
        client = Client()
        client.force_login(person)
        return client

    def act_for(self, customer: Any) -> Any:
        return self.sam.post(f"/staff/people/{customer.pk}/impersonate", {"reason": "Ticket 1"})

    def ask(self) -> Any:
        return self.sam.post(f"/rescues/{self.rescue.pk}/grant", **HTMX)

    def answer(self, person: Any, word: str) -> Any:
        grant = Grant.objects.latest("pk")
        path = f"/rescues/{self.rescue.pk}/grant/{grant.pk}/{word}"
        return self.browser(person).post(path, **HTMX)

    def reads(self) -> bool:
        """Tell whether sam gets the password now."""
        answer = self.sam.post(f"/rescues/{self.rescue.pk}/password", **HTMX)
        shown = rows.PASSWORD in answer.content.decode()
        assert shown == (answer.status_code == 200)
        return shown

    def panel(self, person: Any = None) -> str:
        client = self.browser(person) if person else self.sam
        return str(client.get("/notifications", **HTMX).content.decode())


@pytest.fixture
def party(teams: Any, alice: Any, bob: Any, carol: Any, mallory: Any, sam: Any) -> Party:
    made = rows.rescued(rows.account(teams.acme), "web-2")
    rescue = rows.rescue(made, "READY", bob)
    return Party(
        SimpleNamespace(
            alice=alice,
            bob=bob,
            carol=carol,
            mallory=mallory,
            sam=sam,
            rescue=rescue,
            team=teams.acme,
        )
    )


def later(**time: float) -> None:
    """Let time pass for what was allowed; the database's clock cannot be set."""
    Grant.objects.update(until=F("until") - timedelta(**time))


def test_asked_allowed_read_and_gone(party: Party) -> None:
    assert not party.reads() and "Ask for the password" in party.panel()
    assert party.ask().status_code == 200
    assert not party.reads() and "has not answered yet" in party.panel()
    assert "Allow for 15 minutes" in party.panel(party.world.bob)
    assert party.answer(party.world.bob, "allow").status_code == 200
    assert rows.PASSWORD not in party.panel() and "Show password" in party.panel()
    assert party.reads()
    later(minutes=16)
    assert not party.reads() and "has expired" in party.panel()
    assert "Show password" not in party.panel()


def test_it_never_appears_by_itself(party: Party) -> None:
    Rescue.objects.update(requested_by=party.world.alice)
    party.ask()
    party.answer(party.world.alice, "allow")
    assert "data-auto-reveal" not in party.panel()
    assert party.reads()
    assert Rescue.objects.get().revealed_at is None, "the customer has not seen it yet"


def test_it_is_hidden_again_when_the_leave_ends(party: Party) -> None:
    party.ask()
    party.answer(party.world.bob, "allow")
    later(minutes=14, seconds=30)
    shown = party.sam.post(f"/rescues/{party.rescue.pk}/password", **HTMX).content.decode()
    seconds = int(shown.partition('data-secret="')[2].partition('"')[0])
    assert 25 <= seconds <= 30


def test_refused(party: Party) -> None:
    party.ask()
    assert party.answer(party.world.alice, "refuse").status_code == 200
    assert not party.reads() and "refused" in party.panel()
    assert party.answer(party.world.alice, "allow").status_code == 409, "answered once"
    party.ask()
    assert Grant.objects.count() == 2, "and asked again"


def test_withdrawn(party: Party) -> None:
    party.ask()
    party.answer(party.world.bob, "allow")
    assert "Withdraw" in party.panel(party.world.alice)
    assert party.answer(party.world.alice, "withdraw").status_code == 200
    assert not party.reads() and "took the leave" in party.panel()
    assert party.answer(party.world.alice, "withdraw").status_code == 409


@pytest.mark.parametrize("how", ["stop", "customer", "time", "again"])
def test_it_ends_with_the_impersonation(party: Party, how: str) -> None:
    party.ask()
    party.answer(party.world.bob, "allow")
    if how in ("stop", "again"):
        party.sam.post("/staff/stop")
    elif how == "customer":
        access = Impersonation.objects.get()
        alice = party.browser(party.world.alice)
        alice.post(f"/account/staff-access/{access.pk}/end")
    else:
        Impersonation.objects.update(until=timezone.now())
    if how == "again":
        party.act_for(party.world.bob)
    assert not party.reads()
    assert "Withdraw" not in party.panel(party.world.alice)


def test_it_ends_with_the_rescue(party: Party) -> None:
    party.ask()
    party.answer(party.world.bob, "allow")
    Rescue.objects.get().move("CLOSED")
    assert not party.reads()


def test_a_question_of_before_is_not_open_any_more(party: Party) -> None:
    party.ask()
    party.sam.post("/staff/stop")
    assert "Allow for" not in party.panel(party.world.bob)
    assert party.answer(party.world.bob, "allow").status_code == 409
    party.act_for(party.world.alice)
    assert not party.reads() and party.ask().status_code == 200
    assert Grant.objects.count() == 1
    assert party.answer(party.world.bob, "allow").status_code == 200 and party.reads()


def test_asking_twice_is_asking_once(party: Party) -> None:
    party.ask(), party.ask()
    assert Grant.objects.count() == 1
    assert AuditEntry.objects.filter(act="grant.ask").count() == 1


def test_the_leave_is_for_this_rescue_and_this_staff_alone(party: Party) -> None:
    other = rows.rescued(party.rescue.instance.account, "web-3")
    second = rows.rescue(other, "READY", party.world.bob)
    party.ask()
    party.answer(party.world.bob, "allow")
    party.rescue = second
    assert not party.reads()


@pytest.mark.parametrize("who", ["carol", "mallory", "sam himself"])
@pytest.mark.parametrize("word", ["allow", "refuse", "withdraw"])
def test_who_may_not_answer(party: Party, who: str, word: str) -> None:
    party.ask()
    if word == "withdraw":
        party.answer(party.world.bob, "allow")
    before = Grant.objects.values().get()
    if who == "sam himself":
        grant = Grant.objects.get()
        status = party.sam.post(f"/rescues/{party.rescue.pk}/grant/{grant.pk}/{word}").status_code
    else:
        status = party.answer(getattr(party.world, who), word).status_code
    assert status == (404 if who == "mallory" else 403)
    assert Grant.objects.values().get() == before


def test_the_team_s_own_word_says_who_answers(party: Party) -> None:
    party.world.team.password_readers = "owners"
    party.world.team.save()
    Rescue.objects.update(requested_by=None)
    party.ask()
    assert party.answer(party.world.bob, "allow").status_code == 403
    assert "Allow for" not in party.panel(party.world.bob)
    assert party.answer(party.world.alice, "allow").status_code == 200


def test_who_may_not_ask(party: Party) -> None:
    for person, status in ((party.world.alice, 403), (party.world.mallory, 404)):
        asked = party.browser(person).post(f"/rescues/{party.rescue.pk}/grant")
        assert asked.status_code == status
    party.sam.post("/staff/stop")
    party.act_for(party.world.carol)
    assert party.ask().status_code == 403, "a reader's hands reach no password"
    assert not Grant.objects.exists()


def test_there_must_be_a_password(party: Party) -> None:
    Rescue.objects.update(sealed_password="")
    assert party.ask().status_code == 409


def test_both_names_in_every_entry(party: Party) -> None:
    party.ask()
    party.answer(party.world.bob, "allow")
    party.reads()
    party.answer(party.world.alice, "withdraw")
    told = {
        entry.act: (str(entry.actor), str(entry.acting_by or entry.details.get("staff")))
        for entry in AuditEntry.objects.filter(act__regex="^(grant|password)")
    }
    assert told == {
        "grant.ask": ("Alice", "Sam"),
        "grant.allow": ("Bob", "sam@example.org"),
        "password.reveal": ("Alice", "Sam"),
        "grant.withdraw": ("Alice", "sam@example.org"),
    }
    read = AuditEntry.objects.get(act="password.reveal")
    assert read.details["allowed_by"] == "Bob"


def test_staff_put_a_notification_away_for_themselves_alone(party: Party) -> None:
    Rescue.objects.get().move("CLOSED")
    assert party.sam.post(f"/rescues/{party.rescue.pk}/dismiss", **HTMX).status_code == 200
    assert Dismissal.objects.get().user == party.world.sam
    assert "web-2" not in party.panel() and "web-2" in party.panel(party.world.alice)
