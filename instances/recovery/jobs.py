"""Run work on a rescued machine: asked by a person, done by a worker, told in the row.

One job at a time on a machine. What a dead worker left is called interrupted, never done twice:
half of a change may have happened, and a person should look.
"""

import logging
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from instances import driver, ssh
from instances.lifecycle import IN_RESCUE
from instances.models import Job, Rescue
from instances.models.clock import now as clock_now
from instances.recovery import access, survey
from instances.recovery.kinds import KINDS
from instances.recovery.work import CannotDo, Outcome, Work
from instances.rescue import NotPossible
from teams.secrets import CannotOpen

if TYPE_CHECKING:
    from teams.models import User

logger = logging.getLogger(__name__)

SPARE = timedelta(seconds=30)
BEAT = timedelta(seconds=120)
WAITS_AT_MOST = timedelta(minutes=2)
SECRETS_LIVE = timedelta(hours=24)
#: the parameters that the audit trail names
TOLD_OF = ("device", "user", "path", "line", "whole")
STAMP = "%Y%m%dT%H%M%SZ"


# What people ask ----------------------------------------------------------------------------------


def ask(
    *,
    rescue: Rescue,
    kind: str,
    by: "User",
    params: dict[str, Any] | None = None,
    private: dict[str, Any] | None = None,
) -> Job:
    """Ask for work on a machine: first a look where the kind has one, else the work itself.

    Raise ``PermissionDenied`` or ``NotPossible``.
    """
    access.must_use(rescue, by)
    access.must_be_in(rescue)
    now = clock_now()
    stage = Job.Stage.LOOK if KINDS[kind].asks_first else Job.Stage.APPLY
    job = Job(
        rescue=rescue, kind=kind, stage=stage, params=params or {},
        requested_by=by, acting_by=by.acted_by, created_at=now, asked_at=now,
    )  # fmt: skip
    job.sealed = job.seal(private or {})
    try:
        with transaction.atomic():
            if KINDS[kind].asks_first:  # mounting so that it can be changed drops no plan
                Job.objects.filter(rescue=rescue, state=Job.State.PLANNED).update(
                    state=Job.State.DROPPED, sealed=""
                )
            job.save(force_insert=True)
            _note(job, by)
    except IntegrityError:
        raise NotPossible(_("Something is being done on this machine. Wait for its end.")) from None
    return job


def confirm(*, job: Job, by: "User") -> None:
    """Say yes to what a look has shown."""
    _ask_next(job, Job.Stage.APPLY, by, possible=job.may_confirm)


def undo(*, job: Job, by: "User") -> None:
    """Ask to take back what was done."""
    _ask_next(job, Job.Stage.UNDO, by, possible=job.may_undo)


def drop(*, job: Job, by: "User") -> None:
    """Say no to what a look has shown."""
    access.must_use(job.rescue, by)
    if job.state == Job.State.PLANNED and job.move(Job.State.DROPPED, sealed=""):
        driver.announce(job.rescue)


def _ask_next(job: Job, stage: Job.Stage, by: "User", *, possible: bool) -> None:
    access.must_use(job.rescue, by)
    access.must_be_in(job.rescue)
    changes = {"stage": stage, "asked_at": clock_now(), "ended_at": None, "problem": ""}
    try:
        with transaction.atomic():
            if not possible or not job.move(Job.State.QUEUED, **changes):
                raise NotPossible(_("Something else happened at the same moment. Look again."))
            _note(job, by)
    except IntegrityError:
        raise NotPossible(_("Something is being done on this machine. Wait for its end.")) from None


def reveal(*, job: Job, by: "User") -> str:
    """Return the password that a job made, once, to whoever asked for it; write that down.

    Raise ``PermissionDenied`` or ``NotPossible``.
    """
    access.must_use(job.rescue, by)
    if by.acted_by is not None or job.requested_by_id != by.pk:
        raise NotPossible(_("Only who asked for this password may read it."))
    try:
        password = str(job.unsealed().get("password", ""))
    except CannotOpen:
        raise NotPossible(_("The password can no longer be opened: its key is gone.")) from None
    with transaction.atomic():
        if not password or job.state != Job.State.DONE or not job.move(job.state, sealed=""):
            raise NotPossible(_("This password was shown already, or is too old."))
        driver.record("machine.reveal", job.rescue, actor=by, user=job.params["user"])
        driver.announce(job.rescue)
    return password


def _note(job: Job, by: "User") -> None:
    """Write down what changes the machine or reads from it, and tell the pages."""
    details = {name: job.params[name] for name in TOLD_OF if job.params.get(name)}
    driver.record(f"machine.{job.kind}", job.rescue, actor=by, stage=job.stage, **details)
    driver.announce(job.rescue)


def users_seen(rescue: Rescue) -> list[str]:
    """List the users of the old system, as its mount last showed them."""
    return list(_last_mount(rescue).get("users", []))


def layout_seen(rescue: Rescue) -> list[tuple[str, str, str]]:
    """List what the last mount put where: device, place in the old system, subvolume of a btrfs."""
    return [tuple(one) for one in _last_mount(rescue).get("layout", [])]


def _last_mount(rescue: Rescue) -> dict[str, Any]:
    done = rescue.jobs.filter(kind="mount", state=Job.State.DONE).order_by("-created_at").first()
    return done.result["kept"] if done else {}


# What a worker does -------------------------------------------------------------------------------


def waiting() -> list[uuid.UUID]:
    """List the jobs that a worker should take now; end those that nobody can finish any more."""
    now = clock_now()
    for job in Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=now)[:50]:
        _end(job, Job.State.FAILED, problem="interrupted")
    ended = Job.objects.exclude(sealed="").filter(state__in=(Job.State.DONE, Job.State.PLANNED))
    ended.filter(ended_at__lt=now - SECRETS_LIVE).update(sealed="")
    queued = Job.objects.filter(state=Job.State.QUEUED)
    for job in queued.filter(asked_at__lt=now - WAITS_AT_MOST)[:50]:
        _end(job, Job.State.FAILED, problem="no_worker")
    return list(queued.filter(asked_at__lt=now - timedelta(seconds=2)).values_list("pk", flat=True))


def run(job_id: uuid.UUID) -> None:
    """Do a job that waits; somebody else's, or one that is over, is left alone."""
    rows = Job.objects.select_related("rescue__instance__account__team", "rescue__machine")
    job = rows.filter(pk=job_id, state=Job.State.QUEUED).first()
    if job is None:
        return
    kind = KINDS[job.kind]
    lease = clock_now() + timedelta(seconds=kind.seconds) + SPARE
    if not job.move(Job.State.RUNNING, lease_until=lease):
        return
    try:
        outcome = _done(job)
    except CannotDo as problem:
        _end(
            job, Job.State.FAILED, problem=problem.code, problem_args=problem.values,
            result=job.result | _said(problem.output),
        )  # fmt: skip
    except ssh.SshError as error:
        logger.info("job %s of rescue %s: %s", job.pk, job.rescue_id, error.code)
        access.shut_out(job.rescue.machine, error)
        _end(job, Job.State.FAILED, problem=f"ssh_{error.code}"[:24])
    except CannotOpen:
        _end(job, Job.State.FAILED, problem="key_gone")
    except Exception as error:
        # Its text may hold what was read from the machine: only its kind goes into the log.
        logger.error(  # noqa: TRY400
            "job %s of rescue %s failed: %s", job.pk, job.rescue_id, type(error).__name__
        )
        _end(job, Job.State.FAILED, problem="defect")
    else:
        _keep(job, outcome)


def _done(job: Job) -> Outcome:
    """Log in and do the stage that was asked for."""
    if job.rescue.state not in IN_RESCUE:
        raise CannotDo("over")
    row = job.rescue.machine
    with access.entered(row) as machine:
        work = Work(
            machine=machine, row=row, params=job.params, private=job.unsealed(),
            kept=job.result.get("kept", {}), stamp=f"{job.asked_at:{STAMP}}",
            look_again=lambda: survey.take(machine, row),
            beat=lambda percent: _beat(job, percent),
        )  # fmt: skip
        kind = KINDS[job.kind]
        act = {Job.Stage.LOOK: kind.plan, Job.Stage.APPLY: kind.apply, Job.Stage.UNDO: kind.undo}
        return act[Job.Stage(job.stage)](work)


def _beat(job: Job, percent: int | None) -> None:
    """Keep a long job from being called interrupted, and tell how far it is."""
    before = job.result.get("percent")
    result = job.result if percent is None else job.result | {"percent": percent}
    if job.move(Job.State.RUNNING, lease_until=clock_now() + BEAT, result=result) and (
        percent not in (None, before)
    ):
        driver.announce(job.rescue)


def _said(output: str) -> dict[str, str]:
    return {"output": output} if output else {}


def _keep(job: Job, outcome: Outcome) -> None:
    told: dict[str, Any] = {"lines": outcome.lines, **_said(outcome.output)}
    if job.stage == Job.Stage.LOOK and outcome.final:
        _end(job, Job.State.DONE, result=told, sealed="")
    elif job.stage == Job.Stage.LOOK or not outcome.ready:  # nothing was done: it asks again
        told |= {} if outcome.ready else {"ready": False}
        sealed = job.seal(job.unsealed() | outcome.private)
        _end(job, Job.State.PLANNED, stage=Job.Stage.LOOK, plan=told, sealed=sealed)
    elif job.stage == Job.Stage.APPLY:
        sealed = job.seal(outcome.once)
        _end(job, Job.State.DONE, result=told | {"kept": outcome.kept}, sealed=sealed)
    else:
        _end(job, Job.State.UNDONE, result=job.result | {"undone": outcome.lines}, sealed="")


def _end(job: Job, state: str, **changes: Any) -> None:
    if state == Job.State.FAILED:
        changes |= {"sealed": ""}
    with transaction.atomic():
        if job.move(state, ended_at=clock_now(), lease_until=None, **changes):
            if state == Job.State.FAILED:
                driver.record(
                    "machine.failed", job.rescue,
                    kind=job.kind, stage=job.stage, reason=job.problem,
                )  # fmt: skip
            driver.announce(job.rescue)
