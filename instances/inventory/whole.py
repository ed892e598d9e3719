"""Read a whole project page by page: at first, and now and then against drift."""

import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

from instances import driver, pace
from instances.cloud import PAGE, Cloud, CloudError, ahead, open_account
from instances.inventory import images
from instances.inventory.due import FULL_EVERY
from instances.inventory.keep import keep, mark_missing
from instances.inventory.turn import Overtaken, Turn, tell
from instances.models import CloudMirror
from instances.models.clock import now as clock_now

logger = logging.getLogger(__name__)


def read_all(account_id: int) -> list[uuid.UUID] | None:
    """Read all servers, when it is time to and nobody else does.

    Return the rescues that have to be driven; None when it was not our turn.
    """
    turn = Turn.take(account_id, lease="full_lease_until", due="full_next_at")
    if turn is None:
        return None
    try:
        return _read_all(turn)
    except Overtaken:
        logger.warning("account %s: read by somebody else meanwhile", account_id)
        return []


def _read_all(turn: Turn) -> list[uuid.UUID]:
    mirror, began, first = turn.mirror, clock_now(), not turn.mirror.first_sync_done
    woken: list[uuid.UUID] = []
    try:
        _pages(turn, began, woken)
        problem, learned = mirror.images_problem, _done(began)
    except CloudError as error:
        logger.warning("account %s: all: %s %s", mirror.account_id, error.kind, error.request_id)
        problem, learned = error.kind, _failed(mirror, error.retry_after)
    except Overtaken:
        raise
    except Exception:  # whatever it was, the lease goes back and the page says so
        logger.exception("account %s: not read", mirror.account_id)
        problem, learned = "broken", _failed(mirror)
    # Afterwards it is those who follow that say what is wrong.
    turn.end(problem if first else None, **learned)
    if first and mirror.first_sync_done:
        tell(mirror)
    return woken + driver.adopt(mirror.account_id)


def _pages(turn: Turn, began: datetime, woken: list[uuid.UUID]) -> None:
    mirror = turn.mirror
    cloud = open_account(mirror.account)
    if not mirror.project_id:
        turn.renew(**_introduced(cloud))
    if mirror.images_at is None:  # the first servers want their images' names
        turn.renew(**images.read_if_due(mirror, cloud, began))
    # What was too much may not be any more.
    for page in ahead(cloud.server_pages(size=min(PAGE, 2 * mirror.page_size))):
        asked_at = clock_now() - page.age
        if mirror.changes_since is None:
            # What changes from here on is the care of those who follow.
            turn.renew(changes_since=page.cloud_time or asked_at)
        woken += keep(mirror, page.servers, asked_at, listed_at=began)
        turn.renew(page_size=page.size)
    woken += mark_missing(mirror, began, clock_now())
    turn.renew(synced_at=clock_now(), failures=0)


def _introduced(cloud: Cloud) -> dict[str, Any]:
    user_id, project_id = cloud.identity()
    return {
        "microversion": cloud.microversion(),
        "rescues_volume_backed": cloud.rescues_volume_backed(),
        "user_id": user_id,
        "project_id": project_id,
    }


def _done(began: datetime) -> dict[str, Any]:
    wait = pace.spread(FULL_EVERY.total_seconds())
    return {"full_at": began, "full_next_at": began + timedelta(seconds=wait)}


def _failed(mirror: CloudMirror, retry_after: float = 0.0) -> dict[str, Any]:
    failures = mirror.failures + 1
    wait = pace.back_off(failures, retry_after=retry_after)
    return {"failures": failures, "full_next_at": clock_now() + timedelta(seconds=wait)}
