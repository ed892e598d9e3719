"""The whole driver against a small Nova in memory, by a clock in memory, whatever happens when.

The rules of ``test_lifecycle_model`` judge the pure decisions; here the real rows, use cases,
leases, versions, passwords and audit entries live through the same world: people, hosts, other
people's CLIs, workers that die, two workers at once, answers that are lost or come late.
"""

import os
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from instances import driver, rescue
from instances.cloud import Accepted, BadCredentials, Broken, CloudError, Conflict, Gone, Limited
from instances.cloud import Silent as NoAnswer
from instances.cloud.facts import server_from
from instances.lifecycle import CALL_TIMEOUT, KEEPS_PASSWORD, LEFT_CLEAN, OPEN, Call, State
from instances.models import Instance, Rescue, clock
from instances.models.mirror import facts_of
from instances.observed import GONE
from teams.models import AuditEntry, Membership
from tests.instances import rows
from tests.instances.test_lifecycle_model import THEM, US, Nova

NETWORK = [
    "fine",
    "fine",
    "fine",
    "fine",
    "lost reply",
    "lost request",
    "late",
    "dies before",
    "dies after",
    "limited",
    "refused",
    "credentials",
    "unseen",
    "another password",
    "twin",
]


class Died(BaseException):
    """The worker is no more."""


class Memory:
    """What the driver knows as a cloud; ``network`` is how the next call fares."""

    def __init__(self, nova: Nova, clock: Any) -> None:
        self.nova, self.clock, self.network = nova, clock, "fine"
        self.late: list[tuple[float, Call, str]] = []
        self.asking: Any = None
        self.meanwhile: Any = None

    def identity(self) -> tuple[str, str]:
        return US, "project"

    def look(self, server_id: str, **_how: Any) -> Any:
        if self.meanwhile:
            other, self.meanwhile = self.meanwhile, None
            other()
        if self.network == "unseen":
            raise NoAnswer
        seen = self.nova.seen()
        if seen.gone:
            return None, GONE
        return server_from(raw_of(self.nova, server_id)), seen

    def rescue(self, server_id: str, *, image_ref: str, password: str) -> Accepted:
        return self._post(Call.RESCUE, password)

    def unrescue(self, server_id: str) -> Accepted:
        return self._post(Call.UNRESCUE)

    def hard_reboot(self, server_id: str) -> Accepted:
        return self._post(Call.REBOOT)

    def _post(self, call: Call, password: str = "") -> Accepted:
        told = "novas-own" if password and self.network == "another password" else password
        mine = f"{self.asking}|{told}"
        answers: dict[str, CloudError] = {
            "limited": Limited(retry_after=3),
            "credentials": BadCredentials(),
            "refused": Broken(request_id="req-refused"),
        }
        if self.network in answers:
            raise answers[self.network]
        if self.network == "dies before":
            raise Died
        if self.network == "late":
            self.late.append((self.clock.timestamp() + 20, call, mine))
        answer, request_id = "silent", ""
        if self.network not in ("late", "lost request"):
            answer, request_id = self.nova.post(call, mine, US)
        if self.network == "dies after":
            raise Died
        if self.network in ("late", "lost request", "lost reply"):
            self.clock.pass_by(CALL_TIMEOUT.total_seconds())
            raise NoAnswer
        if answer == "conflict":
            raise Conflict("busy", request_id=request_id)
        if answer == "gone":
            raise Gone
        return Accepted(request_id, told)


class Clock:
    def __init__(self) -> None:
        self.traveller = time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False)
        self.at = self.traveller.start()

    def timestamp(self) -> float:
        return datetime.now(UTC).timestamp()

    def pass_by(self, seconds: float) -> None:
        self.at.shift(seconds)


def raw_of(nova: Nova, server_id: str) -> dict[str, Any]:
    return {
        "id": server_id,
        "name": "web-1",
        "status": nova.vm_state.upper(),
        "OS-EXT-STS:vm_state": nova.vm_state,
        "OS-EXT-STS:task_state": nova.task,
        "locked": nova.locked,
        "config_drive": "True",
        "created": "2026-01-01T00:00:00Z",
        "OS-SRV-USG:launched_at": "2026-01-01T00:00:00",
        "flavor": {"ram": 8192},
        "image": {"id": "debian"},
    }


class World(RuleBasedStateMachine):
    account: Any
    alice: Any
    patch: Any

    @initialize(vm_state=st.sampled_from(["active", "stopped", "error"]))
    def begin(self, vm_state: str) -> None:
        self.undone = transaction.atomic()
        self.undone.__enter__()
        self.clock, self.nova = Clock(), Nova(vm_state)
        self.cloud = Memory(self.nova, self.clock)
        self.patch.setattr(driver, "open_account", lambda _account: self.cloud)
        self.instance = rows.instance(self.account, vm_state=vm_state, image_name="Debian 12")
        self.settled: dict[Any, str] = {}

    # People -----------------------------------------------------------------------------------

    def _fresh(self) -> Instance:
        return Instance.objects.with_panel_data().get(pk=self.instance.pk)

    def _try(self, use_case: Any, **given: Any) -> None:
        with suppress(rescue.NotPossible, PermissionDenied):
            use_case(by=self.alice, **given)

    @rule()
    def asks_for_a_rescue(self) -> None:
        self._try(
            rescue.start,
            instance=self._fresh(),
            image_ref=rows.RESCUE_IMAGE,
            idempotency_key=uuid.uuid4(),
        )

    @rule()
    def asks_for_the_exit(self) -> None:
        self._try(rescue.request_exit, instance=self._fresh())

    @rule()
    def asks_for_a_reboot(self) -> None:
        for row in Rescue.objects.filter(instance=self.instance):
            self.settled.pop(row.pk, None)  # the one thing that opens a settled row
        self._try(rescue.hard_reboot, instance=self._fresh())

    @rule()
    def takes_it_back(self) -> None:
        for row in Rescue.objects.open().filter(instance=self.instance):
            self._try(rescue.cancel, rescue=row)

    @rule(role=st.sampled_from(["owner", "owner", "reader"]))
    def gets_another_role(self, role: str) -> None:
        Membership.objects.filter(user=self.alice).update(role=role)
        self.alice.__dict__.pop("_roles", None)

    # The world --------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 5, 12, 30, 200, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.pass_by(seconds)
        now = self.clock.timestamp()
        for post in [one for one in self.cloud.late if one[0] <= now]:
            self.cloud.late.remove(post)
            self.nova.post(post[1], post[2], US)

    @precondition(lambda self: self.nova.job)
    @rule(how=st.sampled_from(["well", "well", "breaks", "reverts"]))
    def the_host_works(self, how: str) -> None:
        self.nova.work(how)

    @rule(what=st.sampled_from(["rescue", "unrescue", "lock", "unlock", "auto exit", "delete"]))
    def somebody_else_acts(self, what: str) -> None:
        nova = self.nova
        if what in ("lock", "unlock"):
            nova.locked = what == "lock"
        elif what == "delete" and len(nova.acts) > 3:
            nova.vm_state, nova.task, nova.job = "deleted", None, None
        elif what == "auto exit" and nova.vm_state == "rescued" and not nova.task:
            nova.vm_state, nova.password = "active", ""
        elif what in ("rescue", "unrescue"):
            nova.post(Call(what), f"theirs|{len(nova.acts)}", THEM)

    # The workers ------------------------------------------------------------------------------

    @rule(network=st.sampled_from(NETWORK))
    def a_worker_steps(self, network: str) -> None:
        self.cloud.network = network
        for row in Rescue.objects.open().filter(instance=self.instance):
            self.cloud.asking = row.pk
            if network == "twin":
                self.cloud.meanwhile = lambda row=row: driver.step(row.pk)
            with suppress(Died):
                driver.step(row.pk)
            self._true_when_ready(row)
        self.cloud.network = "fine"

    def _true_when_ready(self, before: Rescue) -> None:
        row = Rescue.objects.get(pk=before.pk)
        if row.state == State.READY and before.state in ("WAITING", "STUCK", "IN_DOUBT"):
            assert self.nova.password == f"{row.pk}|{row.password()}", "ready, and it does not work"

    @rule()
    def the_synchroniser_reads(self) -> None:
        if self.nova.vm_state == "deleted":
            Instance.objects.filter(pk=self.instance.pk).update(deleted_at=clock.now())
        else:
            server = server_from(raw_of(self.nova, self.instance.server_id))
            facts = facts_of(server, image_names={}, seen_at=clock.now())
            Instance.objects.filter(pk=self.instance.pk).update(**facts)
        driver.wake({self.instance.pk})
        driver.adopt(self.account.pk)

    # What holds -------------------------------------------------------------------------------

    @invariant()
    def one_accepted_rescue_for_one_row(self) -> None:
        if not hasattr(self, "nova"):
            return
        counts: dict[str, int] = {}
        for mine, count in self.nova.accepted.items():
            pk = mine.partition("|")[0]
            counts[pk] = counts.get(pk, 0) + count
        counts.pop("theirs", None)
        assert all(count == 1 for count in counts.values()), counts

    @invariant()
    def a_password_that_a_machine_holds_is_kept(self) -> None:
        if not hasattr(self, "nova") or self.nova.vm_state != "rescued":
            return
        pk, _, password = self.nova.password.partition("|")
        row = Rescue.objects.filter(pk=pk).first() if pk not in ("", "theirs") else None
        if row and password != "novas-own":
            assert row.sealed_password, row.state
            assert row.password() == password, row.state

    @invariant()
    def rows_are_what_they_may_be(self) -> None:
        if not hasattr(self, "nova"):
            return
        found = list(Rescue.objects.filter(instance=self.instance))
        assert sum(row.state in OPEN for row in found) <= 1
        for row in found:
            assert not row.sealed_password or row.state in KEEPS_PASSWORD, row.state
            before = self.settled.setdefault(row.pk, row.state)
            assert before in OPEN or row.state == before, (before, row.state)
            self.settled[row.pk] = row.state

    def teardown(self) -> None:
        """Let the faults end: all ends within minutes, the trail tells of it once."""
        if not hasattr(self, "nova"):
            return
        try:
            self._let_it_end()
        finally:
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)
            self.clock.traveller.stop()

    def _let_it_end(self) -> None:
        self.gets_another_role("owner")
        for _turn in range(300):
            if not self._moves():
                break
            if self.nova.job:
                self.nova.work("well")
            self.time_passes(6)
            self.the_synchroniser_reads()
            self.a_worker_steps("fine")
            self.rows_are_what_they_may_be()
        assert not self._moves(), list(Rescue.objects.values_list("state", flat=True))
        for row in Rescue.objects.filter(instance=self.instance):
            acts = list(
                AuditEntry.objects.filter(details__rescue=str(row.pk)).values_list("act", flat=True)
            )
            assert acts.count("rescue.ready") <= 1, acts
            if row.state in LEFT_CLEAN:
                assert not row.sealed_password

    def _moves(self) -> bool:
        """Something is still under way: a row at work, a late request, a host."""
        resting = {State.READY, State.EXTERNAL}
        states = Rescue.objects.open().filter(instance=self.instance)
        agree = self.nova.vm_state == "rescued"
        return bool(self.cloud.late or self.nova.job) or any(
            row.state not in resting or not agree or row.next_at is not None for row in states
        )


@pytest.mark.timeout(3600)
def test_whatever_happens_when(teams: Any, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    World.alice, World.patch = alice, monkeypatch
    World.account = rows.account(teams.acme)
    rows.images(World.account)
    if connection.vendor == "postgresql":  # whose clock is its own
        monkeypatch.setattr(clock, "connection", type("Here", (), {"vendor": "memory"}))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        World,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "12")),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
