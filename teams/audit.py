"""The audit trail: one function writes, nothing changes what was written."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from teams import chain, tally
from teams.models import AuditEntry, Team, User

logger = logging.getLogger(__name__)

#: PostgreSQL's lock around the end of the chain: any number that nothing else in this base uses
END_OF_CHAIN = 7_236_174_202
VERIFIED = "audit-verified"
VERIFIED_EVERY = 23 * 60 * 60.0


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
    Call it inside the transaction of the change it tells of, after the change: from here to the
    commit no other entry can be written.
    """
    with transaction.atomic():
        number, previous = _end()
        entry = AuditEntry(
            pk=number + 1,
            at=timezone.now(),
            act=act,
            team=team,
            target=chain.plain(target)[:300],
            actor=actor,
            acting_by=actor.acted_by if actor else None,
            details=chain.plain(json.loads(json.dumps(details, cls=DjangoJSONEncoder))),
        )
        entry.hash = chain.digest(previous, entry.link())
        entry.save(force_insert=True)
    return entry


def _end() -> tuple[int, str]:
    """Return number and hash of the last entry, and keep other writers out until the commit.

    SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [END_OF_CHAIN])
    return head()


def verify(head: str = "") -> chain.Verdict:
    """Walk along the whole trail; ``head`` is the hash of an entry that has to be in it."""
    verdict = chain.verify(_links(), head=head)
    tally.note(VERIFIED, whole=int(not verdict.problem), entries=verdict.count)
    return verdict


def verify_if_due() -> None:
    """Verify the trail unless that was done within a day, also by a person; shout when broken."""
    try:
        last = tally.noted(VERIFIED)
    except RedisError:
        return  # nobody could be told
    if last.get("whole") and time.time() - last["at"] < VERIFIED_EVERY:
        return
    verdict = verify()
    if verdict.problem:
        logger.error("audit trail: %s", verdict.problem)


def _links() -> Iterator[chain.Link]:
    for entry in AuditEntry.objects.order_by("pk").iterator(2000):
        yield entry.link()


def head() -> tuple[int, str]:
    """Return number and hash of the newest entry."""
    last = AuditEntry.objects.order_by("-pk").values_list("pk", "hash").first()
    return last or (0, "")


def keep_head() -> None:
    """Write the head down outside the database: in the log, and in a file if one is named.

    Only against a head kept elsewhere does a cut tail show, or a trail that was written anew.
    """
    number, newest = head()
    logger.info("audit trail: %s entries, head %s", number, newest or "none")
    if not settings.AUDIT_HEADS:
        return
    line = f"{timezone.now().isoformat(timespec='seconds')} {number} {newest}\n"
    try:
        with Path(settings.AUDIT_HEADS).open("a", encoding="ascii") as kept:
            kept.write(line)
    except OSError as problem:
        logger.error("audit trail: the head cannot be written to AUDIT_HEADS: %s", problem)  # noqa: TRY400
