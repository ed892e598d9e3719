"""Keep the mirror true: one synchroniser per cloud account, for all who look at it.

``follow`` asks what changed, often and for little; ``whole`` reads everything, once and then now
and then against drift. Each has a lease of its own, so that the slow one never holds up the other.
"""

import uuid

from instances.inventory.changes import Followed, follow
from instances.inventory.due import (
    Hastened,
    accounts_of_projects,
    due_accounts,
    due_for_all,
    hasten,
    is_overdue,
)
from instances.inventory.whole import read_all

__all__ = [
    "Followed", "Hastened", "accounts_of_projects", "due_accounts", "due_for_all", "follow",
    "hasten", "is_overdue", "read_all", "sync",
]  # fmt: skip


def sync(account_id: int) -> list[uuid.UUID]:
    """Bring a mirror up to date at once; return the rescues that have to be driven."""
    woken = read_all(account_id)
    return follow(account_id, early=True).woken if woken is None else woken
