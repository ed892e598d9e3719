"""A bulk action carried on: its limits, its failures, two workers at once, a worker killed."""

import threading
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.utils import translation

from instances import news, tasks
from instances import rescue as use_cases
from instances.bulk import asked, run
from instances.lifecycle import State
from instances.models import Batch, BatchItem, Instance, Rescue
from instances.rescue import NotPossible
from teams.models import AuditEntry, Delivery, Membership
from tests.instances import rows
from tests.instances.bulk.tools import advance, all_become, becomes, on_the_way, states


def why(call: Any) -> str:
    with pytest.raises(NotPossible) as caught:
        call()
    return str(caught.value.sentence)


# From the draft to the end ----------------------------------------------------------------------


def test_all_of_them_come_into_rescue_no_more_than_the_limit_at_once(many, begun, alice):
    batch = begun(many, at_once=5)
    most = 0
    for _turn in range(10):
        advance(batch)
        most = max(most, len(on_the_way(batch)))
        all_become(batch, "READY")
    assert batch.state == "done" and batch.ended_at
    assert most == 5
    assert states(batch) == {"done": 12}
    assert Rescue.objects.filter(requested_by=alice, reason="INC-1", state="READY").count() == 12
    told = AuditEntry.objects.filter(act="rescue.start")
    assert {entry.details["batch"] for entry in told} == {str(batch.pk)} and told.count() == 12
    assert list(AuditEntry.objects.filter(act__startswith="batch.").order_by("pk")
                .values_list("act", "actor__email")) == [
        ("batch.start", alice.email), ("batch.done", None)]  # fmt: skip


def test_a_slot_is_free_again_as_soon_as_one_is_ready(many, begun):
    batch = advance(begun(many, at_once=2))
    first, second = on_the_way(batch)
    becomes(first, "READY")
    advance(batch)
    assert [item.position for item in on_the_way(batch)] == [second.position, 3]


def test_the_limit_holds_for_each_account_and_over_all_batches(teams, many, begun, bob):
    other = rows.account(teams.acme, "second")
    rows.images(other)
    theirs = [rows.instance(other, f"db-{number}") for number in range(4)]
    first = advance(begun([*many[:6], *theirs], at_once=3))
    assert len(on_the_way(first)) == 6
    second = advance(begun(many[6:], by=bob, at_once=3))
    assert states(second) == {"waiting": 6}
    all_become(first, "READY")
    run.settle(first.pk)
    advance(second)
    assert len(on_the_way(second)) == 3


def test_what_cannot_be_done_is_skipped_with_the_reason_in_each_language(acme, many, begun):
    locked = rows.instance(acme, "locked", locked=True)
    batch = begun([*many[:2], locked])
    item = batch.items.get(instance=locked)
    assert item.state == "skipped" and "unlock" in item.reason
    with translation.override("fr"):
        assert "verrouillée" in item.reason
    advance(batch)
    assert len(on_the_way(batch)) == 2


def test_the_gates_of_a_single_click_hold_when_its_turn_comes(many, begun):
    batch = begun(many[:3], at_once=1)
    advance(batch)
    Instance.objects.filter(pk=many[1].pk).update(task_state="powering-off")
    Instance.objects.filter(pk=many[2].pk).update(deleted_at=many[2].seen_at)
    all_become(batch, "READY")
    advance(batch)
    assert states(batch) == {"done": 1, "skipped": 2} and batch.state == "done"
    reasons = [item.reason for item in batch.items.filter(state="skipped").order_by("position")]
    assert "A task is under way" in reasons[0] and "no longer there" in reasons[1]
    with translation.override("fr"):
        assert "A task" not in batch.items.get(instance=many[1]).reason


def test_an_image_that_the_team_does_not_allow_skips_them(teams, many, begun):
    teams.acme.allowed_images = ["Windows"]
    teams.acme.save()
    batch = advance(begun(many[:2]))
    assert states(batch) == {"skipped": 2}
    assert "does not allow" in batch.items.first().reason


def test_the_teams_rules_hold(teams, many, draft, alice):
    teams.acme.reason_required, teams.acme.rescue_hours = True, 4
    teams.acme.save()
    batch = draft(many[:1])
    images = {str(many[0].account_id): rows.RESCUE_IMAGE}
    given = {"hours": 72, "snapshot": "", "images": images, "at_once": 5, "stop_after": 3}
    assert why(lambda: asked.begin(batch=batch, by=alice, reason="", **given))
    advance(asked.begin(batch=batch, by=alice, reason="INC", **given))
    made = Rescue.objects.get()
    assert (made.until - made.created_at).total_seconds() == 4 * 3600


def test_a_snapshot_is_named_for_each(many, begun):
    advance(begun(many[:2], snapshot="before"))
    names = {row.snapshot.name for row in Rescue.objects.all()}
    assert names == {f"before {one.server_id[:8]}" for one in many[:2]}


# Failures ---------------------------------------------------------------------------------------


def test_it_is_held_after_so_many_failures_and_goes_on_when_told(many, begun, bob):
    batch = advance(begun(many, at_once=4, stop_after=2))
    first, second, third, fourth = on_the_way(batch)
    becomes(first, "FAILED_CLEAN")
    advance(batch)
    assert batch.state == "running" and len(on_the_way(batch)) == 4
    becomes(second, "FAILED_BROKEN")
    advance(batch)
    assert batch.state == "paused" and len(on_the_way(batch)) == 3
    becomes(third, "READY")
    becomes(fourth, "READY")
    advance(batch)
    assert states(batch) == {"failed": 2, "done": 2, "started": 1, "waiting": 7}

    asked.resume(batch=batch, by=bob)
    advance(batch)
    assert batch.state == "running" and len(on_the_way(batch)) == 4
    assert on_the_way(batch)[-1].rescue.requested_by == bob
    becomes(on_the_way(batch)[0], "REFUSED")
    advance(batch)
    assert batch.state == "running"  # the two before were looked at
    becomes(on_the_way(batch)[0], "EXPIRED")
    advance(batch)
    assert batch.state == "paused"


def test_what_is_stuck_counts_as_trouble_and_keeps_its_place(many, begun):
    batch = advance(begun(many, at_once=3, stop_after=3))
    all_become(batch, "STUCK")
    advance(batch)
    assert batch.state == "paused" and len(on_the_way(batch)) == 3


def test_those_that_failed_or_were_skipped_are_tried_again_as_new_rescues(acme, many, begun, bob):
    locked = rows.instance(acme, "locked", locked=True)
    batch = advance(begun([*many[:2], locked]))
    failed, good = on_the_way(batch)
    becomes(failed, "FAILED_CLEAN")
    becomes(good, "READY")
    advance(batch)
    assert batch.state == "done"
    Instance.objects.filter(pk=locked.pk).update(locked=False)
    asked.retry(batch=batch, by=bob)
    advance(batch)
    again = {item.instance_id: item.rescue for item in on_the_way(batch)}
    assert set(again) == {failed.instance_id, locked.pk}
    assert again[failed.instance_id].pk != failed.rescue_id
    assert again[failed.instance_id].requested_by == bob
    all_become(batch, "READY")
    assert states(advance(batch)) == {"done": 3}
    assert why(lambda: asked.retry(batch=batch, by=bob))


def test_stop_lets_those_on_their_way_go_on_and_starts_no_more(many, begun, alice):
    batch = advance(begun(many, at_once=2))
    asked.stop(batch=batch, by=alice)
    all_become(batch, "READY")
    advance(batch)
    assert states(batch) == {"done": 2, "waiting": 10}
    assert batch.state == "stopped" and batch.ended_at
    assert why(lambda: asked.stop(batch=batch, by=alice))
    asked.resume(batch=batch, by=alice)
    assert len(on_the_way(advance(batch))) == 2


def test_a_request_taken_back_is_skipped(many, begun, alice):
    batch = advance(begun(many[:1]))
    use_cases.cancel(rescue=on_the_way(batch)[0].rescue, by=alice)
    assert states(advance(batch)) == {"skipped": 1}


# Who may ----------------------------------------------------------------------------------------


def test_who_only_looks_or_is_of_another_team_may_nothing(many, begun, draft, carol, mallory):
    batch = begun(many[:2])
    for who in (carol, mallory):
        assert why(lambda who=who: draft(many, by=who))
        for use_case in (asked.stop, asked.resume, asked.retry, asked.exit_all):
            with pytest.raises(PermissionDenied):
                use_case(batch=batch, by=who)
    assert not Batch.objects.visible_to(mallory).exists()
    assert Batch.objects.visible_to(carol).get() == batch


def test_a_draft_is_seen_by_whoever_drafts_it(many, draft, alice, bob):
    batch = draft(many)
    assert Batch.objects.visible_to(alice).get() == batch
    assert not Batch.objects.visible_to(bob).exists()
    draft(many)
    assert Batch.objects.count() == 1  # the one before was not begun: nobody needs it


def test_it_stops_when_the_right_is_withdrawn_meanwhile(many, begun, bob):
    batch = advance(begun(many, by=bob, at_once=1))
    Membership.objects.filter(user=bob).update(role="reader")
    all_become(batch, "READY")
    advance(batch)
    assert batch.state == "stopped" and states(batch) == {"done": 1, "waiting": 11}
    assert AuditEntry.objects.filter(act="batch.denied").count() == 1


def test_staff_behind_somebody_are_written_down_with_each(many, begun, alice, sam):
    alice.acted_by = sam
    advance(begun(many[:2], by=alice))
    assert set(Rescue.objects.values_list("requested_by", "acting_by")) == {(alice.pk, sam.pk)}
    entries = AuditEntry.objects.filter(act__in=["batch.start", "rescue.start"])
    assert {entry.acting_by for entry in entries} == {sam} and entries.count() == 3


def test_a_bulk_action_is_one_teams_and_has_an_end(teams, many, draft, alice, monkeypatch):
    Membership.objects.create(team=teams.other, user=alice, role="owner")
    other = rows.account(teams.other, "other")
    theirs = [rows.instance(other, f"x-{number}") for number in range(2)]
    monkeypatch.setattr(asked, "MOST", 10)
    batch = draft([*many, *theirs])
    assert (batch.team, batch.items.count()) == (teams.acme, 10)
    assert (batch.over_limit, batch.of_other_teams) == (2, 2)


def test_begun_twice_it_is_begun_once(many, draft, begun, alice):
    batch = begun(many)
    again = asked.begin(batch=batch, by=alice, reason="other", images={})
    assert again.reason == "INC-1" and again.round == 1
    assert AuditEntry.objects.filter(act="batch.start").count() == 1


# Exit -------------------------------------------------------------------------------------------


def test_all_of_it_leaves_rescue_again(many, begun, alice):
    batch = advance(begun(many[:3]))
    all_become(batch, "READY")
    advance(batch)
    out = asked.exit_all(batch=batch, by=alice)
    assert out.kind == "exit" and out.items.count() == 3 and out.is_draft
    asked.begin(batch=out, by=alice, at_once=2, stop_after=3)
    advance(out)
    first, second = on_the_way(out)
    assert first.rescue.state == State.EXIT_REQUESTED
    assert AuditEntry.objects.filter(act="rescue.exit", details__batch=str(out.pk)).count() == 2
    becomes(first, "CLOSED")
    Rescue.objects.filter(pk=second.rescue_id).update(state="READY", failure_code="exit_failed")
    advance(out)
    assert states(out) == {"done": 1, "failed": 1, "started": 1}
    assert batch.counts().left == 2 and batch.counts().inside == 1


def test_a_board_stays_in_sight_while_something_of_it_is_in_rescue(many, begun, alice):
    batch = advance(begun(many[:1]))
    all_become(batch, "READY")
    advance(batch)
    assert why(lambda: asked.put_away(batch=batch, by=alice))
    all_done = BatchItem.objects.get()
    becomes(all_done, "CLOSED")
    asked.put_away(batch=batch, by=alice)
    assert not Batch.objects.in_panel_of(alice).exists()


# Mail -------------------------------------------------------------------------------------------


def mails() -> list[str]:
    return sorted(Delivery.objects.filter(channel="mail").values_list("event", flat=True))


def test_one_mail_at_the_end_and_webhooks_hear_of_each(many, begun, teams, alice):
    from teams import webhooks

    webhooks.add(teams.acme, url="https://hooks.example.org", events=[], by=alice)
    batch = advance(begun(many[:4]))
    for item in on_the_way(batch):
        came_from = State(item.rescue.state)
        becomes(item, "READY")
        row = Rescue.objects.get(pk=item.rescue_id)
        news.moved(row, came_from)
    advance(batch)
    assert mails() == ["batch.done"]
    heard = Delivery.objects.filter(channel="webhook").values_list("event", flat=True)
    assert list(heard) == ["rescue.ready"] * 4
    payload = Delivery.objects.get(event="batch.done").payload["data"]
    assert (payload["done"], payload["total"]) == (4, 4)

    # Hours later: one reminder for all of them, and one left by hand is mailed by itself.
    for item in batch.items.all():
        news.tell("rescue.still_open", item.rescue, once=f"{item.pk}:x")
    assert mails() == ["batch.done", "batch.open"]
    one = Rescue.objects.first()
    one.exit_requested_by = alice
    news.tell("rescue.exited", one, once="by hand")
    assert mails() == ["batch.done", "batch.open", "rescue.exited"]


# Two at once, and killed in the middle -----------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_start_each_one_once_and_keep_the_limit(many, begun, bob):
    first, second = begun(many[:7], at_once=3), begun(many[7:], by=bob, at_once=3)
    most: list[int] = []
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _turn in range(6):
                for batch in (first, second):
                    run.advance(batch.pk)
                    most.append(BatchItem.objects.filter(state="started").count())
                    for item in BatchItem.objects.filter(state="started")[:1]:
                        becomes(item, "READY")
        except BaseException as problem:
            problems.append(problem)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not problems
    for batch in (first, second):
        all_become(batch, "READY")
        advance(batch)
        all_become(batch, "READY")
        advance(batch)
    assert max(most) <= 3
    assert Rescue.objects.count() == 12
    assert BatchItem.objects.filter(state="done").count() == 12


def test_a_worker_killed_between_rescue_and_item_starts_nothing_twice(many, begun, monkeypatch):
    batch = begun(many[:3], at_once=3)
    ask, left = use_cases.start, [1]

    def killed(**given: Any) -> Any:
        made = ask(**given)
        if left.pop() if left else False:
            raise KeyboardInterrupt  # the process is gone: its transaction is as well
        return made

    monkeypatch.setattr(run.rescue, "start", killed)
    with pytest.raises(KeyboardInterrupt):
        run.advance(batch.pk)
    assert Rescue.objects.count() == 0 and states(batch) == {"waiting": 3}
    assert batch.pk in run.due()
    advance(batch)
    assert Rescue.objects.count() == 3 and states(batch) == {"started": 3}


def test_a_settled_batch_is_not_due(many, begun):
    batch = advance(begun(many[:1]))
    item = on_the_way(batch)[0]
    assert run.touched_by(item.rescue_id) == [] and run.due() == [batch.pk]
    becomes(item, "READY")
    assert run.touched_by(item.rescue_id) == [batch.pk]
    advance(batch)
    assert run.touched_by(item.rescue_id) == [] and run.due() == []


def test_what_ends_about_now_is_carried_on_once(many, begun, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks, "_send", lambda *message, **more: sent.append((*message, more)))
    batch = advance(begun(many[:3]))
    once = (tasks.advance_batch, str(batch.pk), {"countdown": tasks.GATHERED})
    first, *others = on_the_way(batch)
    for item in others:
        becomes(item, "READY")
        tasks._follow_up(str(item.rescue_id))
    assert [one for one in sent if one[0] is tasks.advance_batch] == [once]

    carry_on = run.advance

    def meanwhile(batch_id: Any) -> Any:
        told = carry_on(batch_id)
        becomes(first, "READY")
        tasks._follow_up(str(first.rescue_id))
        return told

    monkeypatch.setattr(run, "advance", meanwhile)
    sent.clear()
    tasks.advance_batch(str(batch.pk))
    assert once in sent  # what ended too late for this turn has asked for another
    assert states(batch) == {"started": 1, "done": 2}
