"""What was done on a rescued machine, for the rescue's page and its closing report."""

from typing import TYPE_CHECKING

from instances.models import Job, Rescue
from instances.recovery import access, words
from instances.recovery.kinds import REPAIRS
from instances.report import Piece

if TYPE_CHECKING:
    from teams.models import User

#: a look that was left as it is changed nothing and needs no memory
OVER = (Job.State.DONE, Job.State.UNDONE, Job.State.FAILED)


def pieces(rescue: Rescue, reader: "User") -> list[Piece]:
    """List the repairs that came to an end, oldest first.

    What the machine itself said is for those who may work on it.
    """
    may_read = access.may_use(rescue, reader)
    found = rescue.jobs.filter(kind__in=REPAIRS, state__in=OVER).select_related(
        "requested_by", "acting_by"
    )
    return [_piece(job, may_read=may_read) for job in found.order_by("created_at")]


def _piece(job: Job, *, may_read: bool) -> Piece:
    if not may_read:
        job.problem_args |= {"said": "…"}
    told = job.result.get("undone") or job.result.get("lines", [])
    said = [words.problem(job)] if job.problem else [words.sentence(one) for one in told]
    return Piece(
        at=job.created_at,
        title=str(words.TITLES[job.kind]),
        state=str(words.STATES[job.state]),
        who=str(job.requested_by or ""),
        staff=str(job.acting_by or ""),
        facts=[
            (str(name), str(job.params[key])) for key, name in words.FACTS if job.params.get(key)
        ],
        lines=said,
        output=str(job.result.get("output", "")) if may_read else "",
    )
