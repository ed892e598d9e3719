"""Seal anew, under the first key, whatever another key sealed; stopped anywhere, it goes on there.

A row is written only if it still holds the token that was read, so whoever changes a secret
meanwhile wins. A rescue's version stays: a running operation is not disturbed, and what it
writes of its own is never overwritten.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import Model, QuerySet

from instances.models import Job, Rescue
from teams import secrets, webhooks
from teams.models import CloudAccount, Webhook

BATCH = 50
FACTORS = "mfa"  # what the second factors' secrets are bound to


@dataclass(frozen=True)
class Column:
    """One sealed column, and how to know what a row's token is bound to."""

    rows: "QuerySet[Any]"
    name: str
    binding: Callable[[Any], str]

    @property
    def label(self) -> str:
        return f"{self.rows.model.__name__}.{self.name}"


def columns() -> list[Column]:
    """List every sealed column but those of second factors, whose tokens lie inside JSON."""
    rescues = Rescue.objects.select_related("instance")
    return [
        Column(CloudAccount.objects.all(), "sealed_credential", lambda row: row._binding),
        Column(rescues, "sealed_password", lambda row: row._binding),
        Column(Job.objects.all(), "sealed", lambda row: row._binding),
        Column(Webhook.objects.all(), "sealed_secret", webhooks.binding),
    ]


def count() -> dict[str, Counter[str]]:
    """Count for each column how many tokens lie under which key."""
    found: dict[str, Counter[str]] = {}
    for column in columns():
        tokens = column.rows.exclude(**{column.name: ""}).values_list(column.name, flat=True)
        found[column.label] = Counter(_key_of(token) for token in tokens.iterator())
    factors = Authenticator.objects.values_list("data", flat=True)
    inside = (token for data in factors.iterator() for token in _tokens(data))
    found["Authenticator.data"] = Counter(_key_of(token) for token in inside)
    return found


def rotate(*, batch: int = BATCH, pause: float = 0) -> tuple[int, list[str]]:
    """Seal everything anew; return how many rows, and the names of those no key opens."""
    done, closed = 0, []
    for column in columns():
        for row in _batches(column, batch, pause):
            try:
                done += _renew(column, row)
            except secrets.CannotOpen:
                closed.append(f"{column.label} {row.pk}")
    for pk in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        try:
            done += _renew_factor(pk)
        except secrets.CannotOpen:
            closed.append(f"Authenticator.data {pk}")
    return done, closed


def _batches(column: Column, size: int, pause: float) -> Iterator[Model]:
    """Read the rows under other keys a few at a time, each batch when the one before is done."""
    old = column.rows.exclude(**{column.name: ""}).order_by("pk")
    last: Any = None
    while True:
        rows = list((old if last is None else old.filter(pk__gt=last))[:size])
        if not rows:
            return
        last = rows[-1].pk
        yield from (row for row in rows if not _current(getattr(row, column.name)))
        time.sleep(pause)


def _renew(column: Column, row: Any) -> int:
    token, bound_to = getattr(row, column.name), column.binding(row)
    fresh = secrets.seal(secrets.unseal(token, bound_to=bound_to), bound_to=bound_to)
    same = type(row)._default_manager.filter(pk=row.pk, **{column.name: token})
    return int(same.update(**{column.name: fresh}))


def _renew_factor(pk: int) -> int:
    """Seal what a second factor holds; its row is held meanwhile, for it may count codes used."""
    with transaction.atomic():
        row = Authenticator.objects.select_for_update().filter(pk=pk).first()
        if row is None or all(_current(token) for token in _tokens(row.data)):
            return 0
        row.data = _resealed(row.data)
        row.save(update_fields=["data"])
    return 1


def _resealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resealed(item) for item in value]
    if isinstance(value, str) and value.startswith("v1:"):
        return secrets.seal(secrets.unseal(value, bound_to=FACTORS), bound_to=FACTORS)
    return value


def _tokens(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _tokens(item)
    elif isinstance(value, str) and value.startswith("v1:"):
        yield value


def _current(token: str) -> bool:
    return secrets.sealed_with_current_key(token)


def _key_of(token: str) -> str:
    return token.split(":")[1] if token.count(":") == 2 else "unknown"
