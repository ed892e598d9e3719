"""The driver against a Nova over HTTP: what works, and each way in which it can go wrong."""

from datetime import timedelta

import pytest

from instances import driver, inventory, lifecycle, passwords, rescue
from instances.cloud import Accepted, Cloud, Silent, open_account
from instances.cloud.facts import server_from
from instances.lifecycle import State
from instances.models import Instance, Rescue
from instances.models.clock import now
from teams.models import AuditEntry
from tests.instances.conftest import drive, later

S = State


def once_more(row):
    """Wake a rescue that rests, as the synchroniser does when its server changed."""
    Rescue.objects.filter(pk=row.pk).update(next_at=now())
    return drive(row)


def exited(row, by):
    return drive(rescue.request_exit(instance=Instance.objects.get(pk=row.instance_id), by=by))


def broken(demo, start, name="web-1"):
    demo.fault(name, driver_error=1)
    row = drive(start(name))
    assert row.state == S.FAILED_BROKEN
    return row


# What works -------------------------------------------------------------------------------------


def test_there_and_back(demo, start, alice):
    row = drive(start())
    server = row.instance.server_id
    assert row.state == S.READY
    assert demo.server("web-1")["vm_state"] == row.instance.vm_state == "rescued"
    assert demo.server("web-1")["rescue_image_id"] == row.image_ref
    assert len(row.password()) == passwords.PASSWORD_LENGTH
    assert set(row.password()) <= set(passwords.PASSWORD_LETTERS)
    assert row.created_at <= row.accepted_at <= row.ready_at
    assert row.host_started_at and row.next_at is None and not row.failure_code
    row = exited(row, alice)
    assert row.state == S.CLOSED
    assert row.sealed_password == "" and row.ended_at
    assert row.instance.vm_state == demo.server("web-1")["vm_state"] == "active"
    assert demo.calls(server, "rescue") == [200]
    assert demo.calls(server, "unrescue") == [202]


def test_each_act_is_written_down_once(demo, start, alice):
    exited(drive(start()), alice)
    acts = AuditEntry.objects.filter(target__startswith="web-1").order_by("pk")
    assert list(acts.values_list("act", "actor__email")) == [
        ("rescue.start", alice.email),
        ("rescue.ready", None),
        ("rescue.exit", alice.email),
        ("rescue.closed", None),
    ]


def test_a_stopped_server_is_rescued_and_runs_afterwards(demo, start, alice):
    row = drive(start("staging"))
    assert (row.state, row.vm_state_before) == (S.READY, "stopped")
    assert exited(row, alice).instance.vm_state == "active"


def test_a_server_in_error_is_rescued(demo, start):
    assert drive(start("search-2")).state == S.READY


def test_a_settled_rescue_is_left_alone(demo, start, alice):
    row = exited(drive(start()), alice)
    before = len(demo.requests())
    Rescue.objects.filter(pk=row.pk).update(next_at=now())
    assert driver.step(row.pk) is None
    assert len(demo.requests()) == before


def test_a_rescue_that_somebody_else_holds_is_left_alone(demo, start):
    row = start()
    Rescue.objects.filter(pk=row.pk).update(lease_until=now() + timedelta(seconds=9))
    before = len(demo.requests())
    assert driver.step(row.pk) is None
    assert len(demo.requests()) == before


def test_who_was_overtaken_writes_nothing(demo, start):
    row = start()
    mine, theirs = Rescue.objects.get(pk=row.pk), Rescue.objects.get(pk=row.pk)
    assert theirs.move(S.CANCELLED)
    assert driver._write(mine, lifecycle.Move(to=S.READY)) is None
    assert Rescue.objects.get(pk=row.pk).state == S.CANCELLED


# Our password -----------------------------------------------------------------------------------


def test_a_password_of_novas_own_is_the_one_kept(demo, start, monkeypatch):
    asked = Cloud.rescue
    other = "nova-knows-better"

    def answers_another(self, *args, **kwargs):
        return Accepted(asked(self, *args, **kwargs).request_id, other)

    monkeypatch.setattr(Cloud, "rescue", answers_another)
    assert drive(start()).password() == other


def test_a_cloud_that_answers_no_password_keeps_ours(demo, start, monkeypatch):
    monkeypatch.setattr(passwords, "make_password", lambda: "ours")
    demo.knobs(instance_password=False)
    assert drive(start()).password() == "ours"
    demo.knobs(instance_password=True)


def test_passwords_differ():
    assert len({passwords.make_password() for _ in range(200)}) == 200


# What goes wrong while it starts ----------------------------------------------------------------


def test_a_lost_reply_is_understood(demo, start):
    demo.fault("web-1", lost_reply=1)
    row = start()
    driver.step(row.pk)
    row.refresh_from_db()
    assert row.state == S.IN_DOUBT and row.obstacle_sentence
    row = drive(row)
    assert row.state == S.READY and row.accepted_at and not row.failure_code
    assert demo.calls(row.instance.server_id, "rescue") == ["lost"]


def test_a_500_without_effect_is_asked_again_with_the_same_password(demo, start):
    demo.fault("web-1", refuse_500=1)
    row = start()
    driver.step(row.pk)
    first = Rescue.objects.get(pk=row.pk).password()
    assert drive(row).state == S.IN_DOUBT  # not before the grace is over
    row = drive(row, seconds=10)
    assert row.state == S.READY and row.password() == first
    assert demo.calls(row.instance.server_id, "rescue") == [500, 200]


def test_three_times_in_vain_is_enough(demo, start):
    demo.fault("web-1", refuse_500=True)
    row = drive(start(), seconds=13, steps=20)
    assert (row.state, row.failure_code) == (S.FAILED_CLEAN, "not_taken")
    assert demo.calls(row.instance.server_id, "rescue") == [500] * 3
    assert row.sealed_password == ""


def test_somebody_else_was_faster(demo, start):
    row = start()
    demo.fault("web-1", race_500=1)
    row = drive(row)
    assert row.state == S.LOST_RACE and row.sealed_password == ""


def test_a_rescue_begun_outside_meanwhile(demo, start):
    row = start()
    demo.outside("web-1", "rescue")
    assert drive(row).state == S.LOST_RACE
    assert demo.accepted(row.instance.server_id, "rescue") == 0


def test_a_call_that_comes_late_after_somebody_elses_rescue_is_ours(demo, start, monkeypatch):
    """Theirs is not taken for ours while ours may still be on its way."""

    def held_up(self, *args, **kwargs):
        raise Silent("nova")

    monkeypatch.setattr(Cloud, "rescue", held_up)
    row = start()
    driver.step(row.pk)
    monkeypatch.undo()
    demo.outside("web-1", "rescue")
    row = drive(row, steps=3)
    assert (row.state, row.request_id) == (S.IN_DOUBT, "")
    demo.outside("web-1", "unrescue")
    cloud = open_account(row.instance.account)
    server_id, image = row.instance.server_id, row.image_ref
    cloud.rescue(server_id, image_ref=image, password=row.password())
    row = drive(row)
    assert row.state == S.READY and row.password()
    assert demo.accepted(server_id, "rescue") == 1


def test_a_conflict_is_not_asked_again(demo, start, monkeypatch):
    """Between the look and the call the server was locked: Nova says 409."""
    row = start()
    look = Cloud.look

    def look_then_lock(self, server_id, **asked):
        seen = look(self, server_id, **asked)
        demo.outside("web-1", "lock")
        return seen

    monkeypatch.setattr(Cloud, "look", look_then_lock)
    driver.step(row.pk)
    monkeypatch.undo()
    row = drive(row)
    assert (row.state, row.failure_code) == (S.REFUSED, "conflict")
    assert demo.calls(row.instance.server_id, "rescue") == [409]
    assert "locked" in row.failure_text


def test_a_locked_server_is_not_asked(demo, start):
    row = start()
    demo.outside("web-1", "lock")
    row = drive(row)
    assert (row.state, row.failure_code) == (S.REFUSED, "locked")
    assert demo.calls(row.instance.server_id, "rescue") == []


def test_an_image_nova_does_not_take(demo, start):
    row = start()
    Rescue.objects.filter(pk=row.pk).update(image_ref="00000000-0000-0000-0000-000000000000")
    row = drive(row)
    assert (row.state, row.failure_code) == (S.REFUSED, "invalid")
    assert "not supported" in row.failure_text and row.sealed_password == ""


def test_keystone_goes_away_between_the_look_and_the_call(demo, start, monkeypatch):
    def away(self):
        raise Silent("keystone")

    monkeypatch.setattr(Cloud, "identity", away)
    row = drive(start(), steps=2)
    assert (row.state, row.obstacle, row.calls) == (S.REQUESTED, "silent", 0)
    monkeypatch.undo()
    assert drive(row).state == S.READY
    assert demo.accepted(row.instance.server_id, "rescue") == 1


def test_who_is_overtaken_before_the_call_does_not_call(demo, start, monkeypatch):
    """The lease ran out while the cloud was looked at; somebody else went on."""
    row = start()
    look = Cloud.look

    def slow_look(self, *args, **kwargs):
        seen = look(self, *args, **kwargs)
        assert Rescue.objects.get(pk=row.pk).move(next_at=now())
        return seen

    monkeypatch.setattr(Cloud, "look", slow_look)
    driver.step(row.pk)
    monkeypatch.undo()
    assert demo.calls(row.instance.server_id, "rescue") == []
    assert drive(row).state == S.READY


def test_told_to_slow_down(demo, start):
    demo.fault("web-1", **{"429": 7})
    row = start()
    driver.step(row.pk)
    row.refresh_from_db()
    assert (row.state, row.obstacle, row.calls) == (S.REQUESTED, "limited", 0)
    assert 5 < (row.next_at - now()).total_seconds() <= 7
    demo.calm()
    assert drive(row).state == S.READY


def test_a_driver_error(demo, start):
    row = broken(demo, start)
    assert "Driver Error" in row.failure_text
    assert row.sealed_password and not row.password_available
    assert row.instance.vm_state == "error" and row.instance.fault


def test_a_silent_revert(demo, start):
    demo.fault("web-1", silent_revert=1)
    row = drive(start())
    assert (row.state, row.failure_code) == (S.FAILED_CLEAN, "host_error")
    assert row.instance.vm_state == "active" and row.sealed_password == ""
    assert drive(start()).state == S.READY


def test_a_silent_host_that_comes_back(demo, start):
    demo.fault("web-1", host_silent=True)
    row = drive(start(), steps=3)
    assert row.state == S.WAITING and row.obstacle == ""
    row = drive(row, steps=1, seconds=130)
    assert (row.state, row.obstacle) == (S.WAITING, "host_silent")
    row = drive(row, steps=1, seconds=900)
    assert row.state == S.STUCK and row.sealed_password
    demo.calm()
    _wait_for(demo, "web-1", "rescued")
    row = drive(row)
    assert row.state == S.READY and row.obstacle == "" and not row.failure_code
    assert demo.calls(row.instance.server_id, "rescue") == [200]


def _wait_for(demo, name, vm_state):
    from tests.services import wait_until

    wait_until(lambda: demo.server(name)["vm_state"] == vm_state, f"{name} {vm_state}", 5)


@pytest.mark.parametrize("how", ["503", "drop"])
def test_nova_is_down_for_a_while(demo, start, how):
    row = start()
    demo.knobs(nova_down=how)
    row = drive(row, steps=3)
    assert row.state == S.REQUESTED
    assert row.obstacle == {"503": "broken", "drop": "silent"}[how] and row.obstacle_sentence
    demo.calm()
    assert drive(row).state == S.READY


def test_nova_goes_down_right_after_the_call(demo, start):
    row = start()
    driver.step(row.pk)
    demo.knobs(nova_down="503")
    row = drive(row, steps=4, seconds=120)
    assert row.state == S.WAITING and row.sealed_password
    demo.calm()
    row = drive(row)
    assert row.state == S.READY
    assert demo.calls(row.instance.server_id, "rescue") == [200]


def test_keystone_is_down(demo, start):
    row = start()
    demo.knobs(keystone_down="503", token_expired=True)
    row = drive(row, steps=2)
    assert (row.state, row.obstacle) == (S.REQUESTED, "silent")
    demo.calm()
    assert drive(row).state == S.READY


def test_an_expired_token_is_renewed(demo, start):
    row = start()
    demo.knobs(token_expired=True)
    assert drive(row).state == S.READY
    assert demo.accepted(row.instance.server_id, "rescue") == 1


def test_credentials_refused_and_renewed(demo, start, synced, credential):
    row = start()
    good = credential("acme")
    bad = good | {"auth": good["auth"] | {"application_credential_secret": "no"}}
    synced.keep_credential(bad)
    row = drive(row, steps=2)
    assert (row.state, row.obstacle) == (S.REQUESTED, "credentials")
    synced.keep_credential(good)
    assert drive(Rescue.objects.get(pk=row.pk)).state == S.READY


def test_a_request_that_cannot_be_sent_expires(demo, start):
    row = start()
    demo.knobs(nova_down="503")
    row = drive(row, seconds=200, steps=5)
    assert (row.state, row.failure_code) == (S.EXPIRED, "expired")
    assert demo.calls(row.instance.server_id, "rescue") == []


@pytest.mark.parametrize("change", ["demoted", "removed", "disabled"])
def test_the_right_is_withdrawn_before_the_call(demo, start, bob, change):
    row = start(by=bob)
    if change == "disabled":
        bob.is_active = False
        bob.save()
    elif change == "removed":
        bob.memberships.all().delete()
    else:
        bob.memberships.update(role="reader")
    row = drive(row)
    assert row.state == S.DENIED
    assert demo.calls(row.instance.server_id, "rescue") == []


def test_the_right_is_withdrawn_after_the_call(demo, start, bob):
    row = start(by=bob)
    driver.step(row.pk)
    bob.memberships.all().delete()
    assert drive(row).state == S.READY
    assert not row.shows_password_to(bob)


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_the_server_is_deleted(demo, start, steps):
    row = drive(start(), steps=steps)
    demo.outside("web-1", "delete")
    row = once_more(row)
    assert row.state == S.GONE and row.sealed_password == ""
    assert row.instance.deleted_at


# In rescue --------------------------------------------------------------------------------------


def test_exited_outside(demo, start):
    row = drive(start())
    demo.outside("web-1", "unrescue")
    _wait_for(demo, "web-1", "active")
    row = once_more(row)
    assert row.state == S.ENDED_OUTSIDE and row.sealed_password == ""


def test_ended_by_the_clouds_own_time_limit(demo, start):
    demo.fault("web-1", auto_exit=0.3)
    row = drive(start())
    assert row.state == S.READY
    _wait_for(demo, "web-1", "active")
    row = once_more(row)
    assert row.state == S.ENDED_BY_CLOUD and row.sealed_password == ""


def test_exited_and_rescued_again_outside(demo, start, synced):
    row = drive(start())
    for action, then in (("unrescue", "active"), ("rescue", "rescued")):
        demo.outside("web-1", action)
        _wait_for(demo, "web-1", then)
    row = once_more(row)
    assert row.state == S.ENDED_OUTSIDE
    (external,) = driver.adopt(synced.pk)
    assert once_more(Rescue.objects.get(pk=external)).state == S.EXTERNAL


# The exit ---------------------------------------------------------------------------------------


def test_a_lost_reply_to_the_exit(demo, start, alice):
    row = drive(start())
    demo.fault("web-1", lost_reply=1)
    row = exited(row, alice)
    assert row.state == S.CLOSED
    assert demo.calls(row.instance.server_id, "unrescue") == ["lost"]


def test_the_exit_of_a_locked_server_goes_back_to_ready(demo, start, alice):
    row = drive(start())
    demo.outside("web-1", "lock")
    row = exited(row, alice)
    assert (row.state, row.failure_code) == (S.READY, "locked")
    assert row.sealed_password and row.password_available and row.next_at is None
    demo.outside("web-1", "unlock", admin=True)
    inventory.sync(row.instance.account_id)
    assert exited(row, alice).state == S.CLOSED
    assert not AuditEntry.objects.filter(act="rescue.ready")[1:]


def test_the_exit_breaks_and_a_hard_reboot_helps(demo, start, alice):
    row = drive(start())
    demo.fault("web-1", unrescue_fails=1)
    row = exited(row, alice)
    assert row.state == S.EXIT_BROKEN and row.instance.vm_state == "error"
    row = drive(rescue.hard_reboot(instance=row.instance, by=alice))
    assert row.state == S.RECOVERED
    assert demo.server("web-1")["vm_state"] == "active"


# The way back from a broken rescue --------------------------------------------------------------


def test_the_next_rescue_uses_the_password_the_host_may_still_hold(demo, start, alice):
    row = broken(demo, start)
    first = row.password()
    row = drive(rescue.hard_reboot(instance=row.instance, by=alice))
    assert row.state == S.RECOVERED
    second = drive(start())
    assert second.state == S.READY and second.password() == first
    exited(second, alice)
    assert not Rescue.objects.exclude(sealed_password="").exists()  # a clean exit: all gone
    third = drive(start())
    assert third.password() != first


def test_a_broken_rescue_is_retried_with_its_password(demo, start):
    first = broken(demo, start)
    second = drive(start())
    assert second.state == S.READY and second.password() == first.password()


def test_a_lost_reply_to_the_reboot(demo, start, alice):
    row = broken(demo, start)
    demo.fault("web-1", lost_reply=1)
    row = drive(rescue.hard_reboot(instance=row.instance, by=alice))
    assert row.state == S.RECOVERED
    assert demo.accepted(row.instance.server_id, "reboot") == 1


def test_a_password_whose_key_is_gone_ends_the_doubt(demo, start, settings):
    demo.fault("web-1", refuse_500=1)
    row = start()
    driver.step(row.pk)
    settings.ENCRYPTION_KEYS = [b"k" * 32]
    sealed_for_account = row.instance.account.credential_version
    from instances.cloud import opening

    assert (row.instance.account_id, sealed_for_account) in opening._opened
    row = drive(row, seconds=10)
    assert (row.state, row.failure_code) == (S.FAILED_CLEAN, "key_gone")


# Rescues found in the cloud ---------------------------------------------------------------------


def test_a_rescue_found_in_the_cloud_is_adopted_and_exited(demo, synced, instance_named, alice):
    row = Rescue.objects.get(instance=instance_named("vpn"))
    row = drive(row)
    assert row.state == S.EXTERNAL and row.is_external and row.next_at is None
    assert row.request_id and not row.password_available
    row = exited(row, alice)
    assert row.state == S.CLOSED and row.exit_requested_by == alice


def test_an_adopted_rescue_with_a_history_stays(demo, synced, instance_named):
    for action, then in (("rescue", "rescued"), ("unrescue", "active"), ("rescue", "rescued")):
        demo.outside("web-3", action)
        _wait_for(demo, "web-3", then)
    inventory.sync(synced.pk)
    row = drive(Rescue.objects.get(instance=instance_named("web-3")))
    assert row.state == S.EXTERNAL


# Housekeeping -----------------------------------------------------------------------------------


def test_due_lists_what_nobody_holds(demo, start):
    rows = [start("web-1"), start("web-2"), start("web-3")]
    Rescue.objects.filter(pk=rows[1].pk).update(lease_until=now() + timedelta(seconds=9))
    Rescue.objects.filter(pk=rows[2].pk).update(next_at=now() + timedelta(seconds=9))
    assert set(driver.due()) & {row.pk for row in rows} == {rows[0].pk}


def test_old_passwords_are_destroyed(demo, start, alice):
    ready, kept = drive(start("web-1")), broken(demo, start, "web-2")
    waiting = start("web-3")
    driver.step(waiting.pk)
    for row in (ready, kept, waiting):
        later(row, 25 * 3600)
    ended = Rescue.objects.get(pk=kept.pk).ended_at
    assert driver.destroy_old_passwords() == 2
    ready, kept, waiting = (Rescue.objects.get(pk=r.pk) for r in (ready, kept, waiting))
    assert (ready.sealed_password, kept.sealed_password) == ("", "")
    assert waiting.sealed_password  # still on its way to the machine
    assert ready.state == S.READY and kept.ended_at == ended
    assert AuditEntry.objects.filter(act="password.destroyed").count() == 2


def test_a_kept_password_whose_key_is_gone_is_made_anew(demo, start, settings):
    first = broken(demo, start)
    old, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, [b"n" * 32]
    first.instance.account.keep_credential(_opened_with(first.instance.account, old, settings))
    second = drive(start())
    assert second.state == S.READY and len(second.password()) == passwords.PASSWORD_LENGTH


def _opened_with(account, keys, settings):
    now_used, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, keys
    opened = account.credential()
    settings.ENCRYPTION_KEYS = now_used
    return opened


def test_a_look_at_a_server_whose_cell_is_down_keeps_the_mirror(demo, start, monkeypatch):
    row = drive(start())

    def bare(_self, server_id):
        return server_from({"id": server_id, "status": "UNKNOWN"})

    monkeypatch.setattr(Cloud, "server", bare)
    row = once_more(row)
    assert row.state == S.READY and row.obstacle == "broken" and row.password_available
    assert row.instance.status == "RESCUE"
    monkeypatch.undo()
    assert drive(row).obstacle == ""
