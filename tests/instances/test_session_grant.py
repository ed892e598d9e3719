"""The rescue's own page asks for and answers leave to read the password, as the panel does."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from instances.models import Grant
from tests.instances import rows

PLACE = {"HX-Request": "true", "HX-Target": "session-grant"}


@pytest.fixture
def party(teams: Any, alice: Any, bob: Any, carol: Any, sam: Any) -> SimpleNamespace:
    """Give a rescue in progress, its customers' browsers and staff who act for alice."""
    rescue = rows.rescue(rows.rescued(rows.account(teams.acme)), "READY", bob)
    party = SimpleNamespace(page=f"/rescues/{rescue.pk}", rescue=rescue)
    for name, person in {"alice": alice, "bob": bob, "carol": carol, "sam": sam}.items():
        client = Client()
        client.force_login(person)
        setattr(party, name, client)
    party.sam.post(f"/staff/people/{alice.pk}/impersonate", {"reason": "Ticket 1"})
    return party


def card(client: Client, page: str) -> str:
    """Return the part of the page that is about staff, as a refresh gets it."""
    part = client.get(page, headers=PLACE).content.decode()
    assert part.strip().startswith('<section id="session-grant"')
    assert "Password and staff" in client.get(page).content.decode()
    return part


def test_asked_and_answered_on_the_page(party: SimpleNamespace) -> None:
    assert "Ask for the password" in card(party.sam, party.page)
    asked = party.sam.post(f"{party.page}/grant", headers=PLACE)
    assert "has not answered yet" in asked.content.decode()
    grant = Grant.objects.get()
    asked_of_alice = card(party.alice, party.page)
    assert "Allow for 15 minutes" in asked_of_alice
    assert "hidden>" not in asked_of_alice
    allowed = party.alice.post(f"{party.page}/grant/{grant.pk}/allow", headers=PLACE)
    assert "may read this temporary password" in allowed.content.decode()
    assert "lets you read the temporary password" in card(party.sam, party.page)
    withdrawn = party.alice.post(f"{party.page}/grant/{grant.pk}/withdraw", headers=PLACE)
    assert "Withdraw" not in withdrawn.content.decode()
    assert "took the leave" in card(party.sam, party.page)


def test_without_scripts_one_comes_back_to_the_page(party: SimpleNamespace) -> None:
    assert party.sam.post(f"{party.page}/grant").headers["Location"] == party.page
    refused = party.alice.post(f"{party.page}/grant/{Grant.objects.get().pk}/refuse")
    assert refused.headers["Location"] == party.page
    assert "The customer refused." in card(party.sam, party.page)


def test_the_notifications_still_answer_with_themselves(party: SimpleNamespace) -> None:
    there = {"HX-Request": "true", "HX-Target": "notifications"}
    answer = party.sam.post(f"{party.page}/grant", headers=there).content.decode()
    assert '<section id="notifications"' in answer
    assert "session-grant" not in answer


def test_who_may_not_answer_sees_nothing_of_it(party: SimpleNamespace) -> None:
    party.sam.post(f"{party.page}/grant", headers=PLACE)
    part = card(party.carol, party.page)
    assert "Allow" not in part
    assert part.count("hidden>") == 1


def test_nothing_is_asked_once_the_password_is_gone(party: SimpleNamespace) -> None:
    party.rescue.sealed_password = ""
    party.rescue.save()
    assert "Ask for the password" not in card(party.sam, party.page)
