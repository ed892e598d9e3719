"""Listen to Nova's notifications, and have the mirror's synchroniser ask at once what changed.

The only door to the operator's RabbitMQ. It writes nothing into the mirror: a message is one more
nudge, and one that is lost costs no more than a look of the slow pass.
"""

import logging
import secrets
import time
from functools import cached_property
from typing import Any

from django.db import DatabaseError, close_old_connections
from kombu import Connection, Consumer, Exchange, Queue
from kombu.mixins import ConsumerMixin
from kombu.utils.limits import TokenBucket

from instances import ears, inventory, notices, tasks

logger = logging.getLogger(__name__)

EXCHANGE = "nova"
TOPIC = "versioned_notifications.*"
HEARTBEAT = 10  # seconds
LOOK = 0.2  # seconds between looks at what waits
APART = 0.5  # seconds between two nudges of an account
BUSY_AGAIN = 0.2
ACCOUNTS_EVERY = 10.0
MARK_EVERY = 1.0
REFUSED_AGAIN = 10.0  # a password or an exchange that is wrong stays so for a while


class Listener(ConsumerMixin):
    """Hear what changed, and nudge the accounts concerned, each twice a second at most."""

    def __init__(self, url: str, region: str = "", *, exchange: str = EXCHANGE) -> None:
        self.connection = Connection(url, heartbeat=HEARTBEAT, connect_timeout=5)
        self.region, self.exchange = region, exchange
        self.accounts: dict[str, set[int]] = {}
        self.waiting: dict[int, float] = {}  # account: not before
        self.nudged: dict[int, float] = {}
        self.heard: set[int] = set()
        self.messages = self.bad = 0
        self.read_at = self.marked_at = float("-inf")

    @cached_property
    def restart_limit(self) -> TokenBucket:
        """Say how often to begin anew."""
        return TokenBucket(1 / REFUSED_AGAIN)

    def get_consumers(self, _consumer: Any, channel: Any) -> list[Consumer]:
        """Have a queue of our own that nobody else reads and that ends with the connection."""
        queue = Queue(
            f"rescue-panel.{secrets.token_hex(8)}",
            exchange=Exchange(self.exchange, "topic", no_declare=True),
            routing_key=TOPIC,
            durable=False, exclusive=True, auto_delete=True,
            expires=60, max_length=10_000, max_length_bytes=16 * 1024 * 1024,
        )  # fmt: skip
        return [Consumer(channel, [queue], on_message=self.on_message, prefetch_count=100)]

    def on_message(self, message: Any) -> None:
        """Note which accounts a message concerns; whatever it was, it is done with."""
        self.messages += 1
        try:
            notice = notices.read(message.body)
        except notices.NotUnderstood as error:
            self.bad += 1
            logger.warning("notification passed over: %s", error)
            notice = None
        message.ack()
        concerned = self.accounts.get(notice.project_id, set()) if notice else set()
        self.heard |= concerned
        if notice and notice.changes:
            for pk in concerned:
                self.waiting.setdefault(pk, self.nudged.get(pk, float("-inf")) + APART)

    def on_iteration(self) -> None:
        """Nudge whom it is time for, and say that somebody listens; what fails comes again."""
        now = time.monotonic()
        try:
            self._nudge_due(now)
        except DatabaseError as error:
            logger.warning("no nudge: the database is away (%s)", type(error).__name__)
            close_old_connections()
            return  # nor is the mark renewed
        if now - self.marked_at >= MARK_EVERY:
            ears.listening(messages=self.messages, bad=self.bad, heard=self.heard)
            self.messages, self.bad, self.heard, self.marked_at = 0, 0, set(), now

    def _nudge_due(self, now: float) -> None:
        if now - self.read_at >= ACCOUNTS_EVERY:
            close_old_connections()
            self.accounts, self.read_at = inventory.accounts_of_projects(self.region), now
        for pk in [pk for pk, not_before in self.waiting.items() if not_before <= now]:
            self._nudge(pk, now)

    def _nudge(self, account_id: int, now: float) -> None:
        if inventory.hasten(account_id) is inventory.Hastened.BUSY:
            self.waiting[account_id] = now + BUSY_AGAIN  # its listing began before the change
            return
        del self.waiting[account_id]
        self.nudged[account_id] = now
        tasks.nudge_sync(account_id)

    def on_connection_error(self, exc: Any, interval: float) -> None:
        """Log why, without the address, which holds a password."""
        logger.warning("notifications: %s; again in %s s", type(exc).__name__, interval)
