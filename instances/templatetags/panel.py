"""Icons, durations and the notification panel, for templates."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django import template
from django.template.context import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy
from lucide.templatetags.lucide import lucide

from instances.cards import panel_for
from instances.models import Instance, Rescue
from instances.rescue import MenuAction

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86400
TONE_ICONS = {
    "waiting": "clock",
    "ok": "circle-check",
    "busy": "loader-circle",
    "rescue": "life-buoy",
    "ready": "life-buoy",
    "off": "power",
    "error": "circle-alert",
    "failed": "circle-alert",
    "ended": "circle-check",
}
STAGE_WORDS: dict[str, StrOrPromise] = {
    "done": pgettext_lazy("stage", "done"),
    "now": pgettext_lazy("stage", "under way"),
    "failed": pgettext_lazy("stage", "failed"),
    "next": pgettext_lazy("stage", "to come"),
}


#: said once in panel.css for all icons: a list has some three hundred
IN_STYLES = (
    ' fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"'
    ' stroke-linejoin="round"'
)


@lru_cache(maxsize=256)
def _drawing(name: str, size: int, css: str) -> str:
    hidden = {"class": f"icon {css}".strip(), "aria-hidden": "true", "focusable": "false"}
    drawn = lucide(name, size=size, **hidden)
    return "".join(line.strip() for line in drawn.replace(IN_STYLES, "").splitlines())


@register.simple_tag
def icon(name: str, size: int = 16, css: str = "") -> SafeString:
    """Draw a decorative icon; the words beside it carry the meaning."""
    return mark_safe(_drawing(str(name), size, str(css)))  # noqa: S308  # nosec B308 B703


@register.filter
def seconds_since(moment: datetime | None) -> int | None:
    """Count the whole seconds since a moment."""
    return None if moment is None else max(0, int((timezone.now() - moment).total_seconds()))


@register.filter
def duration(seconds: int | None) -> str:
    """Say a length of time to the second, as the browser's ticking does."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), MINUTE)
    hours, minutes = divmod(minutes, HOUR // MINUTE)
    if hours:
        return f"{hours}\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}{minutes:02}"
    if minutes:
        return f"{minutes}\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}{rest:02}\N{NO-BREAK SPACE}s"
    return f"{rest}\N{NO-BREAK SPACE}s"


@register.filter
def age(seconds: int | None) -> str:
    """Say a length of time in its largest unit."""
    if seconds is None:
        return ""
    value = int(seconds)
    for size, unit in ((DAY, _("d")), (HOUR, "h"), (MINUTE, "min")):
        if value >= size:
            return f"{value // size}\N{NO-BREAK SPACE}{unit}"
    return f"{value}\N{NO-BREAK SPACE}s"


@register.simple_tag
def ticking(moment: datetime | None, form: str = "duration") -> SafeString | str:
    """Write the time since a moment so that the browser can go on counting."""
    seconds = seconds_since(moment)
    if moment is None or seconds is None:
        return ""
    return format_html(
        '<time datetime="{}" data-seconds="{}" data-form="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        seconds,
        form,
        age(seconds) if form == "age" else duration(seconds),
    )


@register.inclusion_tag("instances/_notifications.html", takes_context=True)
def notification_panel(context: Context) -> dict[str, object]:
    """Draw the rescues this person follows."""
    request = context["request"]
    return {"request": request} | panel_for(request.user, getattr(request, "revision", ""))


@register.simple_tag
def ticking_sentence(sentence: str, moment: datetime | None) -> SafeString:
    """Write a sentence with the time since a moment in the place of {age}."""
    before, _mark, after = str(sentence).partition("{age}")
    return format_html("{}{}{}", before, ticking(moment, "age"), after)


@register.filter
def tone_icon(tone: str) -> str:
    """Name the icon that stands beside the words of a status or a headline."""
    return TONE_ICONS.get(tone, "circle-question-mark")


@register.filter
def tone_motion(tone: str) -> str:
    """Turn the icon of what is under way."""
    return "spin" if tone == "busy" else ""


@register.filter
def stage_word(state: str) -> StrOrPromise:
    """Say a stage's mark to those who do not see it."""
    return STAGE_WORDS[state]


@register.filter
def action_url(action: MenuAction, instance: Instance) -> str:
    """Find the page of a menu action."""
    return reverse(f"instances:{action.key}", args=[instance.pk])


@register.filter
def reachable_first(addresses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the address to reach a machine at before its others, as ``primary_address`` does."""
    return sorted(addresses, key=lambda a: (a["kind"] != "floating", a["version"]))


@register.filter
def lasted(rescue: Rescue) -> int | None:
    """Count the seconds from the click to the end."""
    if rescue.ended_at is None:
        return None
    return round((rescue.ended_at - rescue.created_at).total_seconds())


@register.filter
def in_rescue_for(rescue: Rescue) -> int | None:
    """Count the seconds between ready and the end."""
    if rescue.ended_at is None or rescue.ready_at is None:
        return None
    return round((rescue.ended_at - rescue.ready_at).total_seconds())
