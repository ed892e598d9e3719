"""The audit trail: one function writes, nothing changes what was written."""

from typing import Any

from teams.models import AuditEntry, Team, User


def record(
    act: str,
    *,
    team: Team | None,
    target: str,
    actor: User | None = None,
    **details: Any,
) -> AuditEntry:
    """Write down who did what to which thing; ``details`` must hold no secret.

    ``actor`` None is the panel itself; whoever of the staff acts for the actor is named too.
    Call it inside the transaction of the change it tells of.
    """
    return AuditEntry.objects.create(
        act=act,
        team=team,
        target=target[:300],
        actor=actor,
        acting_by=actor.acted_by if actor else None,
        details=details,
    )
