"""A rescue as a session: why, until when, in whose care, how it ended."""

import json
import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils import timezone

from instances import report, rescue, sessions, tasks
from instances.lifecycle import State
from instances.models import Rescue
from instances.rescue import NotPossible
from teams.models import AuditEntry, Delivery, Membership
from tests.instances import rows as make
from tests.instances.conftest import drive


@pytest.fixture
def ready(teams: SimpleNamespace, alice: Any) -> Rescue:
    """Give a rescue of alice's that is ready."""
    account = make.account(teams.acme)
    return make.rescue(make.rescued(account), "READY", alice, holder=alice)


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect whom the sweep wakes."""
    woken: list[Any] = []
    monkeypatch.setattr(tasks, "nudge", lambda pk, *_: woken.append(pk))
    return woken


def signed_in(person: Any) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def change(row: Rescue, **columns: Any) -> Rescue:
    Rescue.objects.filter(pk=row.pk).update(**columns)
    row.refresh_from_db()
    return row


def told(event: str) -> list[Delivery]:
    return list(Delivery.objects.filter(event=event))


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


def ago(**how_long: int) -> Any:
    return timezone.now() - timedelta(**how_long)


# Why --------------------------------------------------------------------------------------------


@pytest.fixture
def startable(teams: SimpleNamespace) -> Any:
    account = make.account(teams.acme)
    make.images(account)
    return make.instance(account)


def send(client: Client, instance: Any, **fields: str) -> Any:
    given = {"image": make.RESCUE_IMAGE, "idempotency_key": str(uuid.uuid4())} | fields
    return client.post(f"/instances/{instance.pk}/rescue", given)


def test_a_reason_is_kept_and_written_down(startable: Any, alice: Any, bob: Any) -> None:
    answer = send(signed_in(alice), startable, reason="  ticket\t 4711 ", hours="2")
    assert answer.status_code == 302
    row = Rescue.objects.get()
    assert row.reason == "ticket 4711"
    assert row.holder == alice
    assert abs(row.until - row.created_at - timedelta(hours=2)) < timedelta(seconds=1)
    entry = AuditEntry.objects.get(act="rescue.start")
    assert entry.details["reason"] == "ticket 4711"
    assert "ticket 4711" in signed_in(bob).get("/notifications").content.decode()


def test_a_team_may_require_the_reason(startable: Any, alice: Any, teams: Any) -> None:
    teams.acme.reason_required = True
    teams.acme.save()
    answer = send(signed_in(alice), startable, reason="   ")
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="id_reason_error"' in page
    assert 'aria-describedby="id_reason_error"' in page
    assert not Rescue.objects.exists()
    with pytest.raises(NotPossible) as refusal:
        rescue.start(
            instance=startable, image_ref=make.RESCUE_IMAGE, by=alice, idempotency_key=uuid.uuid4()
        )
    assert refusal.value.field == "reason"
    assert send(signed_in(alice), startable, reason="why").status_code == 302


@pytest.mark.parametrize(
    ("field", "value"), [("reason", "x" * 301), ("hours", "999"), ("hours", "x")]
)
def test_bad_input_is_refused_beside_its_field(
    startable: Any, alice: Any, field: str, value: str
) -> None:
    answer = send(signed_in(alice), startable, **{field: value})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()


# Until when -------------------------------------------------------------------------------------


def test_without_a_choice_the_team_s_limit_holds(startable: Any, alice: Any, teams: Any) -> None:
    teams.acme.rescue_hours = 6
    teams.acme.save()
    assert [hours for hours, _label in sessions.duration_choices(teams.acme)] == [
        "", "1", "2", "4",
    ]  # fmt: skip
    assert send(signed_in(alice), startable, hours="8").status_code == 422
    assert send(signed_in(alice), startable).status_code == 302
    row = Rescue.objects.get()
    assert row.until == row.created_at + timedelta(hours=6)


def test_an_end_can_be_set_within_the_limit(
    ready: Rescue, bob: Any, alice: Any, teams: Any
) -> None:
    teams.acme.rescue_hours = 6
    teams.acme.save()
    client = signed_in(bob)
    assert client.post(f"/rescues/{ready.pk}/extend", {"hours": "4"}).status_code == 302
    ready.refresh_from_db()
    assert timedelta(hours=3, minutes=59) < ready.until - timezone.now() <= timedelta(hours=4)
    beyond = client.post(f"/rescues/{ready.pk}/extend", {"hours": "8"})
    assert beyond.status_code == 422
    assert signed_in(alice).post(f"/rescues/{ready.pk}/extend", {"hours": "8"}).status_code == 302
    assert acts().count("rescue.extend") == 2


def test_time_over_is_told_once_and_the_instance_stays(
    ready: Rescue, alice: Any, nudged: list[Any]
) -> None:
    change(ready, until=ago(minutes=1))
    for _again in range(3):
        tasks.sweep()
    assert [row.recipient for row in told("rescue.time_over")] == [alice]
    assert change(ready).state == State.READY
    assert acts() == ["rescue.time_over"]


def test_the_panel_exits_by_itself_where_the_team_says_so(
    ready: Rescue, teams: Any, nudged: list[Any]
) -> None:
    teams.acme.exits_by_itself = True
    teams.acme.save()
    change(ready, until=ago(minutes=1))
    for _again in range(3):
        tasks.sweep()
    assert change(ready).state == State.EXIT_REQUESTED
    assert ready.pk in nudged
    entry = AuditEntry.objects.get(act="rescue.exit")
    assert (entry.actor, entry.details["reason"]) == (None, "time_over")
    assert not told("rescue.time_over")


def test_the_exit_by_itself_reaches_the_cloud(
    demo: Any, start: Any, teams: Any, django_capture_on_commit_callbacks: Any
) -> None:
    teams.acme.exits_by_itself = True
    teams.acme.save()
    row = drive(start())
    assert row.state == State.READY
    change(row, until=ago(seconds=1))
    assert sessions.mind() == [row.pk]
    row = drive(row)
    assert row.state == State.CLOSED
    assert demo.calls(row.instance.server_id, "unrescue") == [202]
    (exited,) = told("rescue.exited")
    assert exited.payload["data"]["ended_by"] == ""


def test_an_exit_that_cannot_be_is_told_and_tried_again_later(
    ready: Rescue, teams: Any, nudged: list[Any]
) -> None:
    teams.acme.exits_by_itself = True
    teams.acme.save()
    ready.instance.locked = True
    ready.instance.save()
    change(ready, until=ago(minutes=1))
    tasks.sweep()
    tasks.sweep()
    assert change(ready).state == State.READY
    assert len(told("rescue.time_over")) == 1
    ready.instance.locked = False
    ready.instance.save()
    tasks.sweep()
    assert change(ready).state == State.EXIT_REQUESTED


def test_an_exit_that_failed_is_not_asked_for_with_every_sweep(ready: Rescue, teams: Any) -> None:
    teams.acme.exits_by_itself = True
    teams.acme.save()
    change(ready, until=ago(minutes=1), exit_requested_at=ago(minutes=2))
    assert sessions.mind() == []
    change(ready, exit_requested_at=ago(minutes=11))
    assert sessions.mind() == [ready.pk]


def test_reminders_come_at_the_team_s_pace(ready: Rescue, nudged: list[Any]) -> None:
    change(ready, ready_at=ago(hours=3))
    tasks.sweep()
    assert not told("rescue.still_open")
    change(ready, ready_at=ago(hours=4))
    tasks.sweep()
    tasks.sweep()
    assert len(told("rescue.still_open")) == 1
    change(ready, reminded_at=ago(hours=4))
    tasks.sweep()
    assert len(told("rescue.still_open")) == 2


def test_two_sweepers_remind_once(ready: Rescue) -> None:
    change(ready, ready_at=ago(hours=5))
    first, second = (Rescue.objects.get(pk=ready.pk) for _ in range(2))
    now = timezone.now()
    sessions._remind(first, "rescue.still_open", now)
    sessions._remind(second, "rescue.still_open", now + timedelta(seconds=1))
    assert len(told("rescue.still_open")) == 1


def test_reminding_leaves_the_driver_s_lease_alone(ready: Rescue) -> None:
    held = timezone.now() + timedelta(seconds=20)
    change(ready, ready_at=ago(hours=5), lease_until=held)
    version = ready.version
    sessions.mind()
    change(ready)
    assert (ready.lease_until, ready.version) == (held, version)
    assert ready.reminded_at


# In whose care ----------------------------------------------------------------------------------


def test_a_rescue_is_handed_over_and_both_are_told(ready: Rescue, alice: Any, bob: Any) -> None:
    answer = signed_in(alice).post(f"/rescues/{ready.pk}/hand-over", {"to": bob.pk})
    assert answer.status_code == 302
    assert change(ready).holder == bob
    assert {row.recipient for row in told("rescue.handed_over")} == {alice, bob}
    entry = AuditEntry.objects.get(act="rescue.hand_over")
    assert (entry.actor, entry.details["to"]) == (alice, "Bob")


def test_the_holder_may_read_what_the_requester_may(ready: Rescue, alice: Any, bob: Any) -> None:
    team = ready.instance.team
    team.password_readers = "requester"
    team.save()
    assert not Rescue.objects.get(pk=ready.pk).shows_password_to(bob)
    sessions.hand_over(of=ready, to=bob, by=alice)
    assert Rescue.objects.get(pk=ready.pk).shows_password_to(bob)


def test_nobody_takes_a_colleague_s_rescue(ready: Rescue, bob: Any, alice: Any) -> None:
    with pytest.raises(PermissionDenied):
        sessions.hand_over(of=ready, to=bob, by=bob)
    answer = signed_in(bob).post(f"/rescues/{ready.pk}/hand-over", {"to": bob.pk})
    assert answer.status_code == 403
    assert change(ready).holder == alice


def test_only_colleagues_who_may_act_are_offered(
    ready: Rescue, alice: Any, bob: Any, carol: Any, mallory: Any
) -> None:
    assert sessions.colleagues(ready) == [bob]
    for stranger in (carol, mallory):
        answer = signed_in(alice).post(f"/rescues/{ready.pk}/hand-over", {"to": stranger.pk})
        assert answer.status_code == 422
        assert 'id="id_to_error"' in answer.content.decode()
    assert change(ready).holder == alice


def test_of_two_hand_overs_at_once_one_counts(ready: Rescue, alice: Any, bob: Any) -> None:
    stale = Rescue.objects.get(pk=ready.pk)
    sessions.hand_over(of=ready, to=bob, by=alice)
    change(ready, holder=bob)
    with pytest.raises(NotPossible):
        sessions.hand_over(of=stale, to=bob, by=alice)
    assert len(told("rescue.handed_over")) == 2  # bob and alice, of the first


# How it ended -----------------------------------------------------------------------------------


@pytest.fixture
def ended(ready: Rescue) -> Rescue:
    return change(ready, state="CLOSED", ended_at=timezone.now())


def test_the_holder_writes_the_closing_note(ended: Rescue, alice: Any, bob: Any) -> None:
    change(ended, holder=bob)
    text = "Key put back.\r\nDisk was <b>full</b>."
    answer = signed_in(bob).post(f"/rescues/{ended.pk}/note", {"closing_note": text})
    assert answer.status_code == 302
    page = signed_in(alice).get(f"/rescues/{ended.pk}").content.decode()
    assert "Key put back.\nDisk was &lt;b&gt;full&lt;/b&gt;." in page
    entry = AuditEntry.objects.get(act="rescue.note")
    assert entry.details["characters"] == 35
    assert "Disk" not in json.dumps(entry.details)


def test_others_do_not_write_it_nor_after_a_month(ended: Rescue, alice: Any, bob: Any) -> None:
    note = f"/rescues/{ended.pk}/note"
    assert signed_in(bob).post(note, {"closing_note": "mine"}).status_code == 403
    change(ended, ended_at=ago(days=31))
    assert signed_in(alice).post(note, {"closing_note": "late"}).status_code == 403
    assert change(ended).closing_note == ""


def test_while_it_lasts_there_is_no_note(ready: Rescue, alice: Any) -> None:
    answer = signed_in(alice).post(f"/rescues/{ready.pk}/note", {"closing_note": "soon"})
    assert answer.status_code == 409


def test_a_note_has_an_end(ended: Rescue, alice: Any) -> None:
    answer = signed_in(alice).post(f"/rescues/{ended.pk}/note", {"closing_note": "x" * 5001})
    assert answer.status_code == 422
    assert 'id="id_closing_note_error"' in answer.content.decode()


# The page and the report ------------------------------------------------------------------------


def test_the_page_tells_who_read_the_password_to_owners_only(
    ready: Rescue, alice: Any, bob: Any, carol: Any, mallory: Any
) -> None:
    rescue.reveal_password(rescue=ready, by=alice)
    page = f"/rescues/{ready.pk}"
    assert "Temporary password shown" in signed_in(alice).get(page).content.decode()
    for name in (bob, carol):
        shown = signed_in(name).get(page)
        assert shown.status_code == 200
        assert "Temporary password shown" not in shown.content.decode()
    assert signed_in(mallory).get(page).status_code == 404


def test_the_page_holds_no_password(ready: Rescue, alice: Any) -> None:
    for path in ("", "/report"):
        answer = signed_in(alice).get(f"/rescues/{ready.pk}{path}")
        assert make.PASSWORD not in answer.content.decode()


def test_the_report_is_a_file_and_people_s_words_stay_words(ended: Rescue, alice: Any) -> None:
    change(ended, reason="[click](http://evil) *now*", closing_note="# not a title\nfine")
    answer = signed_in(alice).get(f"/rescues/{ended.pk}/report")
    text = answer.content.decode()
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="rescue-{ended.pk}.md"'
    assert "\\[click\\](http://evil) \\*now\\*" in text
    assert "> \\# not a title\n> fine" in text
    assert text.startswith("# Rescue of web-2")


def test_a_staff_member_who_acted_is_named(ready: Rescue, alice: Any, sam: Any) -> None:
    alice.acted_by = sam
    sessions.extend(of=ready, hours=2, by=alice)
    alice.acted_by = None
    (moment,) = [m for m in report.timeline(ready, alice) if m.text.startswith("New end")]
    assert (moment.who, moment.staff) == ("Alice", "Sam")


def test_past_rescues_are_listed_page_by_page(
    teams: Any, ended: Rescue, alice: Any, carol: Any, mallory: Any
) -> None:
    for number in range(26):
        make.rescue(ended.instance, "REFUSED", alice, reason=f"no {number}", ended_at=ago(days=1))
    first = signed_in(carol).get(f"/teams/{teams.acme.pk}/rescues").content.decode()
    assert first.count('href="/rescues/') == 25 + first.count('id="session-')
    assert "?page=2" in first
    second = signed_in(carol).get(f"/teams/{teams.acme.pk}/rescues?page=2").content.decode()
    assert "?page=1" in second
    assert signed_in(mallory).get(f"/teams/{teams.acme.pk}/rescues").status_code == 404


# What is told outside ---------------------------------------------------------------------------


def test_ready_and_exited_are_told_with_the_move(
    demo: Any, start: Any, alice: Any, bob: Any
) -> None:
    Membership.objects.filter(user=bob).update(mail_about="all")
    row = drive(start(reason="ticket 1"))
    ready = told("rescue.ready")
    assert {message.recipient for message in ready} == {alice, bob}
    facts = ready[0].payload["data"]
    assert facts["rescue"] == str(row.pk)
    assert facts["instance"]["server_id"] == row.instance.server_id
    assert facts["url"].endswith(f"/rescues/{row.pk}")
    assert (facts["reason"], facts["asked_by"], facts["state"]) == ("ticket 1", "Alice", "ready")
    rescue.request_exit(instance=row.instance, by=bob)
    drive(row)
    assert {m.payload["data"]["ended_by"] for m in told("rescue.exited")} == {"Bob"}


def test_no_message_holds_the_password_or_an_address(demo: Any, start: Any) -> None:
    row = drive(start())
    password = row.password()
    rescue.request_exit(instance=row.instance, by=row.requested_by)
    drive(row)
    sent = json.dumps([message.payload for message in Delivery.objects.all()])
    assert told("rescue.ready")
    assert password not in sent
    for address in row.instance.addresses:
        assert address["address"] not in sent


def test_a_failed_rescue_is_told(demo: Any, start: Any) -> None:
    demo.fault("web-1", driver_error=1)
    row = drive(start(), steps=30)
    assert row.is_failed
    assert [m.payload["data"]["state"] for m in told("rescue.failed")] == [row.state.lower()]
    demo.calm()
