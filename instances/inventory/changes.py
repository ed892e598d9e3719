"""Follow what changes: one short listing for all who look at an account, or move in it."""

import logging
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from instances import driver, events, pace, sight
from instances.cloud import CloudError, open_account
from instances.inventory import images
from instances.inventory.due import WATCHED_PACE, pace_of
from instances.inventory.keep import keep
from instances.inventory.turn import Overtaken, Turn
from instances.models import CloudMirror, Rescue
from instances.models.clock import now as clock_now

logger = logging.getLogger(__name__)

#: stamps have whole seconds, commits take time
OVERLAP = sight.CLOCKS_DIFFER
REST = 3.0  # seconds, at most
REST_OF_CROWD = 5.0


@dataclass(frozen=True)
class Followed:
    """Which rescues have to be driven now, and in how many seconds to look again."""

    woken: list[uuid.UUID] = field(default_factory=list)
    wait: float | None = None


def follow(account_id: int, *, early: bool = False) -> Followed:
    """Ask a cloud what changed, when it is time to and nobody else does."""
    turn = Turn.take(account_id, lease="lease_until", due="next_at", early=early)
    if turn is None:
        return Followed()
    try:
        return _follow(turn)
    except Overtaken:
        logger.warning("account %s: followed by somebody else meanwhile", account_id)
        return Followed()


def _follow(turn: Turn) -> Followed:
    mirror, began = turn.mirror, clock_now()
    if mirror.changes_since is None:  # nothing to follow from before all was begun to be read
        wait = pace.spread(WATCHED_PACE.total_seconds())
        turn.end(next_at=began + timedelta(seconds=wait))
        return Followed(wait=wait)
    woken: list[uuid.UUID] = []
    learned = {"failures": 0}
    try:
        _ask(turn, woken)
        took = (clock_now() - began).total_seconds()
        problem, wait = mirror.images_problem, max(pace_of(mirror), took + _rest(mirror, took))
    except CloudError as error:
        logger.warning("account %s: %s %s", mirror.account_id, error.kind, error.request_id)
        learned = {"failures": mirror.failures + 1}
        wait = pace.back_off(mirror.failures + 1, retry_after=error.retry_after, first=pace.SOON)
        problem = error.kind
    except Overtaken:
        raise
    except Exception:  # whatever it was, the lease goes back and the page says so
        logger.exception("account %s: not synchronised", mirror.account_id)
        learned = {"failures": mirror.failures + 1}
        problem, wait = "broken", pace.back_off(mirror.failures + 1)
    next_at = began + timedelta(seconds=wait)
    turn.end(problem, next_at=next_at, **learned)
    woken += driver.adopt(mirror.account_id)
    return Followed(woken, max(0.0, (next_at - clock_now()).total_seconds()))


def _rest(mirror: CloudMirror, took: float) -> float:
    """Return for how long to leave a cloud alone that took so long to list.

    One that is busy by itself, for half of the time; one that is busy with a crowd of ours, for
    longer: each listing keeps it from what we asked it for.
    """
    if Rescue.objects.crowded(mirror.account_id):
        return min(3 * took, REST_OF_CROWD)
    return min(took, REST)


def _ask(turn: Turn, woken: list[uuid.UUID]) -> None:
    """Read what changed, and the images when it is time."""
    mirror = turn.mirror
    cloud = open_account(mirror.account)
    since = mirror.changes_since or clock_now()
    listing = cloud.server_pages(changes_since=since - OVERLAP, size=mirror.page_size)
    listed, newest = dict[str, Any](), mirror.changes_since
    for page in listing:
        asked_at = clock_now() - page.age
        listed = listed or {"listed_at": asked_at, "listed_cloud_at": page.cloud_time}
        woken += keep(mirror, page.servers, asked_at)
        newest = max(filter(None, (newest, *(server.updated_at for server in page.servers))))
        turn.renew(page_size=page.size)
    listed["changes_since"] = listed["listed_cloud_at"] or newest
    # So that a Glance that hangs does not make what is known look older than it is.
    turn.renew(synced_at=clock_now(), **listed)
    events.changed(mirror.account.team_id, [f"seen:{mirror.account_id}"])
    if pictured := images.read_if_due(mirror, cloud, clock_now()):
        turn.renew(**pictured)
