"""Celery's side of what is told outside: load, one try, done. The rows hold the truth."""

import logging
import uuid

from celery import shared_task
from kombu.exceptions import OperationalError

from teams import audit, outbox, postman

logger = logging.getLogger(__name__)


def nudge(delivery_id: uuid.UUID) -> None:
    """Ask a worker to send a message now. A broker that is away only costs time."""
    try:
        deliver.apply_async((str(delivery_id),), expires=60)
    except OperationalError:
        logger.warning("no nudge for message %s: the broker is away", delivery_id)


@shared_task(soft_time_limit=25, time_limit=30)
def deliver(delivery_id: str) -> None:
    """Make one try of a message."""
    postman.deliver(uuid.UUID(delivery_id))


@shared_task
def deliver_due() -> None:
    """Send every message whose time has come: new ones, later tries, those of a dead sender."""
    for delivery_id in postman.due():
        nudge(delivery_id)


@shared_task
def forget_deliveries() -> None:
    """Delete what was told more than a month ago."""
    outbox.forget_old()


@shared_task
def keep_audit_head() -> None:
    """Write the audit trail's head down outside the database."""
    audit.keep_head()


# Read to its end it may take minutes; the message need not come twice for that.
@shared_task(acks_late=False, soft_time_limit=1200, time_limit=1230)
def verify_audit() -> None:
    """Walk along the audit trail once a day."""
    audit.verify_if_due()
