"""The use cases: who may, when not and why, twice the same click, and what is written down."""

import threading
import uuid

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, connections

from instances import rescue as use_cases
from instances.lifecycle import BROKEN, OPEN, STARTING, State, phase_of
from instances.models import Image, Instance, Rescue
from instances.rescue import NotPossible
from teams.models import AuditEntry
from tests.instances import rows

S = State


@pytest.fixture
def acme(teams):
    account = rows.account(teams.acme, "acme")
    rows.images(account)
    return account


@pytest.fixture
def web(acme):
    return rows.instance(acme)


def start(instance, by, **changes):
    given = {"image_ref": rows.RESCUE_IMAGE, "idempotency_key": uuid.uuid4()} | changes
    return use_cases.start(instance=instance, by=by, **given)


def why(call):
    with pytest.raises(NotPossible) as caught:
        call()
    assert str(caught.value.sentence)
    return caught.value


def fresh(instance):
    return Instance.objects.get(pk=instance.pk)


# Who may ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_who_may_operate(web, request, who):
    user = request.getfixturevalue(who)
    row = start(web, user)
    assert (row.state, row.requested_by) == (S.REQUESTED, user)
    assert (row.image_name, row.access, row.access_user) == (
        "Rescue distribution", "password", "root",
    )  # fmt: skip
    assert row.next_at and row.sealed_password == ""


@pytest.mark.parametrize("who", ["carol", "mallory", "sam"])
def test_who_may_not(acme, web, alice, request, who):
    user = request.getfixturevalue(who)
    ready = rows.rescue(rows.rescued(acme, "web-2"), "READY", alice)
    broken = rows.rescue(rows.instance(acme, "web-3", vm_state="error"), "FAILED_BROKEN", alice)
    asked = rows.rescue(rows.instance(acme, "web-4"), "REQUESTED", alice)
    before = AuditEntry.objects.count()
    for call in (
        lambda: start(web, user),
        lambda: use_cases.request_exit(instance=ready.instance, by=user),
        lambda: use_cases.hard_reboot(instance=broken.instance, by=user),
        lambda: use_cases.cancel(rescue=asked, by=user),
        lambda: use_cases.reveal_password(rescue=ready, by=user),
    ):
        with pytest.raises(PermissionDenied):
            call()
    assert AuditEntry.objects.count() == before
    assert Rescue.objects.filter(state=S.READY).count() == 1


# When not, and why ------------------------------------------------------------------------------

STATES = [
    ({"vm_state": "active"}, ""),
    ({"vm_state": "stopped"}, ""),
    ({"vm_state": "error"}, ""),
    ({"vm_state": "error", "launched_at": None}, "state"),
    ({"vm_state": "paused"}, "paused"),
    ({"vm_state": "suspended"}, "suspended"),
    ({"vm_state": "shelved"}, "shelved"),
    ({"vm_state": "shelved_offloaded"}, "shelved"),
    ({"vm_state": "resized"}, "resize"),
    ({"vm_state": "building"}, "created"),
    ({"vm_state": "rescued"}, "already in rescue"),
    ({"vm_state": "soft-delete"}, "deleted"),
    ({"vm_state": ""}, "does not tell"),
    ({"vm_state": "something new"}, "present state"),
    ({"locked": True}, "locked"),
    ({"task_state": "powering-off"}, "task"),
    ({"task_state": "never heard of"}, "task"),
]


@pytest.mark.parametrize(("facts", "word"), STATES, ids=str)
def test_the_reason_why_it_cannot_start(acme, alice, facts, word):
    made = rows.instance(acme, "x", **facts)
    reason = str(use_cases.why_not_start(made))
    assert word in reason and bool(reason) is bool(word)
    menu = {action.key: action for action in use_cases.actions_for(made, alice)}
    assert menu["start_rescue"].enabled is (not word)
    if word:
        assert str(why(lambda: start(made, alice)).sentence) == reason


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_open_rescue_is_in_the_way(web, alice, state):
    rows.rescue(web, state, alice)
    why(lambda: start(fresh(web), alice))
    assert Rescue.objects.count() == 1


@pytest.mark.parametrize("state", sorted(State))
def test_the_menu_in_every_state(acme, alice, carol, state):
    in_rescue = state in OPEN - STARTING and (phase_of(state) is None or "EXIT" in state)
    vm_state = "error" if state in BROKEN else "rescued" if in_rescue else "active"
    made = rows.instance(acme, "x", vm_state=vm_state)
    rows.rescue(made, state, alice)
    made = fresh(made)
    menu = {action.key: action for action in use_cases.actions_for(made, alice)}
    assert menu["start_rescue"].enabled is (state not in OPEN)
    assert menu["exit_rescue"].enabled is (state in (S.READY, S.EXTERNAL))
    assert ("hard_reboot" in menu) is (state in BROKEN or state.startswith("REBOOT_"))
    if state in BROKEN:
        assert menu["hard_reboot"].enabled
    for action in use_cases.actions_for(made, carol):
        assert not action.enabled


def test_only_images_of_the_list_that_suit(web, alice):
    assert why(lambda: start(web, alice, image_ref="no-such")).field == "image"
    refused = why(lambda: start(web, alice, image_ref=rows.WINDOWS))
    assert refused.field == "image" and "memory" in str(refused.sentence)
    Image.objects.update(status="deactivated")  # since the dialog was opened
    assert why(lambda: start(web, alice)).field == "image"
    assert not Rescue.objects.exists()


# Twice the same click ---------------------------------------------------------------------------


def test_the_same_form_twice_is_one_rescue(web, alice):
    key = uuid.uuid4()
    first = start(web, alice, idempotency_key=key)
    assert start(web, alice, idempotency_key=key) == first
    first.move(S.CANCELLED)
    assert start(web, alice, idempotency_key=key) == first
    assert AuditEntry.objects.filter(act="rescue.start").count() == 1


def test_a_key_of_others_is_no_key(acme, web, alice, bob, mallory, teams):
    key = uuid.uuid4()
    start(web, alice, idempotency_key=key)
    why(lambda: start(web, bob, idempotency_key=key))
    why(lambda: start(rows.instance(acme, "web-2"), alice, idempotency_key=key))
    theirs = rows.account(teams.other, "other")
    rows.images(theirs)
    why(lambda: start(rows.instance(theirs), mallory, idempotency_key=key))
    assert Rescue.objects.count() == 1


def test_two_people_at_once_make_one_rescue(web, alice, bob, monkeypatch):
    """Both were shown that it is possible; the database lets one row in."""
    first = start(web, alice)
    monkeypatch.setattr(use_cases, "why_not_start", lambda _instance: "")
    why(lambda: start(fresh(web), bob))
    assert list(Rescue.objects.all()) == [first]


@pytest.mark.django_db(transaction=True)
def test_a_race_of_clicks(web, alice, bob):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one writer in at a time")
    gate, made, refused = threading.Barrier(6), [], []

    def click(n):
        try:
            gate.wait()
            made.append(start(fresh(web), alice if n % 2 else bob).pk)
        except NotPossible as no:
            refused.append(no)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=click, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Rescue.objects.open().count() == 1
    assert len(set(made)) == 1 and len(made) + len(refused) == 6


# The exit, the reboot, the cancel ---------------------------------------------------------------


@pytest.mark.parametrize("state", ["READY", "EXTERNAL"])
def test_an_exit_is_asked_for_once(acme, alice, bob, state):
    row = rows.rescue(rows.rescued(acme), state, alice, failure_code="locked", calls=1)
    asked = use_cases.request_exit(instance=fresh(row.instance), by=bob)
    assert (asked.state, asked.fallback, asked.calls) == (S.EXIT_REQUESTED, state, 0)
    assert asked.exit_requested_by == bob and asked.failure_code == "" and asked.called_at is None
    assert use_cases.request_exit(instance=fresh(row.instance), by=alice).pk == row.pk
    assert AuditEntry.objects.filter(act="rescue.exit").count() == 1


def test_no_exit_where_there_is_no_rescue(acme, web, alice):
    why(lambda: use_cases.request_exit(instance=web, by=alice))
    rows.rescue(web, "WAITING", alice)
    why(lambda: use_cases.request_exit(instance=fresh(web), by=alice))
    locked = rows.rescued(acme)
    rows.rescue(locked, "READY", alice)
    Instance.objects.update(locked=True)
    assert "locked" in str(why(lambda: use_cases.request_exit(instance=fresh(locked), by=alice)))
    unread = rows.rescued(acme, "found just now")
    why(lambda: use_cases.request_exit(instance=unread, by=alice))


@pytest.mark.parametrize("state", sorted(BROKEN))
def test_the_way_back_from_a_broken_rescue(acme, alice, state):
    row = rows.rescue(rows.instance(acme, vm_state="error"), state, alice)
    asked = use_cases.hard_reboot(instance=fresh(row.instance), by=alice)
    assert (asked.pk, asked.state, asked.fallback) == (row.pk, S.REBOOT_REQUESTED, state)
    assert asked.ended_at is None and asked.is_open
    why(lambda: use_cases.hard_reboot(instance=fresh(row.instance), by=alice))


def test_no_way_back_where_nothing_is_broken(acme, web, alice):
    why(lambda: use_cases.hard_reboot(instance=web, by=alice))
    repaired = rows.instance(acme, "web-2")
    rows.rescue(repaired, "FAILED_BROKEN", alice)
    why(lambda: use_cases.hard_reboot(instance=repaired, by=alice))


def test_a_request_can_be_taken_back_until_the_cloud_was_asked(web, alice, bob):
    row = start(web, alice)
    assert row.may_cancel(bob)
    assert use_cases.cancel(rescue=row, by=bob).state == S.CANCELLED
    second = start(fresh(web), alice)
    second.move(S.CALLING)
    why(lambda: use_cases.cancel(rescue=second, by=alice))
    stale = Rescue.objects.get(pk=second.pk)
    stale.state = S.REQUESTED
    why(lambda: use_cases.cancel(rescue=stale, by=alice))
    assert Rescue.objects.get(pk=second.pk).state == S.CALLING


# The password -----------------------------------------------------------------------------------


@pytest.fixture
def ready(acme, alice):
    row = rows.rescue(rows.rescued(acme), "READY", alice)
    row.move(sealed_password=row.sealed("s3cret"))
    return row


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_password_is_shown_and_that_is_written_down(ready, request, who):
    user = request.getfixturevalue(who)
    assert use_cases.reveal_password(rescue=ready, by=user) == "s3cret"
    entry = AuditEntry.objects.get(act="password.reveal")
    assert entry.actor == user and "s3cret" not in str(entry.details) + entry.target
    assert Rescue.objects.get(pk=ready.pk).revealed_at


def acted(user, staff):
    user.acted_by = staff
    return user


def test_staff_behind_somebody_reads_no_password(ready, alice, sam):
    with pytest.raises(PermissionDenied):
        use_cases.reveal_password(rescue=ready, by=acted(alice, sam))
    assert not AuditEntry.objects.filter(act="password.reveal").exists()


def test_staff_behind_somebody_is_written_down(web, alice, sam):
    row = start(web, acted(alice, sam))
    entry = AuditEntry.objects.get()
    assert (row.requested_by, row.acting_by, entry.actor, entry.acting_by) == (
        alice, sam, alice, sam,
    )  # fmt: skip


@pytest.mark.parametrize("state", ["CLOSED", "FAILED_BROKEN", "RECOVERED"])
def test_no_password_once_it_is_over(ready, alice, state):
    ready.move(S(state))
    why(lambda: use_cases.reveal_password(rescue=ready, by=alice))


def test_no_password_before_it_is_ready(acme, alice):
    row = rows.rescue(rows.instance(acme, "x"), "WAITING", alice)
    row.move(sealed_password=row.sealed("s3cret"))
    why(lambda: use_cases.reveal_password(rescue=row, by=alice))
    assert not row.shows_password_to(alice)


def test_a_password_whose_key_is_gone(ready, alice, settings):
    settings.ENCRYPTION_KEYS = [b"n" * 32]
    why(lambda: use_cases.reveal_password(rescue=ready, by=alice))


def test_it_shows_by_itself_once_to_the_one_who_asked(ready, alice, bob, carol):
    assert ready.reveals_automatically_for(alice)
    assert not ready.reveals_automatically_for(bob)
    assert ready.shows_password_to(bob) and not ready.shows_password_to(carol)
    use_cases.reveal_password(rescue=ready, by=bob)
    ready.refresh_from_db()
    assert not ready.reveals_automatically_for(alice)
    assert ready.shows_password_to(alice)


def test_a_team_can_turn_that_off(ready, alice, teams):
    teams.acme.auto_show_password = False
    teams.acme.save()
    assert not Rescue.objects.get(pk=ready.pk).reveals_automatically_for(alice)


# Putting away -----------------------------------------------------------------------------------


def test_an_ended_rescue_is_put_away_for_one_person(acme, alice, bob):
    row = rows.rescue(rows.instance(acme), "FAILED_CLEAN", alice)
    for _turn in range(2):
        use_cases.dismiss(rescue=row, by=alice)
    assert row not in Rescue.objects.in_panel_of(alice)
    assert row in Rescue.objects.in_panel_of(bob)


def test_what_is_under_way_is_not_put_away(web, alice):
    why(lambda: use_cases.dismiss(rescue=start(web, alice), by=alice))


def test_a_machine_in_rescue_is_not_put_out_of_sight(ready, alice):
    why(lambda: use_cases.dismiss(rescue=ready, by=alice))
    assert ready in Rescue.objects.in_panel_of(alice)


def test_the_line_for_the_shell_is_quoted(web):
    line = use_cases.cli_command(web, "x; rm -rf /")
    assert line == f"openstack server rescue --image 'x; rm -rf /' {web.server_id}"
