"""Be the compute host: pick up what the API accepted, take the time it takes, end well or badly."""

from collections.abc import Callable
from dataclasses import dataclass

from democloud.clock import now
from democloud.http import Call
from democloud.state import Action, Cloud, Event, Fault, Server

POWER = {
    "active": 1,
    "stopped": 4,
    "paused": 3,
    "suspended": 7,
    "shelved_offloaded": 4,
    "rescued": 1,
    "resized": 1,
}
ABSENT_LOOKS_AGAIN = 0.2
SHOWN_AS_DELETED = 0.1


def record(call: Call, server: Server, name: str) -> Action:
    """Write down an action; its id is that of the request."""
    stamp = now()
    action = Action(name, call.request_id, call.who.user_id, call.who.project_id, stamp, stamp)
    server.actions.insert(0, action)
    return action


@dataclass
class Job:
    """What the host is to do for one action."""

    cloud: Cloud
    server: Server
    action: Action
    event: str
    seconds: float
    finish: Callable[["Job"], None]
    done: bool = False
    task: str | None = None

    def send(self) -> None:
        """Put it into the host's queue, as Nova's API does by a message."""
        self.task = self.server.task_state
        pickup = min(self.cloud.knobs.pickup_seconds, self.seconds)
        self.cloud.agenda.later(pickup, self._pick_up)

    def _pick_up(self) -> None:
        server = self.server
        if self.cloud.knobs.fault("host_silent", server.id, server.name):
            self.cloud.agenda.later(ABSENT_LOOKS_AGAIN, self._pick_up)
            return
        if server.deleted or (server.task_state == "deleting" and "terminate" not in self.event):
            return
        self.action.events.append(Event(self.event, now()))
        self.action.updated = now()
        rest = max(0.0, self.seconds - self.cloud.knobs.pickup_seconds)
        self.cloud.agenda.later(rest, self._finish)

    def _finish(self) -> None:
        if self.server.deleted:
            return
        if self.server.task_state != self.task:
            self.fail(f"Unexpected task state: expecting {self.task}")
            return
        self.finish(self)
        if not self.done:
            self.succeed()

    def succeed(self) -> None:
        """End the event well."""
        self._end("Success", None)

    def fail(self, details: str) -> None:
        """End the event badly; the action says no more than Error."""
        self._end("Error", details)
        self.action.message = "Error"

    def _end(self, result: str, details: str | None) -> None:
        event = self.action.events[-1]
        event.finished, event.result, event.details = now(), result, details
        self.action.updated = now()
        self.done = True


def start(
    call: Call,
    server: Server,
    action: Action,
    event: str,
    seconds: float,
    finish: Callable[[Job], None],
) -> None:
    """Hand a job to the host."""
    Job(call.cloud, server, action, event, seconds, finish).send()


def settle_in(vm_state: str) -> Callable[[Job], None]:
    """Return a finish that leaves the server in this state."""

    def finish(job: Job) -> None:
        job.server.save(vm_state=vm_state, task_state=None, power_state=POWER[vm_state])

    return finish


def finish_spawn(job: Job) -> None:
    """End a build."""
    job.server.save(vm_state="active", task_state=None, power_state=1, launched_at=now())


def break_down(job: Job, code: int, message: str) -> None:
    """Leave the server in ERROR with a fault."""
    job.server.save(vm_state="error", task_state=None, fault=Fault(code, message, now()))
    job.fail(message)


def finish_rescue(job: Job) -> None:
    """End a rescue: in RESCUE, in ERROR, or silently back."""
    server, knobs = job.server, job.cloud.knobs
    if knobs.is_away("neutron") or knobs.take("silent_revert", server.id, server.name):
        server.save(task_state=None)
        job.fail("Unable to establish connection to the network service")
        return
    if knobs.take("driver_error", server.id, server.name) or "norescue" in server.name:
        why = "the hypervisor was told to fail this rescue"
        break_down(job, 400, f"Instance {server.id} cannot be rescued: Driver Error: demo: {why}")
        return
    server.rescues += 1
    server.save(vm_state="rescued", task_state=None, power_state=1, launched_at=now())
    _plan_auto_exit(job)


def _plan_auto_exit(job: Job) -> None:
    server, seconds = job.server, job.cloud.knobs.fault("auto_exit", job.server.id, job.server.name)
    count = server.rescues

    def leave() -> None:
        if server.rescues == count and server.vm_state == "rescued" and not server.task_state:
            server.rescue_image_id = None
            server.save(vm_state="active")

    if seconds:
        job.cloud.agenda.later(float(seconds), leave)


def finish_unrescue(job: Job) -> None:
    """End an unrescue: always ACTIVE, or ERROR."""
    server = job.server
    if (
        job.cloud.knobs.take("unrescue_fails", server.id, server.name)
        or "nounrescue" in server.name
    ):
        break_down(job, 500, "demo: the hypervisor was told to fail this unrescue")
        return
    server.save(vm_state="active", task_state=None, power_state=1, rescue_image_id=None)


def finish_delete(job: Job) -> None:
    """End a delete: gone, but for changes-since and the actions."""
    server = job.server
    server.save(vm_state="deleted", task_state=None, power_state=0, terminated_at=now())
    job.cloud.agenda.later(SHOWN_AS_DELETED, lambda: server.save(deleted=True))
