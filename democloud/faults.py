"""Hold the knobs: how long things take, and what is to go wrong."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

OUTAGES = ("503", "drop", "hang", "slow", "cut")
SERVER_FAULTS = (
    "driver_error",  # the hypervisor fails: ERROR and a fault
    "silent_revert",  # nova-compute fails before that: ACTIVE again, only the action says Error
    "host_silent",  # nova-compute is away: stays rescuing, goes on when this is cleared
    "lost_reply",  # accepted, then the connection is closed without an answer
    "refuse_500",  # an unexpected error of the API, nothing happens
    "race_500",  # someone else's same request wins, this one gets 500 UnexpectedTaskStateError
    "slow_reply",  # the answer comes only after so many seconds
    "429",  # too many requests; the value is Retry-After
    "unrescue_fails",  # the hypervisor fails to leave: ERROR and a fault
    "cell_down",  # its database cannot be reached: lists show a bare server, UNKNOWN
    "auto_exit",  # Nova's rescue_timeout: leaves rescue by itself after so many seconds
)
WITH_SECONDS = ("slow_reply", "429", "auto_exit")


class BadKnob(ValueError):
    """A knob that does not exist, or cannot have that value."""


@dataclass
class Knobs:
    """The present setting; `servers` is keyed by id, name or `*`, to {fault: value}.

    A fault's value is true (always) or a number: its seconds where it has some, else how often.
    """

    rescue_seconds: float = 8.0
    unrescue_seconds: float = 4.0
    spawn_seconds: float = 3.0
    boot_seconds: float = 1.5
    other_seconds: float = 1.0
    slow_seconds: float = 60.0
    pickup_seconds: float = 0.5
    outage_seconds: float = 5.0
    token_seconds: float = 3600.0
    #: every request to Nova gets 429 with this Retry-After
    nova_limit_seconds: float = 0.0
    #: more servers than this in one answer are too many, as where Neutron's request line is short
    longest_list: int = 0
    instance_password: bool = True
    revoked_credentials: list[str] = field(default_factory=list)
    keystone_down: str | None = None
    nova_down: str | None = None
    glance_down: str | None = None
    neutron_down: str | None = None
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def is_away(self, service: str) -> bool:
        """Tell whether the other services cannot reach this one either."""
        return getattr(self, f"{service}_down") in ("503", "drop")

    def set(self, changes: dict[str, Any]) -> None:
        """Set the knobs that are named; all or, if one is wrong, none of them."""
        for name, value in changes.items():
            _check(name, value)
        for name, value in changes.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all knobs."""
        return dataclasses.asdict(self)

    def fault(self, name: str, *keys: str) -> Any:
        """Return a server's fault, None if it has none; look only."""
        for key in (*keys, "*"):
            value = self.servers.get(key, {}).get(name)
            if value:
                return value
        return None

    def take(self, name: str, *keys: str) -> Any:
        """Return a server's fault and use it up by one if it is counted."""
        for key in (*keys, "*"):
            faults = self.servers.get(key, {})
            value = faults.get(name)
            if not value:
                continue
            if value is not True and name not in WITH_SECONDS:
                faults[name] = value - 1
            return value
        return None


def instant() -> Knobs:
    """Return knobs with which nothing takes time, but for what is slow by name."""
    return Knobs(
        rescue_seconds=0,
        unrescue_seconds=0,
        spawn_seconds=0,
        boot_seconds=0,
        other_seconds=0,
        slow_seconds=2,
        pickup_seconds=0,
    )


def _check(name: str, value: Any) -> None:
    if name not in {one.name for one in dataclasses.fields(Knobs)}:
        raise BadKnob(f"there is no knob {name!r}")
    if name == "servers":
        _check_servers(value)
    elif name == "revoked_credentials" and not isinstance(value, list):
        raise BadKnob(f"{name} is a list of ids or names of application credentials")
    elif name.endswith("_down") and value not in (None, *OUTAGES):
        raise BadKnob(f"{name} is null or one of {', '.join(OUTAGES)}")
    elif name.endswith("_seconds") and (
        isinstance(value, bool) or not isinstance(value, int | float) or value < 0
    ):
        raise BadKnob(f"{name} is a number of seconds")
    elif name == "longest_list" and (isinstance(value, bool) or not isinstance(value, int)):
        raise BadKnob(f"{name} is a number of servers, 0 for any number")
    elif name == "instance_password" and not isinstance(value, bool):
        raise BadKnob(f"{name} is true or false")


def _check_servers(value: Any) -> None:
    if not isinstance(value, dict) or not all(
        isinstance(faults, dict) for faults in value.values()
    ):
        raise BadKnob("servers is {id, name or *: {fault: true or a number}}")
    unknown = {fault for faults in value.values() for fault in faults} - set(SERVER_FAULTS)
    if unknown:
        raise BadKnob(
            f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(SERVER_FAULTS)}"
        )
