"""What a team is told outside the panel: written down with the change it tells of, sent later.

A row of ``Delivery`` is made for each receiver in the transaction of the change, so that nothing
is told of what did not happen and nothing that happened goes untold. ``postman`` sends the rows.
"""

import uuid
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from teams.models import Delivery, Membership, Team, User, Webhook
from teams.models.team import MailAbout

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

KEPT = timedelta(days=30)
TEST = "test"
DISABLED = "webhook.disabled"
#: what a webhook may ask for, in the order of a rescue's life
EVENTS: "dict[str, StrOrPromise]" = {
    "rescue.ready": _("Rescue mode is ready"),
    "rescue.failed": _("A rescue failed"),
    "rescue.still_open": _("An instance is still in rescue mode"),
    "rescue.time_over": _("The time of a rescue is over"),
    "rescue.handed_over": _("A rescue was handed over"),
    "rescue.exit_failed": _("An exit from rescue mode failed"),
    "rescue.exited": _("An instance is out of rescue mode"),
}


def tell(
    team: Team,
    event: str,
    facts: dict[str, Any],
    *,
    once: str,
    concerned: Collection[int] = (),
    by_mail: bool = True,
) -> int:
    """Write down what is to be told of an event to whom it concerns; return how many will hear.

    Call it in the transaction of the change. ``once`` names the occurrence: telling it again
    changes nothing. ``concerned`` are the people whose rescue it is; without ``by_mail`` only
    webhooks hear of it. No secret may be in ``facts``.
    """
    hooks = [hook for hook in team.webhooks.filter(active=True) if wants(hook, event)]
    rows = [_draft(team, event, facts, f"{once}:hook:{hook.pk}", webhook=hook) for hook in hooks]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    if by_mail:
        return len(rows) + tell_by_mail(team, event, facts, once=once, concerned=concerned)
    return len(rows)


def tell_by_mail(
    team: Team,
    event: str,
    facts: dict[str, Any],
    *,
    once: str,
    concerned: Collection[int] = (),
) -> int:
    """Write mail alone of an event to those who chose to hear of it; return how many."""
    readers = _mailed(team, concerned)
    rows = [_draft(team, event, facts, f"{once}:mail:{pk}", recipient_id=pk) for pk in readers]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def tell_people(team: Team, event: str, facts: dict[str, Any], people: Iterable[User]) -> None:
    """Write mail to certain people, whatever they chose to be told of rescues."""
    rows = [
        _draft(team, event, facts, f"{uuid.uuid4()}:mail:{person.pk}", recipient=person)
        for person in people
    ]
    Delivery.objects.bulk_create(rows)


def try_out(webhook: Webhook) -> Delivery:
    """Write down a test for one webhook, whatever it asks for."""
    facts = {"message": "This is a test. Nothing happened.", "team": team_facts(webhook.team)}
    row = _draft(webhook.team, TEST, facts, f"{uuid.uuid4()}:test", webhook=webhook)
    row.save(force_insert=True)
    return row


def wants(webhook: Webhook, event: str) -> bool:
    """Tell whether a webhook asked for an event; without a choice it gets all."""
    return not webhook.events or event in webhook.events


def team_facts(team: Team) -> dict[str, Any]:
    """Return how a message names a team."""
    return {"id": team.pk, "name": team.name}


def forget_old() -> int:
    """Delete what was told, or given up, more than thirty days ago; return how many."""
    old = Delivery.objects.filter(created_at__lt=timezone.now() - KEPT, next_at=None)
    return old.delete()[0]


def _mailed(team: Team, concerned: Collection[int]) -> list[int]:
    mine = Q(mail_about=MailAbout.MINE, user__in=[pk for pk in concerned if pk])
    wanted = Membership.objects.filter(mine | Q(mail_about=MailAbout.ALL), team=team)
    return list(wanted.filter(user__is_active=True).values_list("user_id", flat=True))


def _draft(team: Team, event: str, facts: dict[str, Any], once: str, **receiver: Any) -> Delivery:
    """Make the row; its id is the message's and stays the same through every try."""
    now = timezone.now()
    ident = uuid.uuid4()
    payload = {
        "id": str(ident),
        "type": event,
        "timestamp": now.isoformat(timespec="seconds"),
        "data": facts,
    }
    channel = Delivery.Channel.WEBHOOK if "webhook" in receiver else Delivery.Channel.MAIL
    return Delivery(
        id=ident, team=team, channel=channel, event=event, payload=payload,
        told_once=once, created_at=now, next_at=now, **receiver,
    )  # fmt: skip
