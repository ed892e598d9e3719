"""A team's webhooks: made, changed, tried out; their secret is told once and then only signs.

Messages are signed as https://www.standardwebhooks.com says: HMAC-SHA256 over id, time and body.
"""

import base64
import hashlib
import hmac
import json
import secrets as random
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from teams import audit, outbox, outgoing, secrets
from teams.models import Delivery, Membership, Team, User, Webhook
from teams.permissions import Right, roles_with

SECRET_BYTES = 32
PREFIX = "whsec_"


def add(team: Team, *, url: str, events: Iterable[str], by: User) -> tuple[Webhook, str]:
    """Make a webhook; return it and its secret, which is told this once."""
    with transaction.atomic():
        hook = Webhook.objects.create(team=team, url=url, events=list(events), created_by=by)
        secret = _new_secret(hook)
        _note("webhook.add", hook, by, events=hook.events)
    return hook, secret


def change(hook: Webhook, *, url: str, events: Iterable[str], active: bool, by: User) -> None:
    """Change where a webhook leads and what it asks for; switching it on forgets its failures."""
    hook.url, hook.events = url, list(events)
    if active and not hook.active:
        hook.failing_since = None
    hook.active = active
    with transaction.atomic():
        hook.save(update_fields=["url", "events", "active", "failing_since"])
        if not active:
            _give_up(hook)
        _note("webhook.change", hook, by, events=hook.events, active=active)


def rotate_secret(hook: Webhook, *, by: User) -> str:
    """Replace the secret and return the new one; the old one signs nothing any more."""
    with transaction.atomic():
        secret = _new_secret(hook)
        _note("webhook.rotate_secret", hook, by)
    return secret


def remove(hook: Webhook, *, by: User) -> None:
    """Delete a webhook with its log."""
    with transaction.atomic():
        _note("webhook.remove", hook, by)
        hook.delete()


def test(hook: Webhook, *, by: User) -> Delivery:
    """Send a test message."""
    with transaction.atomic():
        _note("webhook.test", hook, by)
        return outbox.try_out(hook)


def resend(delivery: Delivery, *, by: User) -> None:
    """Send a message of the log again, under its old id: a receiver that had it can tell."""
    with transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(
            next_at=timezone.now(), delivered_at=None, attempts=0, problem=""
        )
        if delivery.webhook:
            _note("webhook.resend", delivery.webhook, by, message=str(delivery.pk))


def disable(hook: Webhook, reason: str) -> None:
    """Switch off a webhook that nobody answers at, and tell the owners."""
    switched = Webhook.objects.filter(pk=hook.pk, active=True).update(active=False)
    if not switched:
        return
    _give_up(hook)
    _note("webhook.disabled", hook, None, reason=reason)
    facts = {"team": outbox.team_facts(hook.team), "webhook": hook.url, "reason": reason}
    facts["url"] = f"{settings.PANEL_URL}/teams/{hook.team_id}/webhooks/{hook.pk}"
    outbox.tell_people(hook.team, outbox.DISABLED, facts, _managers(hook.team))


def check(url: str) -> None:
    """Raise ``outgoing.Refused`` for an address that a webhook may not have."""
    outgoing.check_url(url, settings.WEBHOOK_PRIVATE_NETWORKS)


def signed(hook: Webhook, delivery: Delivery, at: datetime) -> tuple[bytes, dict[str, str]]:
    """Return the body of a message and its headers; raise ``secrets.CannotOpen``."""
    body = json.dumps(delivery.payload, ensure_ascii=False, separators=(",", ":")).encode()
    stamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "rescue-panel",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": stamp,
        "webhook-signature": signature(_secret(hook), str(delivery.pk), stamp, body),
    }
    return body, headers


def signature(secret: str, ident: str, stamp: str, body: bytes) -> str:
    """Sign a message with the key that a secret spells."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    mac = hmac.new(key, f"{ident}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def _new_secret(hook: Webhook) -> str:
    secret = PREFIX + base64.b64encode(random.token_bytes(SECRET_BYTES)).decode()
    hook.sealed_secret = secrets.seal(secret, bound_to=binding(hook))
    hook.save(update_fields=["sealed_secret"])
    return secret


def _secret(hook: Webhook) -> str:
    return secrets.unseal(hook.sealed_secret, bound_to=binding(hook))


def binding(hook: Webhook) -> str:
    """Name the row and column that the secret is sealed for."""
    return f"teams.Webhook:{hook.pk}:secret"


def _give_up(hook: Webhook) -> None:
    waiting = hook.deliveries.filter(delivered_at=None).exclude(next_at=None)
    waiting.update(next_at=None, problem="switched_off")


def _managers(team: Team) -> list[User]:
    roles = roles_with(Right.MANAGE)
    found = Membership.objects.filter(team=team, role__in=roles, user__is_active=True)
    return [membership.user for membership in found.select_related("user")]


def _note(act: str, hook: Webhook, by: User | None, **details: Any) -> None:
    audit.record(act, team=hook.team, target=hook.url, actor=by, webhook=hook.pk, **details)
