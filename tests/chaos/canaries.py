"""Take one guard out of the panel, in the processes of a chaos run only: it has to be noticed."""

from typing import Any

GUARDS = ("rowcount", "password", "baseline", "sweeper")


def take_out(guard: str) -> None:
    """Take a guard out; the sweeper is left out by the harness itself."""
    if guard and guard not in GUARDS:
        raise SystemExit(f"CHAOS_WITHOUT is one of {', '.join(GUARDS)}, not {guard!r}")
    if guard in TAKE_OUT:
        TAKE_OUT[guard]()


def _rowcount() -> None:
    """Forget to ask whether the compare-and-set wrote the row."""
    from instances.models import Rescue

    move = Rescue.move

    def careless(self: Any, to: Any = None, **changes: Any) -> bool:
        if not move(self, to, **changes):
            changes["lease_until"] = changes.pop("keep_lease", None)
            for name, value in (changes | {"state": to or self.state}).items():
                setattr(self, name, value)
            self.version += 1
        return True

    Rescue.move = careless


def _password() -> None:
    """Save the password with the answer, not before the call."""
    from instances import driver

    prepared, accepted = driver._prepared, driver._accepted

    def unsaved(rescue: Any, *args: Any) -> dict[str, Any]:
        changes = prepared(rescue, *args)
        if sealed := changes.pop("sealed_password", ""):
            rescue.sealed_password = sealed
        return changes

    def saved_late(rescue: Any, *args: Any) -> Any:
        type(rescue).objects.filter(pk=rescue.pk).update(sealed_password=rescue.sealed_password)
        return accepted(rescue, *args)

    driver._prepared, driver._accepted = unsaved, saved_late


def _baseline() -> None:
    """Forget which actions were there before the call."""
    from instances import driver

    prepared = driver._prepared

    def without(*args: Any) -> dict[str, Any]:
        return prepared(*args) | {"baseline": [], "quiet_since": None}

    driver._prepared = without


TAKE_OUT = {"rowcount": _rowcount, "password": _password, "baseline": _baseline}
