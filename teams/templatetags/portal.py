"""Links of the portal's side list."""

from typing import Any

from django import template
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide.templatetags.lucide import lucide

register = template.Library()


@register.simple_tag(takes_context=True)
def side_link(context: RequestContext, name: str, icon: str, label: str, *args: Any) -> SafeString:
    """Draw a link to a page of the portal, marked when it or a page below it is open."""
    address = reverse(name, args=args)
    here = context["request"].path.startswith(address)
    drawing = lucide(icon, size=16, **{"class": "icon", "aria-hidden": "true"})
    return format_html(
        '<a href="{}"{}>{}<span>{}</span></a>',
        address,
        mark_safe(' aria-current="page"') if here else "",
        mark_safe(drawing),  # noqa: S308
        label,
    )
