"""Celery's side of the house: load, one step, done. A message is a nudge, the row the truth."""

import logging
import uuid
from typing import Any

from celery import shared_task
from django.core.cache import cache
from kombu.exceptions import OperationalError

from instances import consoles, driver, history, inventory, metadata_hash, sessions
from instances.bulk import run
from instances.models import Batch, ConsoleReading, Job, Rescue
from instances.models.clock import now as clock_now
from instances.models.machine import Reach
from instances.models.rescue import EARLY
from instances.recovery import access, aftermath, jobs, terminals

logger = logging.getLogger(__name__)

MACHINES = "machines"  # the queue of workers that talk to rescued machines
#: What somebody clicked and what a listing woke comes first (0, the usual), then what a bulk action
#: begins and the sweeper finds, and last what may wait while rescues are on their way.
BEHIND, LATER = 3, 9
NUDGE_LIVES = 60  # seconds; who takes it later is too late
MARKED_FOR = 30  # seconds; a worker that dies with a nudge in its hands leaves the mark behind
QUEUED = "queued:{}:{}"  # of a task and a rescue: a nudge that the sweeper sent waits
CONSOLE_IN_CROWD = 30.0  # seconds
GATHERED = 0.5  # seconds
CHAIN_UP_TO = 5.0  # seconds; longer waits are left to the sweeper


def nudge(rescue: Rescue | uuid.UUID | str, priority: int = 0) -> None:
    """Ask a worker to drive a rescue now. A broker that is away only costs time."""
    pk = rescue.pk if isinstance(rescue, Rescue) else rescue
    _send(drive, str(pk), priority=priority)


def _nudge_behind(rescue_ids: list[uuid.UUID]) -> None:
    """Nudge those that no nudge waits for yet: in a crowd's queue it may wait for a minute."""
    for pk in _unqueued("drive", rescue_ids):
        nudge(pk, BEHIND)


def _unqueued(task: str, rescue_ids: list[uuid.UUID]) -> list[uuid.UUID]:
    """Return those that no nudge waits for, and mark that one does; a lost mark costs a turn."""
    marks = {QUEUED.format(task, pk): pk for pk in rescue_ids}
    there = cache.get_many(marks)
    fresh = {mark: pk for mark, pk in marks.items() if mark not in there}
    cache.set_many(dict.fromkeys(fresh, 1), timeout=MARKED_FOR)
    return list(fresh.values())


def _send(task: Any, argument: Any, countdown: float = 0, **options: Any) -> None:
    try:
        task.apply_async((argument,), countdown=countdown or None, expires=NUDGE_LIVES, **options)
    except OperationalError:
        logger.warning("no nudge for %s: the broker is away; the sweeper will find it", argument)


@shared_task
def drive(rescue_id: str) -> None:
    """Make a rescue's next move, and ask for the one after it."""
    pk = uuid.UUID(rescue_id)
    cache.delete(QUEUED.format("drive", pk))
    account_id = _account_if_due(pk)
    if account_id is None:  # a nudge too many; who made the last move saw to what follows it
        return
    # A crowd's listing must not wait in the queue behind the crowd: who needs it first makes it.
    if inventory.is_overdue(account_id):
        sync(account_id)
    wait = driver.step(pk)
    if not Rescue.objects.is_moving(pk):
        _follow_up(rescue_id)
    if wait is not None and wait <= CHAIN_UP_TO:
        _send(drive, rescue_id, countdown=wait)


def _account_if_due(pk: uuid.UUID) -> int | None:
    """Return a rescue's account, or None when there is no move of it to make now."""
    due = Rescue.objects.due(clock_now() + EARLY).filter(pk=pk)
    return due.values_list("instance__account_id", flat=True).first()


def _follow_up(rescue_id: str) -> None:
    """Begin what comes after a rescue that is no longer on its way."""
    for batch_id in run.touched_by(uuid.UUID(rescue_id)):
        _gather(str(batch_id))
    if access.attend(uuid.UUID(rescue_id)):
        _send(read_console, rescue_id)
    if aftermath.begin(uuid.UUID(rescue_id)):
        _send(watch_boot, rescue_id)


@shared_task
def sweep() -> None:
    """Drive every rescue whose time has come; remind of others; destroy passwords too old."""
    for ended in sessions.mind():
        nudge(ended)
    _nudge_behind(driver.due())
    for instance_id in metadata_hash.due():
        _send(remove_hash, instance_id)
    for batch_id in run.due():
        _send(advance_batch, str(batch_id))
    driver.destroy_old_passwords()
    _sweep_machines()


def _sweep_machines() -> None:
    """Ask again for what machines are to be asked."""
    terminals.end_lost()
    for rescue_id in access.unattended():
        if access.attend(rescue_id):
            _send(read_console, str(rescue_id))
    for rescue_id in _unqueued("probe", access.due()):
        nudge_machine(rescue_id)
    for rescue_id in aftermath.unwatched():
        aftermath.begin(rescue_id)
    for rescue_id in aftermath.due():
        _send(watch_boot, str(rescue_id))
    for job_id in jobs.waiting():
        _send(work, str(job_id))


def nudge_batch(batch: Batch) -> None:
    """Ask a worker to carry a bulk action on now."""
    _send(advance_batch, str(batch.pk))


def _gather(batch_id: str) -> None:
    """Ask for a bulk action to be carried on, once for all of it that ends about now.

    A mark that is lost costs one turn too many; a turn that is lost is the sweeper's.
    """
    if cache.add(f"gathered:{batch_id}", 1, timeout=5):
        _send(advance_batch, batch_id, countdown=GATHERED)


@shared_task
def advance_batch(batch_id: str) -> None:
    """Carry a bulk action on: drive what it starts, and come again for the rest."""
    cache.delete(f"gathered:{batch_id}")  # what ends from now on asks again
    begun, more = run.advance(uuid.UUID(batch_id))
    _nudge_behind(begun)
    if more:
        _send(advance_batch, batch_id)


@shared_task
def remove_hash(instance_id: int) -> None:
    """Take a password's hash out of a server's metadata."""
    metadata_hash.remove(instance_id)


@shared_task
def sync_due() -> None:
    """Synchronise the accounts whose time has come."""
    for account_id in inventory.due_accounts():
        _send(sync, account_id)
    for account_id in inventory.due_for_all():
        _send(read_all, account_id)


def nudge_sync(account_id: int) -> None:
    """Ask a worker to follow an account that is due."""
    _send(sync, account_id)


def nudge_history(instance_id: int) -> None:
    """Ask a worker to read what the cloud says was done to a server."""
    _send(read_history, instance_id)


@shared_task
def read_history(instance_id: int) -> None:
    """Read what the cloud says was done to a server."""
    history.read(instance_id)


def nudge_reading(reading: ConsoleReading) -> None:
    """Ask a worker to read a console for who wants to know what ails the machine."""
    _send(diagnose, reading.pk)


@shared_task
def diagnose(reading_id: int) -> None:
    """Read a console and keep what it tells of the machine's faults."""
    consoles.read(reading_id)


# The rescued machine: tried and worked on by workers of their own, so that a machine that hangs
# keeps no rescue waiting. What needs the cloud's credential stays with the others.


def nudge_machine(rescue_id: uuid.UUID, countdown: float = 0) -> None:
    """Ask a worker to try a rescue's machine."""
    _send(probe, str(rescue_id), countdown)


def nudge_job(job: Job) -> None:
    """Ask a worker to do a job."""
    _send(work, str(job.pk))


@shared_task(priority=LATER)
def read_console(rescue_id: str) -> None:
    """Read what vouches for a machine's host key, then have it tried."""
    if access.others_come_first(uuid.UUID(rescue_id)):
        _send(read_console, rescue_id, countdown=CONSOLE_IN_CROWD)
        return
    access.read_console(uuid.UUID(rescue_id))
    nudge_machine(uuid.UUID(rescue_id))


@shared_task(queue=MACHINES)
def probe(rescue_id: str) -> None:
    """Try a machine, and ask for the next try."""
    cache.delete(QUEUED.format("probe", rescue_id))
    row = access.probe(uuid.UUID(rescue_id))
    if row is None or row.next_at is None:
        return
    wait = (row.next_at - clock_now()).total_seconds()
    if row.reach in (Reach.NEW_KEY, Reach.NO_PASSWORD):  # the console may yet tell
        _send(read_console, rescue_id, countdown=wait)
    elif wait <= CHAIN_UP_TO:
        nudge_machine(row.pk, countdown=wait)


@shared_task(priority=LATER)
def watch_boot(rescue_id: str) -> None:
    """Look whether a machine starts again after its rescue, and have its port tried."""
    wait = aftermath.look(uuid.UUID(rescue_id))
    if wait is None:
        return
    _send(knock, rescue_id)
    if wait <= CHAIN_UP_TO:
        _send(watch_boot, rescue_id, countdown=wait)


@shared_task(queue=MACHINES)
def knock(rescue_id: str) -> None:
    """Try the SSH port of a machine that left rescue mode."""
    aftermath.knock(uuid.UUID(rescue_id))


@shared_task(queue=MACHINES, soft_time_limit=1200, time_limit=1230)
def work(job_id: str) -> None:
    """Do a piece of work on a machine."""
    jobs.run(uuid.UUID(job_id))


# A listing may take a large project's cloud minutes. It is asked for again anyway, so it need
# not be delivered twice; the mirror's leases, renewed with each page, keep others out.
@shared_task(acks_late=False, soft_time_limit=900, time_limit=930)
def sync(account_id: int) -> None:
    """Ask an account what changed, drive what that woke, and ask for the next time."""
    followed = inventory.follow(account_id)
    for rescue_id in followed.woken:
        nudge(rescue_id)
    if followed.wait is not None and followed.wait <= CHAIN_UP_TO:
        _send(sync, account_id, countdown=followed.wait)


@shared_task(acks_late=False, soft_time_limit=3600, time_limit=3630)
def read_all(account_id: int) -> None:
    """Read an account whole and drive what that woke."""
    for rescue_id in inventory.read_all(account_id) or ():
        nudge(rescue_id)
