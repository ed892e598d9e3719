"""The life of a rescue, decided without touching anything.

``decide(rescue, seen)`` takes what the row says and what the cloud showed, and returns the one
move to make next. It is pure: no Django, no clock, no network; the caller carries the move out
by compare-and-set. See docs/architecture.md, "The life of a rescue".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.observed import Act, Seen


class State(StrEnum):
    REQUESTED = "REQUESTED"  # asked in the panel, the cloud not asked yet
    CALLING = "CALLING"  # the POST may be on its way
    IN_DOUBT = "IN_DOUBT"  # no clear answer to the POST: the cloud is asked what it did
    WAITING = "WAITING"  # Nova accepted, the host is at work
    STUCK = "STUCK"  # accepted long ago, still not done; watched with longer pauses
    READY = "READY"  # in rescue
    EXTERNAL = "EXTERNAL"  # in rescue, started outside the panel
    EXIT_REQUESTED = "EXIT_REQUESTED"
    EXIT_CALLING = "EXIT_CALLING"
    EXIT_IN_DOUBT = "EXIT_IN_DOUBT"
    EXIT_WAITING = "EXIT_WAITING"
    EXIT_STUCK = "EXIT_STUCK"
    REBOOT_REQUESTED = "REBOOT_REQUESTED"  # the way back from a broken rescue
    REBOOT_CALLING = "REBOOT_CALLING"
    REBOOT_IN_DOUBT = "REBOOT_IN_DOUBT"
    REBOOT_WAITING = "REBOOT_WAITING"
    CLOSED = "CLOSED"  # exited from the panel
    CANCELLED = "CANCELLED"
    DENIED = "DENIED"  # the one who asked lost the right before the call
    EXPIRED = "EXPIRED"  # the cloud could not be asked in time
    REFUSED = "REFUSED"  # Nova said no; nothing changed
    LOST_RACE = "LOST_RACE"  # somebody else's rescue came first
    FAILED_CLEAN = "FAILED_CLEAN"  # failed, the server is as before
    FAILED_BROKEN = "FAILED_BROKEN"  # failed, the server is in ERROR
    EXIT_BROKEN = "EXIT_BROKEN"  # the exit failed, the server is in ERROR
    RECOVERED = "RECOVERED"  # brought back by a hard reboot
    ENDED_OUTSIDE = "ENDED_OUTSIDE"  # somebody exited it outside the panel
    ENDED_BY_CLOUD = "ENDED_BY_CLOUD"  # the cloud's own time limit ended it
    GONE = "GONE"  # the server was deleted


class Call(StrEnum):
    RESCUE = "rescue"
    UNRESCUE = "unrescue"
    REBOOT = "reboot"


@dataclass(frozen=True)
class Phase:
    """Each call has the same four states: one piece of logic serves all three."""

    call: Call
    requested: State
    calling: State
    in_doubt: State
    waiting: State


STEPS = ("REQUESTED", "CALLING", "IN_DOUBT", "WAITING")
PREFIXES = {Call.RESCUE: "", Call.UNRESCUE: "EXIT_", Call.REBOOT: "REBOOT_"}
PHASES = tuple(
    Phase(call, *(State[prefix + step] for step in STEPS)) for call, prefix in PREFIXES.items()
)

PHASE_OF = {State.STUCK: PHASES[0], State.EXIT_STUCK: PHASES[1]} | {
    state: phase
    for phase in PHASES
    for state in (phase.requested, phase.calling, phase.in_doubt, phase.waiting)
}
OPEN = frozenset({State.READY, State.EXTERNAL} | PHASE_OF.keys())
SETTLED = frozenset(State) - OPEN
IN_RESCUE = frozenset({State.READY, State.EXTERNAL})
BROKEN = frozenset({State.FAILED_BROKEN, State.EXIT_BROKEN})
STARTING = frozenset({State.REQUESTED, State.CALLING, State.IN_DOUBT, State.WAITING, State.STUCK})
# The host keeps a broken rescue's config drive until a clean exit, whatever reboots in between:
# the next rescue of this server accepts only that password.
KEPT_AFTER_END = BROKEN | {State.RECOVERED}
KEEPS_PASSWORD = OPEN | KEPT_AFTER_END
LEFT_CLEAN = frozenset({State.CLOSED, State.ENDED_OUTSIDE, State.ENDED_BY_CLOUD, State.GONE})

# Either of them since ours: ours has ended, and what is in rescue now is somebody else's.
EXIT_MARKS = frozenset({Call.RESCUE, Call.UNRESCUE})
LEAVING = frozenset({Call.RESCUE, Call.UNRESCUE, Call.REBOOT})
RESCUABLE_VM_STATES = frozenset({"active", "stopped", "error"})
CALL_TIMEOUT = timedelta(seconds=10)  # to connect, and again to wait for Nova's answer to a POST
DOUBT_GRACE = 2.5 * CALL_TIMEOUT  # after this, a POST that left no trace was never received
EXPIRES_AFTER = timedelta(minutes=10)
STUCK_AFTER = timedelta(minutes=15)
HOST_SILENT_AFTER = timedelta(minutes=2)
SETTLE_AFTER = timedelta(minutes=1)  # the host is done, and the server shows no trace of it
MAX_CALLS = 3
LOOK_EVERY = 0.4  # seconds, while the host is at it


@dataclass(frozen=True)
class Case:
    """What the row says."""

    state: State
    now: datetime
    asked_at: datetime
    called_at: datetime | None = None
    calls: int = 0
    #: request ids of the actions that were there before the call
    baseline: frozenset[str] = frozenset()
    #: or when they had all been asked for, by the cloud's clock
    quiet_since: datetime | None = None
    request_id: str = ""  # of the call, when Nova told it
    cloud_user_id: str = ""  # whose credential we use
    vm_state_before: str = ""
    #: where to go when it cannot be asked for
    fallback: State = State.EXPIRED
    #: Nova answered the last call with a clear no (409)
    conflict: bool = False


@dataclass(frozen=True)
class Move:
    """What to do next: go ``to`` a state (None: stay), or make a ``call``; look in ``wait``."""

    to: State | None = None
    call: Call | None = None
    wait: float | None = 0.5  # seconds; None: until something is heard of the server
    reason: str = ""


def phase_of(state: State) -> Phase | None:
    """Return the call a state belongs to; None for the states between calls."""
    return PHASE_OF.get(state)


def decide(case: Case, seen: Seen) -> Move:
    """Return the next move of an open rescue."""
    if case.state in SETTLED:
        return Move()
    if seen.gone:
        return Move(to=State.GONE)
    phase = phase_of(case.state)
    if phase is None:
        return _in_rescue(case, seen)
    if case.state is phase.calling:
        return Move(to=phase.in_doubt, wait=0)  # whoever made the call is no more
    if case.state is phase.requested:
        return _requested(case, seen, phase)
    if case.state is phase.in_doubt:
        return _in_doubt(case, seen, phase)
    return _WAITING[phase.call](case, seen)


def decide_unseen(case: Case) -> Move:
    """Return the next move when the cloud cannot be asked: only a request not yet sent expires."""
    phase = phase_of(case.state)
    if phase and case.state is phase.requested and _expired(case):
        return Move(to=case.fallback, reason="expired")
    return Move(wait=5)


def _expired(case: Case) -> bool:
    return case.now - case.asked_at > EXPIRES_AFTER


def new_action(case: Case, seen: Seen, action: str) -> Act | None:
    """Find the action of our call: by its request id, else the first newer one."""
    for act in seen.actions:
        if act.action == action and case.request_id and act.request_id == case.request_id:
            return act
    fresh = [a for a in seen.actions if a.action == action and not _was_there(case, a)]
    if case.request_id or not fresh:
        return None
    ours = [a for a in fresh if a.user_id == case.cloud_user_id]
    return (ours or fresh)[-1]


def _was_there(case: Case, act: Act) -> bool:
    """Tell whether an action was there before the call."""
    if case.quiet_since and act.started_at:
        return act.started_at < case.quiet_since
    return act.request_id in case.baseline


def _requested(case: Case, seen: Seen, phase: Phase) -> Move:
    if _expired(case):
        return Move(to=case.fallback, reason="expired")
    return _MAY_CALL[phase.call](case, seen) or Move(to=phase.calling, call=phase.call)


def _may_rescue(case: Case, seen: Seen) -> Move | None:
    if seen.vm_state == "rescued" or seen.task_state == "rescuing":
        return Move(to=State.LOST_RACE)
    if seen.locked:
        return Move(to=State.REFUSED, reason="locked")
    if not seen.idle:
        return Move(to=State.REFUSED, reason="busy")
    if seen.vm_state not in RESCUABLE_VM_STATES:
        return Move(to=State.REFUSED, reason=f"vm_state:{seen.vm_state}")
    return None


def _may_unrescue(case: Case, seen: Seen) -> Move | None:
    if seen.task_state == "unrescuing":
        return Move(to=State.EXIT_WAITING)
    if seen.vm_state == "error":
        return Move(to=State.EXIT_BROKEN)
    if seen.vm_state != "rescued":
        return Move(to=State.ENDED_OUTSIDE)
    if seen.locked:
        return Move(to=case.fallback, reason="locked")
    return None if seen.idle else Move(wait=1)


def _may_reboot(case: Case, seen: Seen) -> Move | None:
    if seen.vm_state == "active" and seen.idle:
        return Move(to=State.RECOVERED)
    if seen.locked:
        return Move(to=case.fallback, reason="locked")
    return None if seen.idle else Move(wait=1)


_MAY_CALL = {
    Call.RESCUE: _may_rescue,
    Call.UNRESCUE: _may_unrescue,
    Call.REBOOT: _may_reboot,
}


def _in_doubt(case: Case, seen: Seen, phase: Phase) -> Move:
    act, rescuing = new_action(case, seen, phase.call), phase.call is Call.RESCUE
    early = case.called_at is None or case.now - case.called_at < DOUBT_GRACE
    taken = seen.vm_state == "rescued" or seen.task_state == "rescuing"
    if act and (not rescuing or act.user_id == case.cloud_user_id):
        return Move(to=phase.waiting)
    if rescuing and (act or (case.request_id and taken)):
        # Theirs; but ours, unanswered, may still be on its way and be taken after theirs ends.
        return Move(wait=1) if early and not case.request_id else Move(to=State.LOST_RACE)
    done = _done_without_trace(case, seen, phase)
    if done:
        return done
    if case.conflict and phase.call is Call.UNRESCUE and seen.task_state == "unrescuing":
        return Move(to=phase.waiting)  # somebody else's exit came first: it is watched like ours
    if case.conflict and case.calls == 1:
        # This POST was the only one and Nova said no to it: nothing was done.
        return Move(to=State.REFUSED if rescuing else case.fallback, reason="conflict")
    if not seen.idle or early:
        return Move(wait=1)
    if case.calls >= MAX_CALLS:
        return Move(to=State.FAILED_CLEAN if rescuing else case.fallback, reason="not_taken")
    return _MAY_CALL[phase.call](case, seen) or Move(to=phase.calling, call=phase.call)


def _done_without_trace(case: Case, seen: Seen, phase: Phase) -> Move | None:
    """Settle a doubt by the server's own state, where that alone says what was done."""
    if phase.call is Call.UNRESCUE and seen.idle and seen.vm_state != "rescued":
        return Move(to=State.EXIT_BROKEN if seen.vm_state == "error" else State.CLOSED)
    if phase.call is Call.REBOOT and seen.idle and seen.vm_state == "active":
        return Move(to=State.RECOVERED)
    return None


def _waiting_rescue(case: Case, seen: Seen) -> Move:
    act = new_action(case, seen, Call.RESCUE)
    if not seen.idle:
        return _keep_waiting(case, act, State.WAITING, State.STUCK)
    failed = act is not None and act.failed
    newer = {later.action for later in _since(case, seen)}
    if seen.vm_state == "rescued":
        if failed and Call.RESCUE in newer:
            return Move(to=State.LOST_RACE)
        return Move(to=State.ENDED_OUTSIDE if newer & EXIT_MARKS else State.READY)
    over = _waited(case) > (SETTLE_AFTER if act is not None and act.finished else STUCK_AFTER)
    left = any(later.action == Call.UNRESCUE for later in _later(case, seen))
    if seen.vm_state == "error" and act is not None and not failed and left:
        return Move(to=State.EXIT_BROKEN, reason="outside")  # ours was done before it broke
    if seen.vm_state == "error" and (failed or over or case.vm_state_before != "error"):
        return Move(to=State.FAILED_BROKEN, reason="host_error")
    if failed:
        return Move(to=State.FAILED_CLEAN, reason="host_error")
    if Call.UNRESCUE in newer:
        return Move(to=State.ENDED_OUTSIDE)
    if over:  # Nova shows neither success nor failure: an operator reset the task, say
        return Move(to=State.FAILED_CLEAN, reason="no_effect")
    return _keep_waiting(case, act, State.WAITING, State.STUCK)


def _waiting_exit(case: Case, seen: Seen) -> Move:
    act = new_action(case, seen, Call.UNRESCUE)
    if seen.idle and seen.vm_state == "error":
        return Move(to=State.EXIT_BROKEN, reason="host_error")
    if seen.idle and seen.vm_state != "rescued":
        return Move(to=State.CLOSED)
    if seen.idle and act is not None and act.failed:
        return Move(to=case.fallback, reason="exit_failed")
    if seen.idle and any(later.action == Call.RESCUE for later in _since(case, seen)):
        return Move(to=State.CLOSED)  # exited, and rescued again by somebody else meanwhile
    if seen.idle and _waited(case) > STUCK_AFTER:
        return Move(to=case.fallback, reason="exit_failed")  # an operator reset the task
    return _keep_waiting(case, act, State.EXIT_WAITING, State.EXIT_STUCK)


def _waiting_reboot(case: Case, seen: Seen) -> Move:
    act = new_action(case, seen, Call.REBOOT)
    if seen.idle and seen.vm_state == "active":
        return Move(to=State.RECOVERED)
    if seen.idle and act is not None and act.failed:
        return Move(to=case.fallback, reason="reboot_failed")
    if _waited(case) > STUCK_AFTER:
        return Move(to=case.fallback, reason="reboot_silent")
    return Move(wait=1)


_WAITING = {
    Call.RESCUE: _waiting_rescue,
    Call.UNRESCUE: _waiting_exit,
    Call.REBOOT: _waiting_reboot,
}


def _waited(case: Case) -> timedelta:
    return case.now - (case.called_at or case.asked_at)


def _keep_waiting(case: Case, act: Act | None, waiting: State, stuck: State) -> Move:
    waited = _waited(case)
    silent = act is None or act.host_started_at is None
    reason = "host_silent" if silent and waited > HOST_SILENT_AFTER else ""
    if waited > STUCK_AFTER:
        return Move(to=stuck if case.state is waiting else None, wait=30, reason=reason)
    return Move(wait=LOOK_EVERY if waited < HOST_SILENT_AFTER else 3, reason=reason)


def _later(case: Case, seen: Seen) -> list[Act]:
    """Return the actions since our call, newest first.

    A rescue found in the cloud has neither a call nor a baseline: the newest rescue is it.
    """
    newer = []
    adopted = not (case.request_id or case.baseline or case.quiet_since)
    for act in seen.actions:  # newest first
        ours = act.request_id == case.request_id or _was_there(case, act)
        if ours or (adopted and act.action == Call.RESCUE):
            break
        newer.append(act)
    return newer


def _since(case: Case, seen: Seen) -> list[Act]:
    """Return those of them that did not fail."""
    return [act for act in _later(case, seen) if not act.failed]


def _in_rescue(case: Case, seen: Seen) -> Move:
    newer = _since(case, seen)
    if seen.vm_state == "rescued":
        if seen.idle and any(act.action in EXIT_MARKS for act in newer):
            return Move(to=State.ENDED_OUTSIDE)
        return Move(wait=None if seen.idle else 1)
    if not seen.idle:
        return Move(wait=1)
    if seen.vm_state == "error":
        return Move(to=State.EXIT_BROKEN, reason="outside")
    # Whoever asks the API leaves a trace; an exit that failed may have been mended by a reboot.
    traces = [act for act in _later(case, seen) if act.action in LEAVING]
    by_cloud = not any(act.user_id for act in traces)
    return Move(to=State.ENDED_BY_CLOUD if by_cloud else State.ENDED_OUTSIDE)


def after_call(phase: Phase, answer: str, case: Case) -> Move:
    """Return the move after a call by the kind of answer: see ``cloud.CloudError.kind``."""
    if answer == "accepted":
        return Move(to=phase.waiting, wait=0.5)
    if answer == "gone":
        return Move(to=State.GONE)
    if case.calls > 1:  # a no to this one says nothing of the earlier one whose answer was lost
        return Move(to=phase.in_doubt, wait=0.5, reason=answer)
    match answer:
        case "invalid" | "forbidden":
            no = State.REFUSED if phase.call is Call.RESCUE else case.fallback
            return Move(to=no, reason=answer)
        case "limited" | "credentials" | "refused":
            return Move(to=phase.requested, wait=10, reason=answer)
        case _:
            # A conflict may be the echo of our own lost call; a silence or a 5xx may hide a yes.
            return Move(to=phase.in_doubt, wait=0.5, reason=answer)
