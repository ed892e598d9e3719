"""How a message of the log is told, for templates."""

import json

from django import template
from django.utils.translation import gettext as _

from teams import outbox, postman
from teams.models import Delivery

register = template.Library()


@register.filter
def event_label(event: str) -> str:
    """Say an event in words."""
    return str(outbox.EVENTS.get(event) or _("Test"))


@register.filter
def problem_label(delivery: Delivery) -> str:
    """Say why the last try came to nothing."""
    return str(postman.PROBLEMS.get(delivery.problem, delivery.problem))


@register.filter
def outcome(delivery: Delivery) -> str:
    """Return delivered, waiting, retrying or failed."""
    if delivery.delivered_at:
        return "delivered"
    if delivery.next_at is None:
        return "failed"
    return "retrying" if delivery.problem else "waiting"


@register.filter
def pretty(payload: object) -> str:
    """Write a payload so that people can read it."""
    return json.dumps(payload, indent=2, ensure_ascii=False)
