"""Keep the mirror true: one synchroniser per cloud account, for all who look at it."""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Q

from instances import driver, events
from instances.cloud import Cloud, CloudError, Server, open_account
from instances.lifecycle import OPEN
from instances.models import CloudMirror, Image, Instance, Rescue
from instances.models.clock import now as clock_now
from instances.models.mirror import facts_of
from teams.models import CloudAccount

logger = logging.getLogger(__name__)

BATCH = 200
FULL_EVERY = timedelta(minutes=15)
IMAGES_EVERY = timedelta(minutes=5)
#: clocks of cloud and panel differ, and Nova's stamps have whole seconds
OVERLAP = timedelta(seconds=10)
LEASE = timedelta(minutes=2)
WATCHED_PACE = timedelta(seconds=3)
IDLE_PACE = timedelta(seconds=60)
AFTER_PROBLEM = timedelta(seconds=15)


def due_accounts() -> list[int]:
    """Return the accounts to synchronise now: sooner when somebody watches or something moves."""
    now = clock_now()
    CloudMirror.objects.bulk_create(
        [
            CloudMirror(account=account)
            for account in CloudAccount.objects.connected().filter(mirror=None)
        ],
        ignore_conflicts=True,
    )
    connected = CloudMirror.objects.filter(account__disconnected_at=None)
    free = connected.filter(Q(lease_until=None) | Q(lease_until__lt=now))
    due = free.filter(Q(next_at=None) | Q(next_at__lte=now))
    watched = _watched_and_quiet(free, now)
    return sorted(set(due.values_list("account_id", flat=True)) | watched)


def _watched_and_quiet(free: Any, now: datetime) -> set[int]:
    """Accounts that were left to the idle pace and that somebody has begun to watch since."""
    quiet = free.filter(problem="", synced_at__lt=now - WATCHED_PACE)
    teams = dict(quiet.values_list("account_id", "account__team_id"))
    watched = events.watched_teams(set(teams.values()))
    return {account for account, team in teams.items() if team in watched}


def sync(account_id: int) -> list[uuid.UUID]:
    """Bring one account's mirror up to date; return the rescues that have to be driven.

    One synchroniser per account: the row's lease keeps others out, and outlives a killed worker
    by two minutes at most.
    """
    now = clock_now()
    mirror = CloudMirror.objects.select_related("account__team").get(account_id=account_id)
    if mirror.account.disconnected_at:
        return []
    mine = CloudMirror.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now), pk=mirror.pk)
    if mine.update(lease_until=now + LEASE) != 1:
        return []
    first = not mirror.first_sync_done
    try:
        changed, problem = _read_cloud(mirror, now)
    except CloudError as error:
        logger.warning("account %s: %s %s", account_id, error.kind, error.request_id)
        changed, problem = set(), error.kind
    except Exception:  # whatever it was, the lease goes back and the page says so
        logger.exception("account %s: not synchronised", account_id)
        changed, problem = set(), "broken"
    _settle(mirror, problem, first=first)
    return driver.heard_of(account_id, changed)


def _read_cloud(mirror: CloudMirror, now: datetime) -> tuple[set[int], str]:
    """Return the instances that changed, and what is wrong with the images, if anything."""
    cloud = open_account(mirror.account)
    if not mirror.project_id:
        _introduce(mirror, cloud)
    # The first servers want their images' names; later a slow Glance comes after the servers.
    images_first = mirror.images_at is None
    problem = _images_if_due(mirror, cloud, now) if images_first else ""
    full = mirror.full_at is None or now - mirror.full_at > FULL_EVERY
    since = None if full else mirror.changes_since
    pass_ = _sync_servers(mirror, cloud.servers(changes_since=since and since - OVERLAP), now)
    if full:
        pass_.changed |= _mark_missing(mirror, pass_.shown, now)
        mirror.full_at = now
    stamps = filter(None, (mirror.changes_since, pass_.newest))
    mirror.changes_since = max(stamps, default=now)
    mirror.synced_at = clock_now()
    if not images_first:
        problem = _images_if_due(mirror, cloud, now)
    return pass_.changed, problem


def _images_if_due(mirror: CloudMirror, cloud: Cloud, now: datetime) -> str:
    """Read the images now and then; a Glance that is down does not hold up the servers."""
    if mirror.images_at and now - mirror.images_at <= IMAGES_EVERY:
        return ""
    try:
        _sync_images(mirror, cloud)
    except CloudError as error:
        logger.warning("account %s: images: %s", mirror.account_id, error.kind)
        return error.kind
    mirror.images_at = now
    return ""


def _introduce(mirror: CloudMirror, cloud: Cloud) -> None:
    mirror.microversion = cloud.microversion()
    mirror.rescues_volume_backed = cloud.rescues_volume_backed()
    mirror.user_id, mirror.project_id = cloud.identity()


def _settle(mirror: CloudMirror, problem: str, *, first: bool) -> None:
    """Give the lease back and set the pace."""
    now = clock_now()
    moving = Rescue.objects.filter(instance__account_id=mirror.account_id, state__in=OPEN).exclude(
        next_at=None
    )
    watched = events.watched_teams([mirror.account.team_id])
    pace = WATCHED_PACE if watched or moving.exists() else IDLE_PACE
    if watched and not problem:
        events.changed(mirror.account.team_id, [f"seen:{mirror.account_id}"])
    if problem != mirror.problem or (first and mirror.first_sync_done):
        mirror.problem_since = now if problem else None
        mirror.problem = problem
        topics = [f"account:{mirror.account_id}", "list"]
        events.changed(mirror.account.team_id, topics)
    mirror.lease_until = None
    mirror.next_at = now + (AFTER_PROBLEM if problem else pace)
    mirror.save()


@dataclass
class _Pass:
    """What one pass over a listing found; rows by their primary keys."""

    changed: set[int] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)
    newest: datetime | None = None


def _sync_servers(mirror: CloudMirror, servers: Iterable[Server], now: datetime) -> _Pass:
    """Write servers into the mirror a batch at a time."""
    names = mirror.account.images.names()
    found = _Pass()
    stream = iter(servers)
    while batch := list(islice(stream, BATCH)):
        _keep(mirror, batch, names, now, found)
        CloudMirror.objects.filter(pk=mirror.pk).update(lease_until=clock_now() + LEASE)
        stamps = [found.newest, *(server.updated_at for server in batch)]
        found.newest = max(filter(None, stamps), default=None)
    return found


def _keep(
    mirror: CloudMirror, servers: list[Server], names: dict[str, str], now: datetime, found: _Pass
) -> None:
    """Insert and update one batch in three queries; announce what people would see differ."""
    ids = [server.server_id for server in servers]
    rows = {row.server_id: row for row in mirror.account.instances.filter(server_id__in=ids)}
    found.shown |= {row.pk for row in rows.values()}
    new, differing, columns = [], [], set[str]()
    for server in servers:
        if server.name is None:
            continue  # its cell is down: what we knew is better than what Nova says
        facts = facts_of(server, image_names=names, seen_at=now)
        columns |= facts.keys()
        row = rows.get(server.server_id)
        if row is not None and _update(row, facts):
            differing.append(row)
        elif row is None and not server.deleted:
            new.append(Instance(account=mirror.account, server_id=server.server_id, **facts))
    with transaction.atomic():
        created = Instance.objects.bulk_create(new)
        if differing:
            Instance.objects.bulk_update(differing, sorted(columns), batch_size=BATCH)
        _announce(mirror, created, differing)
    found.shown |= {row.pk for row in created}
    found.changed |= {row.pk for row in (*created, *differing)}


def _announce(mirror: CloudMirror, created: list[Instance], differing: list[Instance]) -> None:
    topics = {f"instance:{row.pk}" for row in differing}
    if created or any(row.deleted_at for row in differing):
        topics.add("list")
    if topics:
        events.changed(mirror.account.team_id, topics)


def _update(row: Instance, facts: dict[str, Any]) -> bool:
    """Set the facts on a row; tell whether any but the time of seeing differs.

    A row that was seen after this listing began, by a rescue's own look, knows better.
    """
    if row.seen_at > facts["seen_at"]:
        return False
    differs = False
    for name, value in facts.items():
        if name == "deleted_at" and value and row.deleted_at:
            continue  # the first time we saw it gone stays
        if getattr(row, name) != value:
            differs = differs or name != "seen_at"
            setattr(row, name, value)
    return differs


def _mark_missing(mirror: CloudMirror, shown: set[int], now: datetime) -> set[int]:
    """Mark as deleted what a full listing did not show."""
    alive = mirror.account.instances.filter(deleted_at=None)
    missing = set(alive.values_list("pk", flat=True)) - shown
    Instance.objects.filter(pk__in=missing).update(deleted_at=now)
    if missing:
        events.changed(mirror.account.team_id, ["list"])
    return missing


def _sync_images(mirror: CloudMirror, cloud: Cloud) -> None:
    """Replace the account's images with what Glance lists."""
    rows = [
        Image(
            account=mirror.account,
            image_id=image.image_id,
            name=image.name,
            status=image.status,
            visibility=image.visibility,
            owner=image.owner,
            hidden=image.hidden,
            disk_format=image.disk_format,
            min_ram=image.min_ram,
            size=image.size,
            tags=image.tags,
            properties=image.properties,
            cloud_updated_at=image.updated_at,
        )
        for image in cloud.images()
    ]
    with transaction.atomic():
        mirror.account.images.exclude(image_id__in=[row.image_id for row in rows]).delete()
        columns = [f.name for f in Image._meta.concrete_fields if not f.primary_key]
        Image.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["account", "image_id"],
            update_fields=[c for c in columns if c not in ("account", "image_id")],
        )  # fmt: skip
