"""The state machine, as a table: in this state, having seen that, this is the move."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from instances import lifecycle, observed
from instances.lifecycle import (
    BROKEN,
    IN_RESCUE,
    KEEPS_PASSWORD,
    OPEN,
    PHASES,
    SETTLED,
    Call,
    Case,
    Move,
    State,
    after_call,
    decide,
    decide_unseen,
    phase_of,
)
from instances.observed import GONE, Act, Seen

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
US, THEM = "us", "them"
RESCUE, EXIT, REBOOT = PHASES


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def case(state: State, **changes) -> Case:
    """A row asked for and called just now, with what was there before in its baseline."""
    phase = phase_of(state)
    called = phase is not None and state is not phase.requested
    usual = {
        "now": NOW, "asked_at": ago(seconds=5), "called_at": ago(seconds=3) if called else None,
        "calls": int(called), "baseline": frozenset({"req-old"}), "cloud_user_id": US,
        "vm_state_before": "active",
        "fallback": State.READY if phase is EXIT else State.FAILED_BROKEN,
    }  # fmt: skip
    return Case(state=state, **(usual | changes))


def act(action: str, request_id: str = "req-new", by: str | None = US, **more) -> Act:
    return Act(request_id, action, by, **more)


OLD = act("rescue", "req-old")
DONE = {"host_started_at": NOW, "finished": True}


def seen(vm_state: str, *actions: Act, task: str | None = None, locked: bool = False) -> Seen:
    return Seen(vm_state, task, locked, actions)


def to(state: State, reason: str = "") -> tuple:
    return (state, None, reason)


STAY = (None, None, "")
S = State

# (what it is about, the row, what the cloud shows, the move)
REQUESTED = [
    ("may be called", {}, seen("active", OLD), (S.CALLING, Call.RESCUE, "")),
    ("off may be called", {}, seen("stopped"), (S.CALLING, Call.RESCUE, "")),
    ("error may be called", {}, seen("error"), (S.CALLING, Call.RESCUE, "")),
    ("old request", {"asked_at": ago(minutes=11)}, seen("active"), to(S.FAILED_BROKEN, "expired")),
    ("not yet old", {"asked_at": ago(minutes=9.9)}, seen("active"), (S.CALLING, Call.RESCUE, "")),
    ("rescued meanwhile", {}, seen("rescued"), to(S.LOST_RACE)),
    ("being rescued", {}, seen("active", task="rescuing"), to(S.LOST_RACE)),
    ("locked", {}, seen("active", locked=True), to(S.REFUSED, "locked")),
    ("busy", {}, seen("active", task="powering-off"), to(S.REFUSED, "busy")),
    ("paused", {}, seen("paused"), to(S.REFUSED, "vm_state:paused")),
    ("shelved", {}, seen("shelved_offloaded"), to(S.REFUSED, "vm_state:shelved_offloaded")),
    ("deleted", {}, GONE, to(S.GONE)),
    ("soft-deleted", {}, seen("soft-delete"), to(S.GONE)),
]
CALLING = [
    ("the caller is no more", {}, seen("active"), to(S.IN_DOUBT)),
    ("even when it worked", {}, seen("rescued", act("rescue")), to(S.IN_DOUBT)),
    ("deleted", {}, GONE, to(S.GONE)),
]
LATE = {"called_at": ago(seconds=26)}
IN_DOUBT = [
    ("our action", {}, seen("active", act("rescue"), OLD, task="rescuing"), to(S.WAITING)),
    (
        "our action by its id",
        {"request_id": "req-x"},
        seen("active", act("rescue", "req-y", THEM), act("rescue", "req-x", THEM)),
        to(S.LOST_RACE),
    ),
    (
        "ours before theirs",
        {},
        seen("active", act("rescue", "req-2", THEM), act("rescue")),
        to(S.WAITING),
    ),
    ("only theirs, ours on its way", {}, seen("rescued", act("rescue", by=THEM), OLD), STAY),
    ("only theirs, late", LATE, seen("rescued", act("rescue", by=THEM), OLD), to(S.LOST_RACE)),
    (
        "theirs, and ours answered",
        {"request_id": "req-x"},
        seen("active", act("rescue", by=US), OLD, task="rescuing"),
        to(S.LOST_RACE),
    ),
    ("answered, no trace, early", {"request_id": "req-x"}, seen("active", OLD), STAY),
    ("no trace, early", {"called_at": ago(seconds=24)}, seen("active", OLD), STAY),
    ("no trace, late: again", LATE, seen("active", OLD), (S.CALLING, Call.RESCUE, "")),
    ("no trace, late, a task", LATE, seen("active", task="rescuing"), STAY),
    ("no trace, never called", {"called_at": None}, seen("active"), STAY),
    ("three times in vain", LATE | {"calls": 3}, seen("active"), to(S.FAILED_CLEAN, "not_taken")),
    ("twice in vain", LATE | {"calls": 2}, seen("active"), (S.CALLING, Call.RESCUE, "")),
    ("locked meanwhile", LATE, seen("active", locked=True), to(S.REFUSED, "locked")),
    ("409 to the only call", {"conflict": True}, seen("active", OLD), to(S.REFUSED, "conflict")),
    ("409 to the second call", {"conflict": True, "calls": 2}, seen("active", OLD), STAY),
    (
        "409 as echo of ours",
        {"conflict": True, "calls": 2},
        seen("active", act("rescue"), task="rescuing"),
        to(S.WAITING),
    ),
    ("exit actions are not ours", {}, seen("active", act("unrescue", by=US)), STAY),
    ("deleted", {}, GONE, to(S.GONE)),
]
HOST_ERROR = act("rescue", failed=True, **DONE)
OURS = {"request_id": "req-new"}
WAITING = [
    ("done", OURS, seen("rescued", act("rescue", **DONE)), to(S.READY)),
    ("nearly", OURS, seen("rescued", act("rescue"), task="rescuing"), STAY),
    ("at work", OURS, seen("active", act("rescue"), task="rescuing"), STAY),
    ("driver error", OURS, seen("error", HOST_ERROR), to(S.FAILED_BROKEN, "host_error")),
    (
        "left by somebody else, whose own rescue failed",
        OURS,
        seen(
            "error",
            act("rescue", "req-2", THEM, failed=True, **DONE),
            act("unrescue", "req-1", THEM, **DONE),
            act("rescue", **DONE),
        ),
        to(S.EXIT_BROKEN, "outside"),
    ),
    (
        "left by somebody else, whose exit failed",
        OURS,
        seen("error", act("unrescue", "req-1", THEM, failed=True, **DONE), act("rescue", **DONE)),
        to(S.EXIT_BROKEN, "outside"),
    ),
    (
        "an exit from before its call says nothing",
        OURS | {"baseline": frozenset({"req-1"})},
        seen("error", act("rescue", **DONE), act("unrescue", "req-1", THEM, **DONE)),
        to(S.FAILED_BROKEN, "host_error"),
    ),
    ("error without an action", OURS, seen("error"), to(S.FAILED_BROKEN, "host_error")),
    (
        "was in error, still at work",
        OURS | {"vm_state_before": "error"},
        seen("error", act("rescue"), task="rescuing"),
        STAY,
    ),
    (
        "was in error, not failed yet",
        OURS | {"vm_state_before": "error"},
        seen("error", act("rescue")),
        STAY,
    ),
    (
        "was in error, failed",
        OURS | {"vm_state_before": "error"},
        seen("error", HOST_ERROR),
        to(S.FAILED_BROKEN, "host_error"),
    ),
    ("silent revert", OURS, seen("active", HOST_ERROR), to(S.FAILED_CLEAN, "host_error")),
    ("failing, task still there", OURS, seen("active", HOST_ERROR, task="rescuing"), STAY),
    (
        "exited outside at once",
        OURS,
        seen("active", act("unrescue", "req-3", THEM), act("rescue", **DONE)),
        to(S.ENDED_OUTSIDE),
    ),
    (
        "no effect",
        OURS | {"called_at": ago(seconds=61)},
        seen("active", act("rescue", **DONE)),
        to(S.FAILED_CLEAN, "no_effect"),
    ),
    (
        "no effect yet",
        OURS | {"called_at": ago(seconds=59)},
        seen("active", act("rescue", **DONE)),
        STAY,
    ),
    (
        "the host is silent",
        OURS | {"called_at": ago(minutes=3)},
        seen("active", act("rescue"), task="rescuing"),
        (None, None, "host_silent"),
    ),
    (
        "the host is slow",
        OURS | {"called_at": ago(minutes=3)},
        seen("active", act("rescue", host_started_at=NOW), task="rescuing"),
        STAY,
    ),
    (
        "too long",
        OURS | {"called_at": ago(minutes=16)},
        seen("active", act("rescue"), task="rescuing"),
        to(S.STUCK, "host_silent"),
    ),
    (
        "task reset by an admin",
        OURS | {"called_at": ago(minutes=16)},
        seen("active", act("rescue")),
        to(S.FAILED_CLEAN, "no_effect"),
    ),
    (
        "reset to error by an admin",
        OURS | {"called_at": ago(minutes=16), "vm_state_before": "error"},
        seen("error", act("rescue")),
        to(S.FAILED_BROKEN, "host_error"),
    ),
    (
        "ours failed, theirs came",
        OURS,
        seen("rescued", act("rescue", "req-3", THEM), HOST_ERROR),
        to(S.LOST_RACE),
    ),
    (
        "ours was exited, theirs came",
        OURS,
        seen(
            "rescued",
            act("rescue", "req-4", THEM),
            act("unrescue", "req-3", THEM),
            act("rescue", **DONE),
        ),
        to(S.ENDED_OUTSIDE),
    ),
    (
        "the cloud ended ours, theirs came",
        OURS,
        seen("rescued", act("rescue", "req-4", THEM), act("rescue", **DONE)),
        to(S.ENDED_OUTSIDE),
    ),
    ("deleted", OURS, GONE, to(S.GONE)),
]
LONG = OURS | {"called_at": ago(minutes=20)}
STUCK = [
    ("late success", LONG, seen("rescued", act("rescue", **DONE)), to(S.READY)),
    ("late failure", LONG, seen("active", HOST_ERROR), to(S.FAILED_CLEAN, "host_error")),
    (
        "still nothing",
        LONG,
        seen("active", act("rescue"), task="rescuing"),
        (None, None, "host_silent"),
    ),
    ("deleted", LONG, GONE, to(S.GONE)),
]
BY_OTHER, BY_NOBODY = act("unrescue", "req-3", THEM), act("unrescue", "req-3", None)
READY = [
    ("nothing new", OURS, seen("rescued", act("rescue"), OLD), STAY),
    ("something goes on", OURS, seen("rescued", act("rescue"), task="unrescuing"), STAY),
    ("ended outside", OURS, seen("active", BY_OTHER, act("rescue")), to(S.ENDED_OUTSIDE)),
    ("ended by the cloud", OURS, seen("active", BY_NOBODY, act("rescue")), to(S.ENDED_BY_CLOUD)),
    (
        "rebooted by somebody after a failed exit",
        OURS,
        seen(
            "active",
            act("reboot", "req-2", THEM),
            act("unrescue", "req-1", THEM, failed=True),
            act("rescue"),
        ),
        to(S.ENDED_OUTSIDE),
    ),
    (
        "rebooted by somebody, which tells nothing of an exit by the cloud",
        OURS,
        seen("active", BY_NOBODY, act("rescue"), act("reboot", "req-old", THEM)),
        to(S.ENDED_BY_CLOUD),
    ),
    ("ended without a trace", OURS, seen("active", act("rescue")), to(S.ENDED_BY_CLOUD)),
    ("starting again", OURS, seen("active", BY_OTHER, act("rescue"), task="spawning"), STAY),
    (
        "and rescued again",
        OURS,
        seen("rescued", act("rescue", "req-4", THEM), BY_OTHER, act("rescue")),
        to(S.ENDED_OUTSIDE),
    ),
    (
        "an exit outside that failed",
        OURS,
        seen("rescued", replace(BY_OTHER, failed=True), act("rescue")),
        STAY,
    ),
    (
        "rescued again, no trace of the exit",
        OURS,
        seen("rescued", act("rescue", "req-4", THEM), act("rescue")),
        to(S.ENDED_OUTSIDE),
    ),
    ("being exited", OURS, seen("rescued", BY_OTHER, act("rescue"), task="unrescuing"), STAY),
    ("broken outside", OURS, seen("error", BY_OTHER, act("rescue")), to(S.EXIT_BROKEN, "outside")),
    ("deleted", OURS, GONE, to(S.GONE)),
]
NEVER_OURS = {"baseline": frozenset()}
EXTERNAL = [
    ("adopted", NEVER_OURS, seen("rescued", act("rescue", by=THEM)), STAY),
    (
        "adopted, with a history",
        NEVER_OURS,
        seen(
            "rescued",
            act("rescue", "req-3", THEM),
            act("unrescue", "req-2", THEM),
            act("rescue", "req-1", THEM),
        ),
        STAY,
    ),
    (
        "adopted too late",
        NEVER_OURS,
        seen("active", BY_OTHER, act("rescue", by=THEM)),
        to(S.ENDED_OUTSIDE),
    ),
    ("no actions to be seen", NEVER_OURS, seen("rescued"), STAY),
]
EXIT_REQUESTED = [
    ("may be called", {}, seen("rescued"), (S.EXIT_CALLING, Call.UNRESCUE, "")),
    ("old request", {"asked_at": ago(minutes=11)}, seen("rescued"), to(S.READY, "expired")),
    ("somebody does it", {}, seen("rescued", task="unrescuing"), to(S.EXIT_WAITING)),
    ("already out", {}, seen("active"), to(S.ENDED_OUTSIDE)),
    ("already broken", {}, seen("error"), to(S.EXIT_BROKEN)),
    ("locked", {}, seen("rescued", locked=True), to(S.READY, "locked")),
    ("busy", {}, seen("rescued", task="deleting"), STAY),
    ("deleted", {}, GONE, to(S.GONE)),
]
OUR_EXIT = act("unrescue")
EXIT_IN_DOUBT = [
    ("our action", {}, seen("rescued", OUR_EXIT, task="unrescuing"), to(S.EXIT_WAITING)),
    ("somebody's will do", {}, seen("rescued", BY_OTHER, task="unrescuing"), to(S.EXIT_WAITING)),
    ("out without a trace", {}, seen("active", OLD), to(S.CLOSED)),
    ("broken without a trace", {}, seen("error", OLD), to(S.EXIT_BROKEN)),
    ("409 to the only call", {"conflict": True}, seen("rescued"), to(S.READY, "conflict")),
    (
        "409: somebody else exits it",
        {"conflict": True},
        seen("rescued", task="unrescuing"),
        to(S.EXIT_WAITING),
    ),
    ("no trace, early", {}, seen("rescued"), STAY),
    ("no trace, late: again", LATE, seen("rescued"), (S.EXIT_CALLING, Call.UNRESCUE, "")),
    ("three times in vain", LATE | {"calls": 3}, seen("rescued"), to(S.READY, "not_taken")),
    ("deleted", {}, GONE, to(S.GONE)),
]
EXIT_FAILED = act("unrescue", failed=True, **DONE)
EXIT_WAITING = [
    ("done", OURS, seen("active", act("unrescue", **DONE)), to(S.CLOSED)),
    ("at work", OURS, seen("rescued", OUR_EXIT, task="unrescuing"), STAY),
    ("broken", OURS, seen("error", EXIT_FAILED), to(S.EXIT_BROKEN, "host_error")),
    ("failed, still rescued", OURS, seen("rescued", EXIT_FAILED), to(S.READY, "exit_failed")),
    (
        "rescued again by others",
        OURS,
        seen("rescued", act("rescue", "req-4", THEM), OUR_EXIT),
        to(S.CLOSED),
    ),
    ("finished just now", OURS, seen("rescued", act("unrescue", **DONE)), STAY),
    (
        "too long",
        LONG,
        seen("rescued", OUR_EXIT, task="unrescuing"),
        to(S.EXIT_STUCK, "host_silent"),
    ),
    ("task reset by an admin", LONG, seen("rescued", OUR_EXIT), to(S.READY, "exit_failed")),
    ("deleted", OURS, GONE, to(S.GONE)),
]
EXIT_STUCK = [
    ("late success", LONG, seen("active", act("unrescue", **DONE)), to(S.CLOSED)),
    (
        "still nothing",
        LONG,
        seen("rescued", OUR_EXIT, task="unrescuing"),
        (None, None, "host_silent"),
    ),
]
REBOOT_REQUESTED = [
    ("may be called", {}, seen("error"), (S.REBOOT_CALLING, Call.REBOOT, "")),
    ("already running", {}, seen("active"), to(S.RECOVERED)),
    ("locked", {}, seen("error", locked=True), to(S.FAILED_BROKEN, "locked")),
    ("busy", {}, seen("error", task="rebooting_hard"), STAY),
    ("old request", {"asked_at": ago(minutes=11)}, seen("error"), to(S.FAILED_BROKEN, "expired")),
    ("deleted", {}, GONE, to(S.GONE)),
]
OUR_REBOOT = act("reboot")
REBOOT_IN_DOUBT = [
    ("our action", {}, seen("error", OUR_REBOOT, task="rebooting_hard"), to(S.REBOOT_WAITING)),
    ("running without a trace", {}, seen("active"), to(S.RECOVERED)),
    ("409 to the only call", {"conflict": True}, seen("error"), to(S.FAILED_BROKEN, "conflict")),
    ("three times in vain", LATE | {"calls": 3}, seen("error"), to(S.FAILED_BROKEN, "not_taken")),
    ("no trace, late: again", LATE, seen("error"), (S.REBOOT_CALLING, Call.REBOOT, "")),
]
REBOOT_WAITING = [
    ("running", OURS, seen("active", act("reboot", **DONE)), to(S.RECOVERED)),
    ("at work", OURS, seen("error", OUR_REBOOT, task="rebooting_hard"), STAY),
    ("failed", OURS, seen("error", act("reboot", failed=True)),
     to(S.FAILED_BROKEN, "reboot_failed")),
    ("silent", LONG, seen("error", OUR_REBOOT, task="rebooting_hard"),
     to(S.FAILED_BROKEN, "reboot_silent")),
    ("deleted", OURS, GONE, to(S.GONE)),
]  # fmt: skip
TABLE = {
    S.REQUESTED: REQUESTED, S.CALLING: CALLING, S.IN_DOUBT: IN_DOUBT, S.WAITING: WAITING,
    S.STUCK: STUCK, S.READY: READY, S.EXTERNAL: EXTERNAL, S.EXIT_REQUESTED: EXIT_REQUESTED,
    S.EXIT_CALLING: [
        *CALLING[2:], ("the caller is no more", {}, seen("rescued"), to(S.EXIT_IN_DOUBT)),
    ],
    S.EXIT_IN_DOUBT: EXIT_IN_DOUBT, S.EXIT_WAITING: EXIT_WAITING, S.EXIT_STUCK: EXIT_STUCK,
    S.REBOOT_REQUESTED: REBOOT_REQUESTED,
    S.REBOOT_CALLING: [("the caller is no more", {}, seen("error"), to(S.REBOOT_IN_DOUBT))],
    S.REBOOT_IN_DOUBT: REBOOT_IN_DOUBT, S.REBOOT_WAITING: REBOOT_WAITING,
}  # fmt: skip
ROWS = [
    pytest.param(state, row, shown, move, id=f"{state}: {what}")
    for state, rows in TABLE.items()
    for what, row, shown, move in rows
]


@pytest.mark.parametrize(("state", "row", "shown", "expected"), ROWS)
def test_the_next_move(state, row, shown, expected):
    move = decide(case(state, **row), shown)
    assert (move.to, move.call, move.reason) == expected


def test_every_open_state_is_in_the_table():
    assert set(TABLE) == OPEN


@pytest.mark.parametrize("state", sorted(SETTLED))
def test_settled_stays_settled(state):
    for shown in (GONE, seen("rescued"), seen("active"), seen("error", HOST_ERROR)):
        assert decide(case(state), shown).to is None
        assert decide(case(state), shown).call is None


@pytest.mark.parametrize("state", sorted(OPEN))
def test_a_cloud_that_does_not_answer_moves_nothing(state):
    """Only a request that was never sent gives up, and only after ten minutes."""
    assert decide_unseen(case(state)) == Move(wait=5)
    old = decide_unseen(case(state, asked_at=ago(minutes=11)))
    phase = phase_of(state)
    if phase and state is phase.requested:
        assert (old.to, old.reason) == (case(state).fallback, "expired")
    else:
        assert old.to is None


ANSWERS = {
    # kind: after a rescue, after an exit or reboot (FB: back to where it came from)
    "accepted": ("waiting", "waiting"),
    "gone": (S.GONE, S.GONE),
    "invalid": (S.REFUSED, "fallback"),
    "forbidden": (S.REFUSED, "fallback"),
    "limited": ("requested", "requested"),
    "credentials": ("requested", "requested"),
    "conflict": ("in_doubt", "in_doubt"),
    "silent": ("in_doubt", "in_doubt"),
    "broken": ("in_doubt", "in_doubt"),
    "never heard of": ("in_doubt", "in_doubt"),
}


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.call)
@pytest.mark.parametrize("answer", ANSWERS)
def test_after_a_call(phase, answer):
    row = case(phase.calling, fallback=S.EXIT_BROKEN)
    wanted = ANSWERS[answer][phase is not RESCUE]
    wanted = S.EXIT_BROKEN if wanted == "fallback" else getattr(phase, wanted, wanted)
    assert after_call(phase, answer, row).to == wanted


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.call)
@pytest.mark.parametrize("answer", ["limited", "credentials", "invalid", "forbidden"])
def test_a_no_to_a_repeated_call_says_nothing_of_the_first(phase, answer):
    """The first call's answer was lost: it may still have been heard."""
    move = after_call(phase, answer, case(phase.calling, calls=2))
    assert move.to == phase.in_doubt


def test_the_waits_are_short_at_first_and_long_when_stuck():
    shown = seen("active", act("rescue", host_started_at=NOW), task="rescuing")
    waits = [
        decide(case(S.WAITING, **OURS | {"called_at": ago(seconds=s)}), shown).wait
        for s in (1, 119, 121, 899, 901)
    ]
    assert waits == [0.4, 0.4, 3, 3, 30]
    assert decide(case(S.READY, **OURS), seen("rescued", act("rescue"))).wait is None


def test_the_sets_of_states_fit_together():
    assert set(State) == OPEN | SETTLED
    assert not OPEN & SETTLED
    assert IN_RESCUE < OPEN
    assert BROKEN < SETTLED
    assert OPEN | BROKEN | {S.RECOVERED} <= KEEPS_PASSWORD
    assert KEEPS_PASSWORD.isdisjoint({S.CLOSED, S.GONE, S.ENDED_OUTSIDE, S.LOST_RACE, S.REFUSED})
    assert {state for state in State if phase_of(state)} == OPEN - IN_RESCUE


def test_a_stuck_row_belongs_to_its_call():
    assert phase_of(S.STUCK) is RESCUE
    assert phase_of(S.EXIT_STUCK) is EXIT
    assert phase_of(S.READY) is None


def test_the_call_of_an_unknown_id_is_the_first_of_ours_since():
    mine = [act("rescue", f"req-{n}", US) for n in (3, 2)]
    theirs = [act("rescue", f"req-{n}", THEM) for n in (5, 4)]
    shown = seen("active", *theirs, *mine, OLD)
    row = case(S.IN_DOUBT)
    assert lifecycle.new_action(row, shown, "rescue") == mine[-1]
    assert lifecycle.new_action(replace(row, request_id="req-5"), shown, "rescue") == theirs[0]
    assert lifecycle.new_action(replace(row, request_id="req-9"), shown, "rescue") is None


def test_which_states_belong_together():
    """What the driver, the pages and the sweeper ask a state for."""
    names = {
        "STARTING": "REQUESTED CALLING IN_DOUBT WAITING STUCK",
        "IN_RESCUE": "READY EXTERNAL",
        "BROKEN": "FAILED_BROKEN EXIT_BROKEN",
        "KEPT_AFTER_END": "FAILED_BROKEN EXIT_BROKEN RECOVERED",
        "LEFT_CLEAN": "CLOSED ENDED_OUTSIDE ENDED_BY_CLOUD GONE",
        "SETTLED": "CLOSED CANCELLED DENIED EXPIRED REFUSED LOST_RACE FAILED_CLEAN FAILED_BROKEN"
        " EXIT_BROKEN RECOVERED ENDED_OUTSIDE ENDED_BY_CLOUD GONE",
    }
    for group, states in names.items():
        assert getattr(lifecycle, group) == {State(name) for name in states.split()}, group
    assert {"active", "stopped", "error"} == lifecycle.RESCUABLE_VM_STATES
    assert {"deleted", "soft-delete"} == observed.GONE_VM_STATES
    assert {"rescue", "unrescue"} == lifecycle.EXIT_MARKS


SILENT = (None, None, "host_silent")
NO_TRACE = {"request_id": "req-refused"}
QUARTER = {"called_at": ago(minutes=15)}
THEIRS_SINCE = act("rescue", "req-4", THEM)
TWO_MINUTES = OURS | {"called_at": ago(minutes=2)}
DONE_AT_ONCE = OURS | {"called_at": ago(minutes=1)}
LONG_AGO = {"called_at": ago(seconds=26)}
EDGES = [
    (S.REQUESTED, {"asked_at": ago(minutes=10)}, seen("active"), (S.CALLING, Call.RESCUE, "")),
    (S.IN_DOUBT, NO_TRACE, seen("rescued", act("rescue", "req-9", THEM)), to(S.LOST_RACE)),
    (S.IN_DOUBT, NO_TRACE, seen("active", task="rescuing"), to(S.LOST_RACE)),
    (S.IN_DOUBT, {"called_at": ago(seconds=25)}, seen("active"), (S.CALLING, Call.RESCUE, "")),
    (
        S.EXIT_IN_DOUBT,
        NO_TRACE | LONG_AGO,
        seen("rescued"),
        (S.EXIT_CALLING, Call.UNRESCUE, ""),
    ),
    (S.EXIT_IN_DOUBT, LONG_AGO, seen("active", task="powering-off"), STAY),
    (S.WAITING, OURS, seen("rescued", HOST_ERROR), to(S.READY)),
    (S.WAITING, DONE_AT_ONCE, seen("active", act("rescue", **DONE)), STAY),
    (S.WAITING, OURS | QUARTER, seen("active", act("rescue")), SILENT),
    (S.WAITING, TWO_MINUTES, seen("active", act("rescue", host_started_at=NOW)), STAY),
    (S.WAITING, OURS | QUARTER, seen("active", act("rescue", host_started_at=NOW), task="x"), STAY),
    (S.EXIT_WAITING, OURS | QUARTER, seen("rescued", OUR_EXIT), SILENT),
    (S.EXIT_WAITING, OURS, seen("rescued"), STAY),
    (S.EXIT_WAITING, OURS, seen("rescued", THEIRS_SINCE, OUR_EXIT, task="unrescuing"), STAY),
    (S.EXIT_WAITING, OURS, seen("active", OUR_EXIT, task="unrescuing"), STAY),
    (S.EXIT_WAITING, OURS, seen("error", OUR_EXIT, task="unrescuing"), STAY),
    (S.EXIT_WAITING, OURS, seen("rescued", EXIT_FAILED, task="deleting"), STAY),
    (S.REBOOT_WAITING, OURS | QUARTER, seen("error", act("reboot"), task="rebooting_hard"), STAY),
    (S.REBOOT_WAITING, OURS, seen("active", act("reboot"), task="rebooting_hard"), STAY),
    (S.REBOOT_REQUESTED, {}, seen("active", task="rebooting_hard"), STAY),
    (S.REBOOT_IN_DOUBT, LONG_AGO, seen("active", task="rebooting_hard"), STAY),
]


@pytest.mark.parametrize(("state", "row", "shown", "expected"), EDGES)
def test_the_edges_of_the_rules(state, row, shown, expected):
    """Each of these is what one small change to the rules would get wrong, and nothing else."""
    move = decide(case(state, **row), shown)
    assert (move.to, move.call, move.reason) == expected


def test_a_calls_action_is_known_by_action_and_id():
    def found(*acts, **row):
        return lifecycle.new_action(case(S.IN_DOUBT, **row), seen("active", *acts), "rescue")

    assert found(act("stop", "req-1"), request_id="req-1") is None
    assert found(act("rescue", ""), baseline=frozenset({""})) is None
    ours, theirs = act("rescue", "req-2"), act("rescue", "req-1", THEM)
    assert found(ours, theirs) == ours
    assert found(theirs) == theirs


def test_a_calls_action_is_known_by_when_the_server_was_quiet():
    quiet = {"quiet_since": ago(seconds=20), "baseline": frozenset()}
    old, new = (act("rescue", "req-1", started_at=ago(seconds=n)) for n in (21, 20))
    for shown, ours in ((old, None), (new, new)):
        row = case(S.IN_DOUBT, **quiet)
        assert lifecycle.new_action(row, seen("active", shown), "rescue") == ours
    # Nothing was done to it since: what is old ended nothing of ours.
    left = act("unrescue", "req-2", started_at=ago(seconds=30))
    assert decide(case(S.READY, **quiet), seen("rescued", left)).to is None
    left = act("unrescue", "req-2", started_at=ago(seconds=3))
    assert decide(case(S.READY, **quiet), seen("rescued", left)).to == S.ENDED_OUTSIDE


def test_how_soon_it_is_looked_at_again():
    looks = [
        (S.CALLING, {}, seen("active"), 0),
        (S.EXIT_REQUESTED, {}, seen("rescued", task="deleting"), 1),
        (S.REBOOT_REQUESTED, {}, seen("error", task="deleting"), 1),
        (S.IN_DOUBT, {}, seen("active", act("rescue", "req-9", THEM), task="rescuing"), 1),
        (S.IN_DOUBT, {}, seen("active"), 1),
        (S.REBOOT_WAITING, {}, seen("error", task="rebooting_hard"), 1),
        (S.READY, {}, seen("rescued", task="unrescuing"), 1),
        (S.READY, {}, seen("active", task="powering-off"), 1),
        (S.READY, {}, seen("rescued"), None),
    ]
    for state, row, shown, seconds in looks:
        assert decide(case(state, **row), shown).wait == seconds, (state, shown)
    for phase in PHASES:
        for answer, wait in (("accepted", 0.5), ("silent", 0.5), ("limited", 10)):
            assert after_call(phase, answer, case(phase.calling)).wait == wait
