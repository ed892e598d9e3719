"""Staff act for a customer: who, for whom, how long, and what the customer sees of it."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone

from rescuepanel import environment
from teams import acting, postman
from teams.models import AuditEntry, Delivery, Impersonation, User

HTMX = {"HTTP_HX_REQUEST": "true"}
BANNER = "You act for Alice"


@pytest.fixture
def staff(sam: Any, teams: Any) -> Client:
    client = Client()
    client.force_login(sam)
    return client


def begin(client: Client, customer: Any, reason: str = "Ticket 4711", **more: Any) -> Any:
    return client.post(f"/staff/people/{customer.pk}/impersonate", {"reason": reason}, **more)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_staff_act_for_a_customer_and_stop(staff: Client, alice: Any, sam: Any) -> None:
    assert begin(staff, alice).status_code == 302
    access = Impersonation.objects.get()
    assert (access.staff, access.customer, access.reason) == (sam, alice, "Ticket 4711")
    assert access.until - access.started_at == timedelta(minutes=30)
    page = staff.get("/")
    assert BANNER in text(page) and page.wsgi_request.user == alice
    assert page.wsgi_request.user.acted_by == sam
    assert staff.post("/staff/stop").headers["Location"] == "/staff"
    access.refresh_from_db()
    assert access.ended_at is not None
    page = staff.get("/")
    assert BANNER not in text(page) and page.wsgi_request.user == sam


def test_the_session_holds_the_number_alone_and_has_another_name(
    staff: Client, alice: Any, sam: Any
) -> None:
    names = [staff.session.session_key]
    before = dict(staff.session.items())
    begin(staff, alice)
    names.append(staff.session.session_key)
    assert dict(staff.session.items()) == before | {"acting": Impersonation.objects.get().pk}
    staff.post("/staff/stop")
    names.append(staff.session.session_key)
    assert len(set(names)) == 3
    assert {s.session_key for s in Session.objects.all()} == {names[-1]}
    assert staff.session["_auth_user_id"] == str(sam.pk)


def test_signing_out_ends_it_too(staff: Client, alice: Any, sam: Any) -> None:
    begin(staff, alice)
    assert staff.post("/sign-out").status_code == 302
    assert "_auth_user_id" not in staff.session
    assert Impersonation.objects.get().ended_at
    entry = AuditEntry.objects.get(act="person.sign_out")
    assert (entry.actor, entry.acting_by) == (sam, None)


def test_the_customer_is_left_as_he_was(staff: Client, alice: Any) -> None:
    own = Client()
    own.force_login(alice)
    before = User.objects.values().get(pk=alice.pk)
    begin(staff, alice)
    staff.get("/")
    staff.post("/staff/stop")
    assert User.objects.values().get(pk=alice.pk) == before
    assert own.get("/").status_code == 200


@pytest.mark.parametrize("reason", ["", "   ", "abcd", "x" * 301])
def test_without_a_reason_nothing_begins(staff: Client, alice: Any, reason: str) -> None:
    answer = begin(staff, alice, reason)
    assert answer.status_code == 422 and 'id="id_reason_error"' in text(answer)
    assert not Impersonation.objects.exists()


def test_looking_at_the_question_begins_nothing(staff: Client, alice: Any) -> None:
    assert staff.get(f"/staff/people/{alice.pk}/impersonate?reason=enough").status_code == 200
    assert not Impersonation.objects.exists()
    assert staff.get("/staff/stop").status_code == 405


@pytest.mark.parametrize(
    "powers", [{"is_staff": True}, {"is_superuser": True}, {"is_active": False}]
)
def test_nobody_acts_for_staff_operators_or_the_disabled(
    staff: Client, bob: Any, powers: dict[str, bool]
) -> None:
    User.objects.filter(pk=bob.pk).update(**powers)
    answer = begin(staff, bob)
    assert answer.status_code == 403 and "Nobody can act for this person" in text(answer)
    assert not Impersonation.objects.exists()


def test_nobody_acts_for_oneself(staff: Client, sam: Any) -> None:
    assert begin(staff, sam).status_code == 403


@pytest.mark.parametrize("powers", [{"is_staff": False}, {"is_superuser": True}])
def test_only_staff_find_the_page(client: Client, teams: Any, sam: Any, powers: Any) -> None:
    User.objects.filter(pk=sam.pk).update(**powers)
    client.force_login(User.objects.get(pk=sam.pk))
    alice = User.objects.get(email="alice@example.org")
    for address in ("/staff", "/staff/accesses", f"/staff/people/{alice.pk}/impersonate"):
        assert client.get(address).status_code == 404
    assert begin(client, alice).status_code == 404
    assert not Impersonation.objects.exists()


def test_there_is_no_nesting(staff: Client, alice: Any, bob: Any) -> None:
    begin(staff, alice)
    assert begin(staff, bob).status_code == 403
    assert Impersonation.objects.count() == 1


def test_another_browser_takes_it_over(staff: Client, sam: Any, alice: Any, bob: Any) -> None:
    begin(staff, alice)
    other = Client()
    other.force_login(sam)
    begin(other, bob)
    assert [one.customer for one in acting.running()] == [bob]
    assert "the access has ended" in text(staff.get("/"))


@pytest.mark.parametrize("minutes", [9, 10, 11])
def test_it_ends_by_itself(
    staff: Client, alice: Any, sam: Any, minutes: int, settings: Any
) -> None:
    settings.IMPERSONATION_MINUTES = 10
    begin(staff, alice)
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
        page = staff.get("/")
        over = minutes >= 10
        assert (page.status_code == 409) is over
        assert ("the access has ended" in text(page)) is over and (BANNER in text(page)) is not over
        again = staff.get("/")
        assert again.wsgi_request.user == (sam if over else alice)
    access = Impersonation.objects.get()
    assert access.ended_at == (access.until if over else None)


def test_thirty_minutes_are_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPERSONATION_MINUTES", "31")
    with pytest.raises(ImproperlyConfigured, match="from 1 to 30"):
        environment.number("IMPERSONATION_MINUTES", 30, 1, 30)
    assert settings.IMPERSONATION_MINUTES <= 30


@pytest.mark.parametrize(
    ("whose", "change"),
    [
        ("sam", {"is_staff": False}),
        ("sam", {"is_superuser": True}),
        ("alice", {"is_active": False}),
        ("alice", {"is_staff": True}),
    ],
)
def test_it_ends_when_a_right_is_taken_away(
    staff: Client, alice: Any, whose: str, change: dict[str, bool]
) -> None:
    begin(staff, alice)
    User.objects.filter(email=f"{whose}@example.org").update(**change)
    assert staff.get("/").status_code == 409
    assert Impersonation.objects.get().ended_at is not None
    assert "acting" not in staff.session


def test_disabled_staff_are_out_altogether(staff: Client, alice: Any, sam: Any) -> None:
    begin(staff, alice)
    User.objects.filter(pk=sam.pk).update(is_active=False)
    assert staff.get("/").status_code == 302
    acting.end_lapsed()
    assert Impersonation.objects.get().ended_at is not None


def test_what_was_meant_for_the_customer_is_not_done_afterwards(
    staff: Client, alice: Any, sam: Any
) -> None:
    begin(staff, alice)
    Impersonation.objects.update(ended_at=timezone.now())
    answer = staff.post("/sign-out")
    assert answer.status_code == 409
    assert staff.get("/").wsgi_request.user == sam, "still signed in"


# The banner -------------------------------------------------------------------------------------


def test_the_banner_comes_with_every_fragment(staff: Client, alice: Any) -> None:
    begin(staff, alice, "Ticket <b>4711</b>")
    for address in ("/", "/notifications", "/acting", "/account/staff-access"):
        shown = text(staff.get(address, **HTMX))
        assert BANNER in shown and 'action="/staff/stop"' in shown, address
        assert "Ticket &lt;b&gt;4711" in shown
    assert 'hx-swap-oob="innerHTML"' in text(staff.get("/notifications", **HTMX))
    staff.post("/staff/stop")
    assert "hx-swap-oob" not in text(staff.get("/notifications", **HTMX))


def test_a_page_opened_before_the_end_is_told(staff: Client, alice: Any) -> None:
    begin(staff, alice)
    drawn_in = {"HTTP_X_ACTING": str(Impersonation.objects.get().pk)}
    assert BANNER in text(staff.get("/notifications", **HTMX, **drawn_in))
    staff.post("/staff/stop")
    answer = staff.get("/notifications", **HTMX, **drawn_in)
    assert answer.status_code == 409 and answer.headers["HX-Reswap"] == "none"
    assert "the access has ended" in text(answer) and 'hx-swap-oob="innerHTML"' in text(answer)


def test_a_page_of_another_impersonation_is_loaded_again(
    staff: Client, alice: Any, bob: Any
) -> None:
    begin(staff, alice)
    drawn_in = {"HTTP_X_ACTING": str(Impersonation.objects.get().pk)}
    staff.post("/staff/stop")
    begin(staff, bob)
    assert staff.get("/notifications", **HTMX, **drawn_in).headers["HX-Refresh"] == "true"


def test_nobody_learns_of_another_s_impersonation(
    staff: Client, alice: Any, client: Client, bob: Any
) -> None:
    begin(staff, alice)
    client.force_login(bob)
    header = {"HTTP_X_ACTING": str(Impersonation.objects.get().pk)}
    assert client.get("/notifications", **HTMX, **header).status_code == 200


# The customer's side ----------------------------------------------------------------------------


def test_the_customer_sees_it_and_ends_it(
    staff: Client, client: Client, alice: Any, django_capture_on_commit_callbacks: Any
) -> None:
    client.force_login(alice)
    assert "End this access" not in text(client.get("/"))
    with django_capture_on_commit_callbacks(execute=True):  # it is announced
        begin(staff, alice)
    access = Impersonation.objects.get()
    for address in ("/", "/account/staff-access"):
        shown = text(client.get(address))
        assert "Sam" in shown and "Ticket 4711" in shown and "End this access" in shown
    end = f"/account/staff-access/{access.pk}/end"
    assert client.get(end).status_code == 405
    assert client.post(end).status_code == 302
    assert "End this access" not in text(client.get("/account/staff-access"))
    assert staff.get("/").status_code == 409
    assert client.post(end).status_code == 302, "again changes nothing"
    assert AuditEntry.objects.filter(act="staff.end").count() == 1


def test_only_the_customer_ends_it(staff: Client, client: Client, alice: Any, bob: Any) -> None:
    begin(staff, alice)
    end = f"/account/staff-access/{Impersonation.objects.get().pk}/end"
    client.force_login(bob)
    assert client.post(end).status_code == 404
    assert staff.post(end).status_code == 403
    assert Impersonation.objects.get().ended_at is None


def test_an_owner_sees_accesses_to_the_team_s_members(
    staff: Client, client: Client, alice: Any, bob: Any, mallory: Any
) -> None:
    begin(staff, bob)
    for person, sees in ((alice, True), (bob, True), (mallory, False)):
        client.force_login(person)
        assert ("Ticket 4711" in text(client.get("/account/staff-access"))) is sees


def test_both_names_are_in_the_trail_of_each_team(
    staff: Client, alice: Any, sam: Any, teams: Any
) -> None:
    begin(staff, alice)
    staff.post("/staff/stop")
    for act in ("staff.begin", "staff.end"):
        entry = AuditEntry.objects.get(act=act, team=teams.acme)
        assert (entry.actor, entry.acting_by) == (alice, sam)


def test_the_customer_gets_mail_with_name_and_reason(staff: Client, alice: Any) -> None:
    begin(staff, alice)
    told = Delivery.objects.get()
    assert told.recipient == alice
    postman.deliver(told.pk)
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.org"] and "Sam" in letter.subject
    assert "Ticket 4711" in letter.body and "/account/staff-access" in letter.body


def test_ends_nobody_noticed_are_written_down(staff: Client, alice: Any) -> None:
    begin(staff, alice)
    assert acting.end_lapsed() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        assert acting.end_lapsed() == 1
        assert acting.end_lapsed() == 0
    access = Impersonation.objects.get()
    assert access.ended_at == access.until
    assert AuditEntry.objects.get(act="staff.end").details["ended"] == "by itself"


# Finding people ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("alice", ["alice"]),
        ("ALICE@EXAMPLE", ["alice"]),
        ("acme", ["alice", "bob", "carol"]),
        ("acme bob", ["bob"]),
        ("nobody at all", []),
    ],
)
def test_staff_find_people(staff: Client, query: str, found: list[str]) -> None:
    listed = staff.get("/staff", {"q": query}).context["search"].people
    assert [one.user.email.partition("@")[0] for one in listed] == found


def test_staff_find_teams(staff: Client) -> None:
    shown = staff.get("/staff", {"q": "mallory", "kind": "teams"})
    assert [team.name for team in shown.context["search"].page] == ["Other Corp"]


def test_many_people_come_in_pages(staff: Client) -> None:
    User.objects.bulk_create(User(email=f"p{n:03}@example.net") for n in range(60))
    first = staff.get("/staff", {"q": "example.net"})
    assert len(first.context["search"].page) == 25 and "page=2" in text(first)
    third = staff.get("/staff", {"q": "example.net", "page": "3"})
    assert len(third.context["search"].page) == 10
    assert len(staff.get("/staff", {"q": "example.net", "page": "99"}).context["search"].page) == 10
