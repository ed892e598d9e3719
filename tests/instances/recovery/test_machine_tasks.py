"""The messages of the machine's workers: nudges, each safe to lose and to come twice."""

import uuid
from datetime import timedelta

import pytest
from django.core.cache.backends.locmem import LocMemCache

from instances import tasks
from instances.models import Job, Machine, Rescue
from instances.models.clock import now
from instances.models.machine import Reach
from instances.recovery import access, jobs


@pytest.fixture
def sent(monkeypatch):
    """Collect what would go to the workers."""
    messages = []

    def collect(task):
        def apply_async(args, countdown=None, **_options):
            messages.append((task.name.rpartition(".")[2], args[0], countdown))

        monkeypatch.setattr(task, "apply_async", apply_async)

    for task in (tasks.drive, tasks.probe, tasks.read_console, tasks.work, tasks.sync):
        collect(task)
    return messages


def probed(monkeypatch, **facts):
    row = Machine.objects.get()
    for name, value in facts.items():
        setattr(row, name, value)
    monkeypatch.setattr(access, "probe", lambda _pk: row)


def test_a_rescue_that_became_ready_has_its_machine_tried(rescue, sent, monkeypatch):
    monkeypatch.setattr("instances.driver.step", lambda _pk: None)
    Rescue.objects.update(next_at=now())  # somebody thinks that it is due
    pk = str(rescue.pk)
    tasks.drive(pk)
    tasks.drive(pk)
    assert sent == [("read_console", pk, None)]
    assert Machine.objects.get().reach == Reach.UNTRIED


def test_the_console_is_read_before_the_door_is_tried(rescue, sent, monkeypatch):
    read = []
    monkeypatch.setattr(access, "read_console", read.append)
    tasks.read_console(str(rescue.pk))
    assert read == [rescue.pk]
    assert sent == [("probe", str(rescue.pk), None)]


def test_the_next_try_is_asked_for_when_it_is_near(rescue, sent, monkeypatch):
    access.attend(rescue.pk)
    pk = str(rescue.pk)
    probed(monkeypatch, reach=Reach.CLOSED, next_at=now() + timedelta(seconds=1))
    tasks.probe(pk)
    ((name, about, countdown),) = sent
    assert (name, about) == ("probe", pk)
    assert 0 < countdown <= 1
    sent.clear()
    probed(monkeypatch, reach=Reach.SILENT, next_at=now() + timedelta(seconds=20))
    tasks.probe(pk)
    assert sent == []  # the sweeper's
    probed(monkeypatch, reach=Reach.IN, next_at=None)
    tasks.probe(pk)
    assert sent == []
    probed(monkeypatch, reach=Reach.NEW_KEY, next_at=now() + timedelta(seconds=4))
    tasks.probe(pk)
    assert [name for name, _pk, _countdown in sent] == ["read_console"]


def test_a_message_for_nothing_does_nothing(rescue, sent):
    nobody = str(uuid.uuid4())
    tasks.probe(nobody)
    tasks.work(nobody)
    assert sent == []
    tasks.read_console(nobody)
    assert sent == [("probe", nobody, None)]


def test_a_job_is_done_by_its_message(rescue, alice, sent, monkeypatch):
    ran = []
    monkeypatch.setattr(jobs, "run", ran.append)
    access.attend(rescue.pk)
    Machine.objects.update(reach=Reach.IN)
    job = jobs.ask(rescue=rescue, kind="look", by=alice)
    tasks.nudge_job(job)
    assert sent == [("work", str(job.pk), None)]
    tasks.work(str(job.pk))
    assert ran == [job.pk]


def test_the_sweeper_finds_what_no_message_came_for(rescue, alice, sent):
    pk = str(rescue.pk)
    tasks.sweep()
    assert ("read_console", pk, None) in sent
    assert ("probe", pk, 0) in sent or ("probe", pk, None) in sent
    sent.clear()
    Machine.objects.update(reach=Reach.IN, next_at=None)
    job = jobs.ask(rescue=rescue, kind="look", by=alice)
    Job.objects.update(asked_at=now() - timedelta(seconds=5))
    tasks.sweep()
    assert [one for one in sent if one[0] != "drive"] == [("work", str(job.pk), None)]
    sent.clear()
    Rescue.objects.update(state="CLOSED")
    Machine.objects.update(reach=Reach.CLOSED, next_at=now())
    Job.objects.all().delete()
    tasks.sweep()
    assert [one for one in sent if one[0] != "drive"] == []


def test_what_no_worker_takes_is_not_asked_for_again_and_again(rescue, sent, monkeypatch):
    """Else its queue would grow for as long as the workers of the machines are down."""
    monkeypatch.setattr(tasks, "cache", LocMemCache("machines", {}))
    tasks.cache.clear()
    access.attend(rescue.pk)
    probe = ("probe", str(rescue.pk), None)
    for _time in range(3):
        tasks.sweep()
    assert [one for one in sent if one[0] == "probe"] == [probe]
    probed(monkeypatch, reach=Reach.SILENT, next_at=now() + timedelta(seconds=20))
    tasks.probe(str(rescue.pk))
    tasks.sweep()
    assert [one for one in sent if one[0] == "probe"] == [probe, probe]


def test_what_talks_to_machines_has_workers_of_its_own():
    assert {tasks.probe.queue, tasks.work.queue} == {"machines"}
    # It needs the cloud's credential, which those workers have no business with.
    assert getattr(tasks.read_console, "queue", None) is None
