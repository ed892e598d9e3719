"""The audit trail: one function writes, nothing changes what was written."""

from typing import Any

from teams.models import AuditEntry, Team, User


def record(
    act: str,
    *,
    team: Team | None,
    target: str,
    actor: User | None = None,
    acting_by: User | None = None,
    **details: Any,
) -> AuditEntry:
    """Write down who did what to which thing; ``details`` must hold no secret.

    ``actor`` None is the panel itself; ``acting_by`` is the staff member behind an impersonation.
    Call it inside the transaction of the change it tells of.
    """
    return AuditEntry.objects.create(
        act=act, team=team, target=target[:300], actor=actor, acting_by=acting_by, details=details
    )
