"""Send what the outbox holds: one try of one message, by whoever got its lease.

The try is counted when the lease is taken, so that a sender that dies has used one up; the row
is settled only by the one who still holds the lease. A receiver may get a message twice when a
sender dies between the answer and the row, never when two senders run: the id tells.
"""

import logging
import uuid
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from teams import letters, outgoing, webhooks
from teams.models import Delivery, Webhook
from teams.secrets import CannotOpen

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=40)  # longer than a task may last
PAUSES = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 3600, 6 * 3600))
#: a receiver that says no will hardly say yes
PAUSES_AFTER_NO = PAUSES[:2]
SAYS_TRY_AGAIN = frozenset({408, 409, 425, 429})
GONE = 410
DISABLED_AFTER = timedelta(days=1)

PROBLEMS: "dict[str, StrOrPromise]" = {
    "timeout": _("No answer in time"),
    "tls": _("The certificate is not valid"),
    "connection": _("No connection"),
    "answer": _("Refused by the receiver"),
    "redirect": _("The receiver wants to send us elsewhere; we do not follow"),
    "mail": _("The mail server did not take it"),
    "secret": _("The signing secret can no longer be opened: make a new one"),
    "switched_off": _("The webhook was switched off"),
    **outgoing.REASONS,
}


class Failed(Exception):
    """A try came to nothing; ``problem`` is a key of ``PROBLEMS``."""

    def __init__(self, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.status = problem, status


def due(limit: int = 200) -> list[uuid.UUID]:
    """List the messages whose time has come and that nobody is sending."""
    rows = _due(timezone.now()).order_by("next_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def deliver(pk: uuid.UUID) -> bool:
    """Make one try of a message; tell whether it arrived."""
    delivery = claim(pk)
    if delivery is None:
        return False
    try:
        status = _send(delivery)
    except Failed as failure:
        _settle_failure(delivery, failure)
        return False
    _settle_success(delivery, status)
    return True


def claim(pk: uuid.UUID) -> Delivery | None:
    """Take the lease of a message and count the try; None: somebody else has it, or it can wait."""
    now = timezone.now()
    taken = _due(now).filter(pk=pk).update(lease_until=now + LEASE, attempts=F("attempts") + 1)
    if not taken:
        return None
    rows = Delivery.objects.select_related("team", "webhook__team", "recipient")
    return rows.get(pk=pk)


def _due(now: datetime) -> Any:
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    return Delivery.objects.filter(free, next_at__lte=now)


# One try ----------------------------------------------------------------------------------------


def _send(delivery: Delivery) -> int | None:
    if delivery.webhook is not None:
        return _call(delivery.webhook, delivery)
    try:
        letters.send(delivery)
    except (SMTPException, OSError) as error:
        logger.warning("mail %s not taken: %s", delivery.pk, type(error).__name__)
        raise Failed("mail") from error
    return None


def _call(hook: Webhook, delivery: Delivery) -> int:
    try:
        body, headers = webhooks.signed(hook, delivery, timezone.now())
        answer = outgoing.post(hook.url, body, headers, settings.WEBHOOK_PRIVATE_NETWORKS)
    except CannotOpen:
        raise Failed("secret") from None
    except (outgoing.Refused, outgoing.NotReached) as error:
        raise Failed(error.reason) from error
    if 200 <= answer.status < 300:
        return answer.status
    raise Failed("redirect" if 300 <= answer.status < 400 else "answer", answer.status)


# Afterwards -------------------------------------------------------------------------------------


def _settle_success(delivery: Delivery, status: int | None) -> None:
    now = timezone.now()
    settled = {"delivered_at": now, "next_at": None, "http_status": status, "problem": ""}
    if _settle(delivery, settled) and delivery.webhook_id:
        Webhook.objects.filter(pk=delivery.webhook_id).update(failing_since=None)


def _settle_failure(delivery: Delivery, failure: Failed) -> None:
    now = timezone.now()
    pause = _pause(delivery.attempts, failure.status)
    settled = {
        "next_at": now + pause if pause else None,
        "http_status": failure.status,
        "problem": failure.problem,
    }
    with transaction.atomic():
        if _settle(delivery, settled) and delivery.webhook is not None:
            _mind(delivery.webhook, failure, now)


def _settle(delivery: Delivery, changes: dict[str, Any]) -> bool:
    """Write the end of a try, unless the lease ran out and another sender took it."""
    mine = Delivery.objects.filter(pk=delivery.pk, lease_until=delivery.lease_until)
    return mine.update(lease_until=None, **changes) == 1


def _pause(attempts: int, status: int | None) -> timedelta | None:
    """Return how long to wait before the next try; None: it was the last."""
    no = status is not None and 300 <= status < 500 and status not in SAYS_TRY_AGAIN
    pauses = PAUSES_AFTER_NO if no else PAUSES
    return pauses[attempts - 1] if attempts <= len(pauses) else None


def _mind(hook: Webhook, failure: Failed, now: datetime) -> None:
    """Remember since when a webhook fails; switch it off after a day of it, or when it is gone."""
    Webhook.objects.filter(pk=hook.pk, failing_since=None).update(failing_since=now)
    hook.refresh_from_db(fields=["failing_since", "active"])
    if failure.status == GONE:
        webhooks.disable(hook, "gone")
    elif hook.failing_since and now - hook.failing_since >= DISABLED_AFTER:
        webhooks.disable(hook, "failing")
