"""Tell open pages that something changed: what, never how. The rows hold the truth.

A lost message costs a page some seconds, so a broker that is down is logged and forgotten.
"""

import json
import logging
import secrets
from collections.abc import Iterable
from functools import cache, partial

import redis
from django.conf import settings
from django.db import transaction

CHANNEL = "rescuepanel:events"
WATCHED = "rescuepanel:watched:{team}"  # set by the stream while a member has a page open

WATCHED_FOR = 45  # seconds
REVISION = "rescuepanel:revision:{team}"  # another word after each change a list may show

logger = logging.getLogger(__name__)


@cache
def connection() -> redis.Redis:
    """Return the connection to Redis that the panel's marks and messages share."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1, decode_responses=True
    )


def changed(team_id: int, topics: Iterable[str]) -> None:
    """Publish, after the commit, that these topics of a team changed."""
    told = sorted(topics)
    transaction.on_commit(partial(_publish, team_id, told))


def _publish(team_id: int, topics: list[str]) -> None:
    try:
        with connection().pipeline(transaction=False) as batch:
            if not all(topic.startswith("seen:") for topic in topics):
                batch.set(REVISION.format(team=team_id), secrets.token_hex(8))
            batch.publish(CHANNEL, json.dumps({"team": team_id, "topics": topics}))
            batch.execute()
    except redis.RedisError as error:
        logger.warning("change not announced: %s", type(error).__name__)


def watch(team_ids: Iterable[int]) -> str:
    """Say that somebody looks at these teams: a page view counts where no stream can.

    Return a word that differs once anything was announced of one of them; empty when the broker
    is away, or there are none, and nobody can tell.
    """
    ids = sorted(team_ids)
    if not ids:
        return ""
    try:
        with connection().pipeline(transaction=False) as batch:
            for pk in ids:
                batch.set(WATCHED.format(team=pk), "1", ex=WATCHED_FOR)
            batch.mget([REVISION.format(team=pk) for pk in ids])
            revisions = batch.execute()[-1]
    except redis.RedisError as error:
        logger.warning("watching not announced: %s", type(error).__name__)
        return ""
    return ",".join(f"{pk}-{one}" for pk, one in zip(ids, revisions, strict=True))


def watched_teams(team_ids: Iterable[int]) -> set[int]:
    """Return those teams of which somebody has a page open; none when the broker is away."""
    ids = list(team_ids)
    try:
        marks = connection().mget([WATCHED.format(team=pk) for pk in ids]) if ids else []
    except redis.RedisError:
        return set()
    return {pk for pk, mark in zip(ids, marks, strict=True) if mark}
