"""Whose turn it is: a lease in the mirror's row, short because its holder renews it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from instances import events
from instances.models import CloudMirror
from instances.models.clock import now as clock_now
from instances.models.rescue import EARLY

#: what a killed worker costs at most; one question to the cloud takes no longer
LEASE = timedelta(seconds=15)


class Overtaken(Exception):
    """The lease ran out and somebody else has it."""


@dataclass
class Turn:
    """The right to be an account's only reader of a kind, and the row as it was then."""

    mirror: CloudMirror
    lease: str
    until: datetime

    @classmethod
    def take(cls, account_id: int, *, lease: str, due: str, early: bool = False) -> "Turn | None":
        """Take the lease, or return None: somebody else has it, or it can wait."""
        mirror = CloudMirror.objects.select_related("account__team").get(account_id=account_id)
        if mirror.account.disconnected_at:
            return None
        now = clock_now()
        free = Q(**{lease: None}) | Q(**{f"{lease}__lt": now})
        its_time = Q() if early else Q(**{due: None}) | Q(**{f"{due}__lte": now + EARLY})
        until = now + LEASE
        mine = CloudMirror.objects.filter(free, its_time, pk=mirror.pk)
        if mine.update(**{lease: until}) != 1:
            return None
        mirror.refresh_from_db()  # somebody may have had a turn in between
        return cls(mirror, lease, until)

    def renew(self, **changes: Any) -> None:
        """Keep the lease, and write what is known so far; raise ``Overtaken`` when it is lost."""
        until = clock_now() + LEASE
        self._write(**{self.lease: until}, **changes)
        self.until = until

    def end(self, problem: str | None = None, **changes: Any) -> None:
        """Give the lease back with what was learned; raise ``Overtaken`` when it was lost."""
        news = problem is not None and problem != self.mirror.problem
        if news:
            changes |= {"problem": problem, "problem_since": clock_now() if problem else None}
        self._write(**{self.lease: None}, **changes)
        if news:
            tell(self.mirror)

    def _write(self, **changes: Any) -> None:
        mine = CloudMirror.objects.filter(pk=self.mirror.pk, **{self.lease: self.until})
        if mine.update(**changes) != 1:
            raise Overtaken
        for name, value in changes.items():
            setattr(self.mirror, name, value)


def tell(mirror: CloudMirror) -> None:
    """Tell the open pages that an account's state changed."""
    events.changed(mirror.account.team_id, [f"account:{mirror.account_id}", "list"])
