"""The time that is left, for templates."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from instances import report
from instances.templatetags.panel import age

register = template.Library()


@register.simple_tag
def left(until: datetime | None) -> SafeString | str:
    """Write the time until a moment so that the browser can go on counting down."""
    if until is None:
        return ""
    seconds = int((until - timezone.now()).total_seconds())
    over, still = _("time is over"), _("{time} left")
    return format_html(
        '<time class="left" datetime="{}" title="{}" data-left="{}" data-still="{}" data-over="{}">'
        "{}</time>",
        until.isoformat(timespec="seconds"),
        report.stamp(until),
        seconds,
        still,
        over,
        still.format(time=rounded(seconds)) if seconds > 0 else over,
    )


def rounded(seconds: int) -> str:
    """Say a length of time in hours and minutes; the last minute in seconds."""
    if seconds >= 86400 or seconds < 3600:
        return age(seconds)
    return f"{seconds // 3600}\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}{seconds % 3600 // 60:02}"


@register.filter
def stamped(moment: datetime | None) -> str:
    """Write a moment in full, with its time zone."""
    return report.stamp(moment) if moment else ""
