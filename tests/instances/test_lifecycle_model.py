"""The state machine against a small Nova in which anything may happen at any moment.

Hypothesis plays the user, the host, the network, somebody with the CLI, and death; the row is
kept as ``driver`` keeps it. Whatever they do: Nova accepts one rescue for one operation, a
password that a machine holds is never thrown away, and everything ends once the faults end.
"""

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from instances.lifecycle import (
    BROKEN,
    CALL_TIMEOUT,
    DOUBT_GRACE,
    IN_RESCUE,
    KEEPS_PASSWORD,
    OPEN,
    SETTLED,
    Call,
    Case,
    State,
    after_call,
    decide,
    decide_unseen,
    new_action,
    phase_of,
)
from instances.observed import GONE, Act, Seen

US, THEM = "us", "them"
FROM = {
    Call.RESCUE: ("active", "stopped", "error"),
    Call.UNRESCUE: ("rescued",),
    Call.REBOOT: ("active", "stopped", "error"),
}
TASK = {Call.RESCUE: "rescuing", Call.UNRESCUE: "unrescuing", Call.REBOOT: "rebooting_hard"}
NETWORK = ["fine", "fine", "fine", "lost reply", "lost request", "late", "dies before",
           "dies after", "limited", "refused", "credentials", "unseen"]  # fmt: skip


@dataclass
class Nova:
    """One server and its host, with Nova's rules."""

    vm_state: str = "active"
    task: str | None = None
    locked: bool = False
    acts: list[Act] = field(default_factory=list)
    #: what the host still has to do, and the password it was given
    job: tuple[Call, str] | None = None
    password: str = ""
    #: how often a rescue was accepted for each operation, known by its password
    accepted: dict[str, int] = field(default_factory=dict)

    def post(self, call: Call, password: str, user: str) -> tuple[str, str]:
        if self.vm_state == "deleted":
            return "gone", ""
        if self.locked or self.task or self.vm_state not in FROM[call]:
            return "conflict", "req-conflict"
        request_id = f"req-{len(self.acts)}"
        self.acts.insert(0, Act(request_id, call.value, user))
        self.task, self.job = TASK[call], (call, password)
        if call is Call.RESCUE:
            self.accepted[password] = self.accepted.get(password, 0) + 1
        return "accepted", request_id

    def work(self, how: str) -> None:
        (call, password), self.job, self.task = self.job, None, None
        self.acts[0] = replace(
            self.acts[0], failed=how != "well", finished=True, host_started_at=datetime.now(UTC)
        )
        if how == "breaks":
            self.vm_state = "error"
        if how != "well":
            return
        self.vm_state = "rescued" if call is Call.RESCUE else "active"
        self.password = password if call is Call.RESCUE else ""

    def seen(self) -> Seen:
        if self.vm_state == "deleted":
            return GONE
        return Seen(self.vm_state, self.task, self.locked, tuple(self.acts))


@dataclass
class Row:
    password: str
    case: Case
    free_at: datetime
    sealed: str = ""

    def move(self, to: State, **changes) -> None:
        self.case = replace(self.case, state=to, **changes)
        if to not in KEEPS_PASSWORD:
            self.sealed = ""


class Panel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.late: list[tuple[datetime, Call, str]] = []
        self.rows: list[Row] = []
        self.settled: dict[int, State] = {}

    @initialize(vm_state=st.sampled_from(["active", "stopped", "error"]), history=st.booleans())
    def begin(self, vm_state, history):
        self.nova = Nova(vm_state)
        if history:
            for n, (action, user) in enumerate([("rescue", THEM), ("unrescue", None)]):
                self.nova.acts.insert(0, Act(f"req-{n}", action, user, finished=True))

    @property
    def row(self) -> Row:
        return self.rows[-1]

    @property
    def state(self) -> State | None:
        return self.row.case.state if self.rows else None

    # The user ---------------------------------------------------------------------------------

    @precondition(lambda self: self.state not in OPEN and self.nova.vm_state != "deleted")
    @rule()
    def asks_for_a_rescue(self):
        case = Case(State.REQUESTED, self.now, asked_at=self.now, cloud_user_id=US)
        self.rows.append(Row(f"password-{len(self.rows)}", case, self.now))

    @precondition(lambda self: self.state in IN_RESCUE)
    @rule()
    def asks_for_the_exit(self):
        self._ask(State.EXIT_REQUESTED)

    @precondition(lambda self: self.state in BROKEN)
    @rule()
    def asks_for_a_reboot(self):
        self.settled.pop(len(self.rows) - 1, None)
        self._ask(State.REBOOT_REQUESTED)

    def _ask(self, to: State) -> None:
        fresh = {"asked_at": self.now, "called_at": None, "calls": 0, "conflict": False}
        self.row.move(to, fallback=self.state, **fresh)
        self.row.free_at = self.now

    # The world --------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 5, 12, 30, 200, 1000]))
    def time_passes(self, seconds):
        for _second in range(min(seconds, 30)):
            self.now += timedelta(seconds=1)
            self._deliver()
        self.now += timedelta(seconds=max(0, seconds - 30))

    def _deliver(self) -> None:
        for at, call, password in [post for post in self.late if post[0] <= self.now]:
            self.late.remove((at, call, password))
            self.nova.post(call, password, US)

    @precondition(lambda self: self.rows and self.nova.job)
    @rule(how=st.sampled_from(["well", "well", "breaks", "reverts"]))
    def the_host_works(self, how):
        self.nova.work(how)

    @rule(what=st.sampled_from(["rescue", "unrescue", "lock", "unlock", "auto exit", "delete"]))
    def somebody_else_acts(self, what):
        nova = self.nova
        if what in ("lock", "unlock"):
            nova.locked = what == "lock"
        elif what == "delete" and len(self.rows) > 1:
            nova.vm_state, nova.task, nova.job = "deleted", None, None
        elif what == "auto exit" and nova.vm_state == "rescued" and not nova.task:
            nova.vm_state, nova.password = "active", ""
        elif what in ("rescue", "unrescue"):
            nova.post(Call(what), f"theirs-{len(nova.acts)}", THEM)

    # The worker -------------------------------------------------------------------------------

    @precondition(lambda self: self.state in OPEN)
    @rule(network=st.sampled_from(NETWORK))
    def the_worker_steps(self, network):
        row = self.row
        if self.now >= row.free_at:
            row.case = replace(row.case, now=self.now)
            self._step(row, network)

    def _step(self, row: Row, network: str) -> None:
        if network == "unseen":
            self._write(decide_unseen(row.case).to)
            return
        seen = self.nova.seen()
        move = decide(row.case, seen)
        if move.call:
            self._call(move.call, seen, network)
        else:
            self._write(move.to, seen)

    def _write(self, to: State | None, seen: Seen | None = None) -> None:
        row, phase = self.row, phase_of(self.row.case.state)
        act = new_action(row.case, seen, phase.call) if seen and phase else None
        theirs = act and phase.call is Call.RESCUE and act.user_id != US
        if act and not theirs and not row.case.request_id:
            row.case = replace(row.case, request_id=act.request_id)
        if to is None:
            return
        row.move(to)
        if to is State.READY and phase.call is Call.RESCUE:
            assert self.nova.password == row.sealed, "ready with a password that does not work"

    def _call(self, call: Call, seen: Seen, network: str) -> None:
        row, phase = self.row, phase_of(self.row.case.state)
        if row.case.calls == 0:
            baseline = frozenset(act.request_id for act in seen.actions)
            row.case = replace(row.case, baseline=baseline)
            row.sealed = row.password if call is Call.RESCUE else row.sealed
        calls = row.case.calls + 1
        row.move(phase.calling, called_at=self.now, calls=calls, conflict=False, request_id="")
        row.free_at = self.now + DOUBT_GRACE
        if network != "dies before":
            self._answer(call, phase, network)

    def _answer(self, call, phase, network) -> None:
        row, answer, request_id = self.row, "silent", ""
        if network == "late":
            self.late.append((self.now + 2 * CALL_TIMEOUT, call, row.sealed))
        elif network in ("limited", "credentials"):
            answer = network
        elif network == "refused":
            answer, request_id = "broken", "req-refused"
        elif network != "lost request":
            answer, request_id = self.nova.post(call, row.sealed, US)
        if network == "dies after":
            return
        if network in ("lost reply", "lost request", "late"):
            answer, request_id = "silent", ""
            self.now += CALL_TIMEOUT
        to = after_call(phase, answer, row.case).to
        calls = row.case.calls - (answer in ("limited", "credentials"))
        changes = {"conflict": answer == "conflict", "calls": calls}
        if answer == "accepted" or (to == phase.in_doubt and row.case.calls == 1):
            changes["request_id"] = request_id
        row.move(to, **changes)
        row.free_at = self.now

    # What holds -------------------------------------------------------------------------------

    @invariant()
    def one_accepted_rescue_for_one_operation(self):
        if self.rows:
            assert all(count == 1 for count in self.nova.accepted.values())

    @invariant()
    def a_password_that_a_machine_holds_is_kept(self):
        for row in self.rows:
            if self.nova.vm_state == "rescued" and self.nova.password == row.password:
                assert row.sealed == row.password, row.case.state

    @invariant()
    def settled_stays_settled(self):
        for n, row in enumerate(self.rows):
            before = self.settled.setdefault(n, row.case.state)
            assert before not in SETTLED or row.case.state == before
            self.settled[n] = row.case.state

    def teardown(self):
        """Let the faults end: then everything ends, in a quarter of an hour at most."""
        if not self.rows:
            return
        for _turn in range(400):
            if self.state not in OPEN or self._rests():
                break
            if self.nova.job:
                self.nova.work("well")
            self.the_worker_steps("fine")
            self.time_passes(3)
            self.settled_stays_settled()
        assert self.state in SETTLED or self._rests(), self.state
        self.one_accepted_rescue_for_one_operation()
        self.a_password_that_a_machine_holds_is_kept()

    def _rests(self) -> bool:
        """In rescue, and the cloud agrees."""
        move = decide(replace(self.row.case, now=self.now), self.nova.seen())
        return self.state in IN_RESCUE and move.to is None and move.wait is None


TestPanel = Panel.TestCase
TestPanel.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "300")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
