"""Write what a listing shows into the mirror, a page in a few statements."""

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from instances import driver, events
from instances.cloud import Server
from instances.models import CloudMirror, Instance
from instances.models.mirror import facts_of


def keep(
    mirror: CloudMirror, servers: list[Server], seen_at: datetime, *, listed_at: Any = None
) -> list[uuid.UUID]:
    """Insert and update a page, and tell of what changed; return the rescues that this woke.

    ``seen_at`` is when the page was asked for, ``listed_at`` when the full listing began, if it
    is one. A server without a name is in a cell that is down: what we knew is better than what
    Nova says of it.
    """
    names = mirror.account.images.names()
    facts = {
        server.server_id: facts_of(server, image_names=names, seen_at=seen_at)
        for server in servers if server.name is not None
    }  # fmt: skip
    with transaction.atomic():
        rows = _locked(mirror, [server.server_id for server in servers])
        differing = [row for ident, row in rows.items() if _differs(row, facts.get(ident), seen_at)]
        new = [ident for ident in facts if ident not in rows and not facts[ident]["deleted_at"]]
        for row in differing:
            if row.deleted_at and facts[row.server_id]["deleted_at"]:
                facts[row.server_id]["deleted_at"] = row.deleted_at  # when we first saw it gone
        written = _write(mirror, facts, [*new, *(row.server_id for row in differing)])
        _touch(rows.values(), facts, seen_at, listed_at, [row.pk for row in written])
        _announce(mirror, facts, new, differing)
        return driver.wake({row.pk for row in written})


def _locked(mirror: CloudMirror, ids: list[str]) -> dict[str, Instance]:
    """Read the rows for writing: two listings and a rescue's own look may show them at once."""
    rows = mirror.account.instances.filter(server_id__in=ids).order_by("pk").select_for_update()
    return {row.server_id: row for row in rows}


def _differs(row: Instance, facts: dict[str, Any] | None, seen_at: datetime) -> bool:
    """Tell whether any fact but the time of seeing differs; a row seen later knows better."""
    if facts is None or row.seen_at > seen_at:
        return False
    for name, value in facts.items():
        if name == "deleted_at" and value and row.deleted_at:
            continue
        if name != "seen_at" and getattr(row, name) != value:
            return True
    return False


def _write(mirror: CloudMirror, facts: dict[str, dict[str, Any]], ids: list[str]) -> list[Instance]:
    if not ids:
        return []
    return Instance.objects.bulk_create(
        [Instance(account=mirror.account, server_id=ident, **facts[ident]) for ident in ids],
        update_conflicts=True,
        unique_fields=["account", "server_id"],
        update_fields=list(facts[ids[0]]),
    )


def _touch(
    rows: Any, facts: dict[str, Any], seen_at: datetime, listed_at: Any, written: list[int]
) -> None:
    """Note that rows were seen as they are; an older answer must not undo that."""
    same = [row.pk for row in rows if row.server_id in facts and row.seen_at < seen_at]
    Instance.objects.filter(pk__in=set(same) - set(written)).update(seen_at=seen_at)
    if listed_at:
        Instance.objects.filter(pk__in=[*written, *(row.pk for row in rows)]).update(
            listed_at=listed_at
        )


def _announce(
    mirror: CloudMirror, facts: dict[str, Any], new: list[str], differing: list[Instance]
) -> None:
    topics = {f"instance:{row.pk}" for row in differing}
    if new or any(facts[row.server_id]["deleted_at"] for row in differing):
        topics.add("list")
    if topics:
        events.changed(mirror.account.team_id, topics)


def mark_missing(mirror: CloudMirror, began: datetime, now: datetime) -> list[uuid.UUID]:
    """Mark as deleted what a full listing did not show, and nobody has seen since it began.

    Return the rescues that this woke.
    """
    unlisted = Q(listed_at=None) | Q(listed_at__lt=began)
    missing = mirror.account.instances.filter(unlisted, deleted_at=None, seen_at__lt=began)
    with transaction.atomic():
        gone = set(missing.values_list("pk", flat=True))
        if gone:
            missing.update(deleted_at=now)
            events.changed(mirror.account.team_id, ["list"])
        return driver.wake(gone)
