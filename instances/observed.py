"""What a cloud showed of a server: the words in which its edge tells it and the life decides on it.

Pure, as ``lifecycle`` is: no Django, no clock, no network.
"""

from dataclasses import dataclass, field
from datetime import datetime

GONE_VM_STATES = frozenset({"deleted", "soft-delete"})


@dataclass(frozen=True)
class Act:
    """One of Nova's instance actions."""

    request_id: str
    action: str
    user_id: str | None
    failed: bool = False
    #: when it was asked for, by the cloud's clock
    started_at: datetime | None = None
    #: when the host began, None while it has not picked the action up
    host_started_at: datetime | None = None
    finished: bool = False


@dataclass(frozen=True)
class Seen:
    """What the cloud showed: the server, then its actions, newest first.

    Instead of them, before a call: ``quiet_since``, from when on nothing was done to it, by the
    cloud's clock.
    """

    vm_state: str
    task_state: str | None = None
    locked: bool = False
    actions: tuple[Act, ...] = field(default=())
    quiet_since: datetime | None = None

    @property
    def gone(self) -> bool:
        return self.vm_state in GONE_VM_STATES

    @property
    def idle(self) -> bool:
        return self.task_state is None


GONE = Seen(vm_state="deleted")
