"""Work asked by people and done by workers: one at a time, told in the row, never twice."""

from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied

from instances import ssh
from instances.models import Job, Machine, Rescue
from instances.models.clock import now
from instances.models.machine import Reach
from instances.recovery import access, jobs, words
from instances.recovery.kinds import KINDS
from instances.recovery.work import CannotDo, Kind, Outcome, line
from instances.rescue import NotPossible
from teams.models import AuditEntry
from tests.instances import rows


class Errand(Kind):
    """Work that does what a test tells it to."""

    key = "errand"
    wanted = staticmethod(lambda _work: Outcome(kept={"changed": []}))

    def plan(self, work):
        return self.wanted(work)

    apply = undo = plan


@pytest.fixture
def errand(monkeypatch):
    """Give a kind of work that does what a test tells it to."""
    kind = Errand()
    monkeypatch.setitem(KINDS, "errand", kind)
    return kind


@pytest.fixture
def inside(rescue, monkeypatch):
    """Give a rescue whose machine was proven; going in opens no connection."""

    @contextmanager
    def entered(_row):
        yield SimpleNamespace()

    access.attend(rescue.pk)
    Machine.objects.update(reach=Reach.IN, next_at=None)
    monkeypatch.setattr(access, "entered", entered)
    return Rescue.objects.get(pk=rescue.pk)


@pytest.fixture
def ask(inside, alice, errand):
    def asked(kind="errand", **given):
        return jobs.ask(rescue=inside, kind=kind, by=alice, **given)

    return asked


def done(job):
    jobs.run(job.pk)
    return Job.objects.get(pk=job.pk)


def does(errand, act):
    errand.wanted = act


# Asking -------------------------------------------------------------------------------------------


def test_what_asks_first_is_looked_at_and_what_does_not_is_done(ask):
    assert ask().stage == Job.Stage.LOOK
    Job.objects.all().delete()
    assert ask("look").stage == Job.Stage.APPLY
    assert rows.acts() == ["machine.errand", "machine.look"]


def test_one_job_at_a_time(ask, alice):
    job = ask()
    with pytest.raises(NotPossible):
        ask()
    assert done(job).state == Job.State.PLANNED
    other = ask()
    assert Job.objects.get(pk=job.pk).state == Job.State.DROPPED
    with pytest.raises(NotPossible):  # it was dropped meanwhile
        jobs.confirm(job=job, by=alice)
    assert done(other).state == Job.State.PLANNED


def test_a_yes_waits_for_its_turn(ask, alice):
    first = done(ask())
    jobs.confirm(job=first, by=alice)
    finished = done(first)
    assert finished.state == Job.State.DONE
    ask()
    with pytest.raises(NotPossible):
        jobs.undo(job=finished, by=alice)
    assert Job.objects.get(pk=finished.pk).state == Job.State.DONE


def test_nobody_works_on_a_machine_the_panel_is_not_in(inside, ask, alice):
    Machine.objects.update(reach=Reach.CLOSED)
    with pytest.raises(NotPossible):
        ask()
    Machine.objects.update(reach=Reach.IN)
    job = done(ask())
    Rescue.objects.update(state="CLOSED")
    job.rescue.refresh_from_db()
    with pytest.raises(NotPossible):
        jobs.confirm(job=job, by=alice)
    Machine.objects.all().delete()
    inside.refresh_from_db()
    with pytest.raises(NotPossible):
        ask()


def test_who_may_not_is_refused_at_every_step(ask, inside, carol, mallory):
    job = done(ask())
    for who in (carol, mallory):
        with pytest.raises(PermissionDenied):
            jobs.ask(rescue=inside, kind="look", by=who)
        for use_case in (jobs.confirm, jobs.undo, jobs.drop):
            with pytest.raises(PermissionDenied):
                use_case(job=job, by=who)
    assert Job.objects.get().state == Job.State.PLANNED


def test_a_no_is_kept_once(ask, alice):
    job = done(ask(private={"a": 1}))
    jobs.drop(job=job, by=alice)
    assert (job.state, job.sealed) == (Job.State.DROPPED, "")
    jobs.drop(job=job, by=alice)
    with pytest.raises(NotPossible):
        jobs.undo(job=job, by=alice)


def test_the_trail_names_what_was_asked_and_nothing_secret(ask):
    ask(params={"user": "admin", "device": "", "public_key": "k"}, private={"password": "s3cret"})
    (entry,) = AuditEntry.objects.all()
    assert entry.details == entry.details | {"user": "admin", "stage": "look"}
    assert "device" not in entry.details and "s3cret" not in str(entry.details)
    job = Job.objects.get()
    assert "s3cret" not in job.sealed
    assert job.unsealed() == {"password": "s3cret"}
    assert str(job) == "errand look queued"


# Working ------------------------------------------------------------------------------------------


def test_from_the_look_to_taking_it_back(ask, alice, errand):
    told = []

    def plan(work):
        told.append((work.params, work.private, work.kept))
        step = len(told)
        return Outcome([line("looked", disks=step)], private={"seen": step}, kept={"was": step})

    does(errand, plan)
    job = done(ask(params={"a": 1}, private={"b": 2}))
    assert (job.state, job.plan) == (Job.State.PLANNED, {"lines": [["looked", {"disks": 1}]]})
    assert job.unsealed() == {"b": 2, "seen": 1}
    jobs.confirm(job=job, by=alice)
    job = done(job)
    assert (job.state, job.sealed) == (Job.State.DONE, "")
    assert job.result == {"lines": [["looked", {"disks": 2}]], "kept": {"was": 2}}
    assert job.may_undo and job.ended_at and job.lease_until is None
    jobs.undo(job=job, by=alice)
    job = done(job)
    assert (job.state, job.result["undone"]) == (Job.State.UNDONE, [["looked", {"disks": 3}]])
    assert not job.may_undo
    assert told == [
        ({"a": 1}, {"b": 2}, {}), ({"a": 1}, {"b": 2, "seen": 1}, {}), ({"a": 1}, {}, {"was": 2}),
    ]  # fmt: skip
    assert rows.acts() == ["machine.errand"] * 3


def test_a_doubled_message_does_it_once(ask, errand):
    ran = []
    does(errand, lambda _work: ran.append(1) or Outcome())
    job = ask()
    jobs.run(job.pk)
    jobs.run(job.pk)
    assert ran == [1]


def test_of_two_workers_one_does_it(ask, errand, monkeypatch):
    job = ask()
    move = Job.move

    def first(row, to, **changes):
        Job.objects.update(state=Job.State.RUNNING, version=7)
        return move(row, to, **changes)

    monkeypatch.setattr(Job, "move", first)
    does(errand, lambda _work: pytest.fail("done twice"))
    jobs.run(job.pk)
    assert Job.objects.get().version == 7


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (CannotDo("nothing_to_change"), "nothing_to_change"),
        (ssh.NoSpace(), "ssh_no_space"),
        (ssh.HostKeyChanged("SHA256:x"), "ssh_host_key_changed"),
        (ValueError("what was read"), "defect"),
    ],
)
def test_what_did_not_work_says_why(ask, errand, caplog, error, problem):
    def fail(_work):
        raise error

    does(errand, fail)
    job = done(ask(private={"a": 1}))
    assert (job.state, job.problem, job.sealed) == (Job.State.FAILED, problem, "")
    assert words.problem(job) != str(words.UNREACHED)
    assert rows.acts() == ["machine.errand", "machine.failed"]
    assert "what was read" not in caplog.text
    assert not job.may_undo


def test_a_machine_started_again_can_be_tried_again(ask, inside, alice, errand):
    """Its new host key would else be refused for ever behind the words "logged in"."""

    def fail(_work):
        raise ssh.HostKeyChanged("SHA256:x")

    does(errand, fail)
    done(ask())
    assert Machine.objects.get().reach == Reach.KEY_CHANGED
    access.try_again(rescue=inside, by=alice)
    assert Machine.objects.get().may_pass


def test_a_password_that_cannot_be_opened(rescue, alice, errand):
    access.attend(rescue.pk)
    Machine.objects.update(reach=Reach.IN, next_at=None)
    Rescue.objects.update(sealed_password="of another row")
    job = done(jobs.ask(rescue=rescue, kind="errand", by=alice))
    assert (job.state, job.problem) == (Job.State.FAILED, "key_gone")


def test_a_rescue_that_ended_meanwhile(ask):
    job = ask()
    Rescue.objects.update(state="CLOSED")
    assert done(job).problem == "over"


# By the clock -------------------------------------------------------------------------------------


def test_what_no_worker_took_is_asked_for_again_then_given_up(ask):
    job = ask()
    assert jobs.waiting() == []  # its message is still on the way
    Job.objects.update(asked_at=now() - timedelta(seconds=3))
    assert jobs.waiting() == [job.pk]
    Job.objects.update(asked_at=now() - timedelta(minutes=3))
    assert jobs.waiting() == []
    found = Job.objects.get()
    assert (found.state, found.problem) == (Job.State.FAILED, "no_worker")


def test_what_a_dead_worker_left_is_not_done_again(ask):
    job = ask()
    Job.objects.update(state=Job.State.RUNNING, lease_until=now() + timedelta(seconds=5))
    assert jobs.waiting() == []
    assert Job.objects.get().under_way
    Job.objects.update(lease_until=now() - timedelta(seconds=1))
    assert jobs.waiting() == []
    found = Job.objects.get()
    assert (found.state, found.problem) == (Job.State.FAILED, "interrupted")
    assert done(job).problem == "interrupted"


def test_a_worker_that_was_given_up_writes_nothing(ask, errand):
    def slow(_work):
        Job.objects.update(lease_until=now() - timedelta(seconds=1))
        jobs.waiting()
        return Outcome([line("proven")])

    does(errand, slow)
    found = done(ask())
    assert (found.state, found.problem) == (Job.State.FAILED, "interrupted")
    assert rows.acts() == ["machine.errand", "machine.failed"]
