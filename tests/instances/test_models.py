"""The rows: written once, seen by whom they may be, sealed for themselves, cheap to list."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from instances import rescue as use_cases
from instances.lifecycle import KEEPS_PASSWORD, OPEN, SETTLED, State
from instances.models import Dismissal, Instance, Rescue
from instances.models.clock import now
from instances.models.rescue import LEASE
from teams.secrets import CannotOpen
from tests.instances import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(teams):
    return rows.account(teams.acme, "acme")


@pytest.fixture
def other(teams):
    return rows.account(teams.other, "other")


@pytest.fixture
def row(acme, alice):
    return rows.rescue(rows.instance(acme), "REQUESTED", alice, next_at=now())


def again(row):
    return Rescue.objects.get(pk=row.pk)


# Compare and set --------------------------------------------------------------------------------


def test_of_two_writers_one_wins(row):
    first, second = again(row), again(row)
    assert first.move(State.CALLING, calls=1)
    assert not second.move(State.CANCELLED)
    assert (again(row).state, again(row).version) == (State.CALLING, row.version + 1)


def test_who_wrote_may_write_on(row):
    mine = again(row)
    assert mine.move(State.CALLING) and mine.move(State.WAITING) and mine.move(State.READY)
    assert again(row).version == row.version + 3 == mine.version


def test_who_lost_changed_nothing_in_hand_either(row):
    late = again(row)
    again(row).move(State.CANCELLED)
    assert not late.move(State.CALLING, calls=5)
    assert (late.state, late.calls) == (State.REQUESTED, 0)


@pytest.mark.parametrize("state", sorted(State))
def test_a_password_lives_as_long_as_it_is_needed(row, state):
    row.move(sealed_password=row.sealed("s3cret"))
    assert row.move(state)
    assert bool(again(row).sealed_password) is (state in KEEPS_PASSWORD)


def test_settling_takes_the_row_off_the_list(row):
    row.move(State.CANCELLED, obstacle="silent")
    settled = again(row)
    assert settled.ended_at and settled.next_at is None and settled.obstacle == ""
    ended = settled.ended_at
    settled.move(sealed_password="")
    assert again(row).ended_at == ended


# The lease --------------------------------------------------------------------------------------


def test_one_claims_the_other_does_not(row):
    mine = Rescue.objects.claim(row.pk)
    assert mine and mine.lease_until > now()
    assert Rescue.objects.claim(row.pk) is None
    assert mine.move(State.CANCELLED)


def test_a_lease_of_the_dead_ends(row):
    Rescue.objects.claim(row.pk)
    Rescue.objects.filter(pk=row.pk).update(lease_until=now() - timedelta(milliseconds=1))
    assert Rescue.objects.claim(row.pk)


def test_a_claim_stops_who_had_it_before(row):
    before = Rescue.objects.claim(row.pk)
    Rescue.objects.filter(pk=row.pk).update(lease_until=now() - LEASE)
    assert Rescue.objects.claim(row.pk)
    assert not before.move(State.CALLING)


def test_what_can_wait_is_not_claimed(row):
    Rescue.objects.filter(pk=row.pk).update(next_at=now() + timedelta(seconds=5))
    assert Rescue.objects.claim(row.pk) is None
    Rescue.objects.filter(pk=row.pk).update(next_at=None)
    assert Rescue.objects.claim(row.pk) is None
    assert Rescue.objects.claim(uuid.uuid4()) is None


@pytest.mark.parametrize("state", sorted(SETTLED))
def test_settled_rows_are_not_due(row, state):
    Rescue.objects.filter(pk=row.pk).update(state=state)
    assert not Rescue.objects.due(now()).exists()
    assert Rescue.objects.claim(row.pk) is None


# One open rescue a server -----------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(OPEN))
def test_one_open_rescue_a_server(row, alice, state):
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.rescue(row.instance, state, alice)


def test_another_server_or_a_settled_one_is_no_obstacle(row, acme, alice):
    rows.rescue(rows.instance(acme, "web-2"), "REQUESTED", alice)
    rows.rescue(row.instance, "FAILED_BROKEN", alice)
    row.move(State.CANCELLED)
    rows.rescue(row.instance, "REQUESTED", alice)


def test_a_settled_one_is_not_opened_beside_an_open_one(row, alice):
    broken = rows.rescue(row.instance, "FAILED_BROKEN", alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        broken.move(State.REBOOT_REQUESTED)


def test_an_idempotency_key_is_used_once(row, acme, alice):
    key = uuid.uuid4()
    Rescue.objects.filter(pk=row.pk).update(idempotency_key=key)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.rescue(rows.instance(acme, "web-2"), "REQUESTED", alice, idempotency_key=key)


# The password -----------------------------------------------------------------------------------


def test_a_password_opens_for_its_row_only(acme, alice):
    one, two = (
        rows.rescue(rows.instance(acme, name), "READY", alice) for name in ("web-1", "web-2")
    )
    for row, text in ((one, "first"), (two, "second")):
        row.move(sealed_password=row.sealed(text))
    assert again(one).password() == "first"
    one_token, two_token = again(one).sealed_password, again(two).sealed_password
    Rescue.objects.filter(pk=one.pk).update(sealed_password=two_token)
    Rescue.objects.filter(pk=two.pk).update(sealed_password=one_token)
    for row in (one, two):
        with pytest.raises(CannotOpen):
            again(row).password()


def test_a_password_does_not_move_to_another_server(row, acme):
    row.move(sealed_password=row.sealed("s3cret"))
    Rescue.objects.filter(pk=row.pk).update(instance=rows.instance(acme, "web-2"))
    with pytest.raises(CannotOpen):
        again(row).password()


def test_a_password_survives_a_new_key(row, settings):
    row.move(sealed_password=row.sealed("s3cret"))
    settings.ENCRYPTION_KEYS = [b"n" * 32, *settings.ENCRYPTION_KEYS]
    assert again(row).password() == "s3cret"
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    with pytest.raises(CannotOpen):
        again(row).password()


# Who sees what ----------------------------------------------------------------------------------


@pytest.fixture
def scene(acme, other, alice, mallory):
    ours, theirs = rows.instance(acme, "ours"), rows.instance(other, "theirs")
    rows.instance(acme, "gone", deleted_at=now())
    rows.rescue(ours, "READY", alice)
    rows.rescue(theirs, "READY", mallory)


WHO = [
    # who, sees, operates, has in the panel
    ("alice", ["ours"], ["ours"], ["ours"]),
    ("bob", ["ours"], ["ours"], ["ours"]),
    ("carol", ["ours"], [], ["ours"]),
    ("mallory", ["theirs"], ["theirs"], ["theirs"]),
    ("sam", [], [], []),
]


@pytest.mark.parametrize(("who", "sees", "operates", "panel"), WHO)
def test_everybody_sees_the_own_teams(scene, request, who, sees, operates, panel):
    user = request.getfixturevalue(who)

    def names(found):
        return [instance.name for instance in found.order_by("name")]

    def of(found):
        return [row.instance.name for row in found]

    assert names(Instance.objects.visible_to(user)) == sees
    assert names(Instance.objects.operable_by(user)) == operates
    assert of(Rescue.objects.visible_to(user)) == sees
    assert of(Rescue.objects.operable_by(user)) == operates
    assert of(Rescue.objects.in_panel_of(user)) == panel


def test_a_visitor_sees_nothing(scene):
    nobody = AnonymousUser()
    assert not Instance.objects.visible_to(nobody).exists()
    assert not Rescue.objects.visible_to(nobody).exists()


def test_the_panel_holds_what_is_fresh_and_not_put_away(acme, alice, bob):
    def made(name, state, **facts):
        return rows.rescue(rows.instance(acme, name), state, alice, **facts)

    opened = made("a", "READY")
    Rescue.objects.filter(pk=opened.pk).update(created_at=now() - timedelta(days=3))
    ended = made("b", "CLOSED", ended_at=now() - timedelta(hours=23))
    made("c", "CLOSED", ended_at=now() - timedelta(hours=25))
    away = made("d", "CLOSED", ended_at=now())
    Dismissal.objects.create(rescue=away, user=alice)
    assert set(Rescue.objects.in_panel_of(alice)) == {opened, ended}
    assert set(Rescue.objects.in_panel_of(bob)) == {opened, ended, away}


# What a list costs ------------------------------------------------------------------------------


def listed(user):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for instance in Instance.objects.visible_to(user).with_panel_data():
            use_cases.menu(instance, may_operate=True)
            _ = (instance.status_label, instance.primary_address, instance.account.region_name)
            _ = instance.account.mirror.problem
            opened = instance.open_rescue
            _ = opened and (opened.headline, opened.requested_by, opened.instance.name)
    return len(queries)


def fill(account, user, count):
    for n in range(count):
        made = rows.instance(account, f"many-{n}", vm_state="error" if n % 3 == 1 else "active")
        if n % 3 == 0:
            rows.rescue(made, "WAITING", user)
        if n % 3 == 1:
            rows.rescue(made, "FAILED_BROKEN", user)


def test_thirty_rows_cost_no_more_than_three(acme, alice):
    fill(acme, alice, 3)
    few = listed(alice)
    fill(acme, alice, 27)
    assert listed(alice) == few <= 4


def test_the_panel_costs_the_same_for_many(acme, alice):
    def panel():
        with CaptureQueriesContext(connection) as queries:
            for row in Rescue.objects.in_panel_of(alice).with_all_told():
                _ = (row.headline, row.advice, row.stages, row.steps, row.obstacle_sentence)
                _ = (row.instance.account.mirror.problem, row.instance.team, row.requested_by)
        return len(queries)

    fill(acme, alice, 1)
    one = panel()
    fill(acme, alice, 20)
    assert panel() == one <= 2


# Texts and facts --------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["WEB", "web-1 203.0.113.7", "debian b3-8", ""])
def test_a_search_finds_every_word(acme, words):
    found = rows.instance(acme, "web-1")
    rows.instance(acme, "db", search_text="db 10.0.0.1")
    assert found in Instance.objects.matching(words)
    assert not Instance.objects.matching("web-1 10.0.0.1").exists()


@pytest.mark.parametrize("words", ["%", "_", "'; DROP TABLE", "\\", "x" * 10_000, "z " * 500])
def test_a_hostile_search_finds_nothing(acme, words):
    rows.instance(acme, "web-1")
    assert not Instance.objects.matching(words).exists()


def test_an_instance_without_a_name_is_called_by_its_id(acme):
    made = rows.instance(acme, "")
    assert str(made) == made.server_id
    assert str(rows.instance(acme, "<b>")) == "<b>"


def test_the_address_shown_first(acme):
    def of(*addresses):
        shown = [
            {"address": a, "kind": kind, "version": version, "network": "n"}
            for a, kind, version in addresses
        ]
        return rows.instance(acme, "x", server_id=str(uuid.uuid4()), addresses=shown)

    v6, v4, floating = (
        ("2001:db8::1", "fixed", 6), ("10.0.0.1", "fixed", 4), ("203.0.113.9", "floating", 4),
    )  # fmt: skip
    assert of(v6, v4, floating).primary_address == "203.0.113.9"
    assert of().primary_address == ""


def test_a_broken_rescue_counts_while_the_server_is_in_error(acme, alice):
    made = rows.instance(acme, vm_state="error")
    old = rows.rescue(made, "EXIT_BROKEN", alice)
    Rescue.objects.filter(pk=old.pk).update(created_at=now() - timedelta(days=1))
    new = rows.rescue(made, "FAILED_BROKEN", alice)
    assert made.broken_rescue == new
    assert Instance.objects.with_panel_data().get(pk=made.pk).broken_rescue == new
    made.vm_state = "active"
    assert made.broken_rescue is None


def test_times_of_a_rescue(acme, alice):
    for seconds in (10, 20, 60):
        done = rows.rescue(rows.instance(acme, f"t{seconds}"), "CLOSED", alice, ended_at=now())
        ready = done.created_at + timedelta(seconds=seconds)
        Rescue.objects.filter(pk=done.pk).update(ready_at=ready)
    row = rows.rescue(rows.instance(acme), "WAITING", alice)
    assert row.usual_seconds == 20 and row.settled_seconds is None
    assert row.elapsed_from == row.created_at
    row.move(State.READY, ready_at=row.created_at + timedelta(seconds=7))
    assert row.settled_seconds == 7 and row.elapsed_from == row.ready_at


def test_every_row_says_its_name(row, alice, acme):
    away = Dismissal.objects.create(rescue=row, user=alice)
    image = rows.images(acme) or acme.images.first()
    for thing in (row, away, acme.mirror, image):
        assert str(thing)
