"""Whether Nova's notifications are heard: marks in Redis that fade with whoever renews them.

A mark that is missing only means that the cloud is asked as often as without a listener.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import redis

from instances.events import connection

LISTENING = "rescuepanel:listening"
FIGURES = "rescuepanel:listener-figures"
HEARD = "rescuepanel:heard:{account}"

LISTENING_FOR = 3  # seconds; with beat's two, polling is back within five
#: An account is trusted to be heard only after it was: another cloud's messages prove nothing.
HEARD_FOR = 60 * 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """How a listener does."""

    listening: bool = False
    messages: int = 0
    bad: int = 0
    last_at: float | None = None


def listening(*, messages: int = 0, bad: int = 0, heard: Iterable[int] = ()) -> None:
    """Say that somebody listens, what came since the last time, and of which accounts."""
    try:
        with connection().pipeline(transaction=False) as batch:
            batch.set(LISTENING, "1", ex=LISTENING_FOR)
            for account_id in heard:
                batch.set(HEARD.format(account=account_id), "1", ex=HEARD_FOR)
            if messages:
                batch.hincrby(FIGURES, "messages", messages)
                batch.hincrby(FIGURES, "bad", bad)
                batch.hset(FIGURES, "last_at", str(time.time()))
            batch.execute()
    except redis.RedisError as error:
        logger.warning("listening not announced: %s", type(error).__name__)


def stopped() -> None:
    """Say at once that nobody listens any more."""
    try:
        connection().delete(LISTENING)
    except redis.RedisError as error:
        logger.warning("end of listening not announced: %s", type(error).__name__)


def heard_accounts(account_ids: Iterable[int]) -> set[int]:
    """Return those accounts whose changes are heard of; none when the broker is away."""
    ids = list(account_ids)
    if not ids:
        return set()
    try:
        listens, *marks = connection().mget([LISTENING, *(HEARD.format(account=pk) for pk in ids)])
    except redis.RedisError:
        return set()
    return {pk for pk, mark in zip(ids, marks, strict=True) if mark} if listens else set()


def figures() -> Figures:
    """Return how the listener does, for the operator."""
    try:
        with connection().pipeline(transaction=False) as batch:
            batch.exists(LISTENING)
            batch.hgetall(FIGURES)
            listens, known = batch.execute()
    except redis.RedisError:
        return Figures()
    last_at = float(known["last_at"]) if "last_at" in known else None
    return Figures(bool(listens), int(known.get("messages", 0)), int(known.get("bad", 0)), last_at)
