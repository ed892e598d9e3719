"""Write a message of the outbox as mail, in the language of the person who gets it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from teams import outbox
from teams.models import Delivery, User

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SENTENCES: "dict[str, StrOrPromise]" = {
    "rescue.ready": gettext_lazy("{instance} is in rescue mode and ready."),
    "rescue.failed": gettext_lazy("The rescue of {instance} failed."),
    "rescue.still_open": gettext_lazy("{instance} is still in rescue mode."),
    "rescue.time_over": gettext_lazy(
        "The time of the rescue of {instance} is over, and it is still in rescue mode."
    ),
    "rescue.handed_over": gettext_lazy("The rescue of {instance} is now with {holder}."),
    "rescue.exit_failed": gettext_lazy(
        "The exit from rescue mode failed: {instance} is still in rescue mode."
    ),
    "rescue.exited": gettext_lazy("{instance} is out of rescue mode."),
    "batch.paused": gettext_lazy(
        "The bulk action was held after failures: {done} of {total} are done, {failed} failed,"
        " {waiting} wait."
    ),
    "batch.done": gettext_lazy(
        "The bulk action is over: {done} of {total} are done, {failed} failed, {skipped} were"
        " skipped."
    ),
    "batch.open": gettext_lazy(
        "{inside} of the {total} instances of a bulk action are in rescue mode."
    ),
    "staff.begin": gettext_lazy("{staff} of the staff acts for you in the panel."),
    outbox.DISABLED: gettext_lazy(
        "The panel has switched off a webhook of {team}: {webhook} did not accept its messages."
    ),
}
COUNTED = ("total", "done", "inside", "failed", "skipped", "waiting")


def send(delivery: Delivery) -> None:
    """Send one mail; raise what the mail server's library raises."""
    person = delivery.recipient
    if person is None or not person.is_active:
        return
    with translation.override(language_of(person)):
        mail = write(delivery, person)
    mail.send()


def language_of(person: User) -> str:
    """Return the language a person is written to in."""
    return getattr(person, "language", "") or settings.LANGUAGE_CODE


def write(delivery: Delivery, person: User) -> EmailMessage:
    """Compose the mail in the present language."""
    facts = delivery.payload["data"]
    sentence = _sentence(delivery, facts)
    context = {
        "person": person,
        "sentence": sentence,
        "lines": _lines(facts),
        "url": facts.get("url", ""),
        "settings_url": f"{settings.PANEL_URL}/teams/{delivery.team_id}/notifications",
        "about_rescue": "instance" in facts or "batch" in facts,
    }
    mail = EmailMessage(
        subject=" ".join(f"Rescue Panel: {sentence}".split()),
        body=render_to_string("teams/letter.txt", context),
        to=[person.email],
    )
    # Answering machines keep still, and the same message twice is seen as one.
    mail.extra_headers = {
        "Auto-Submitted": "auto-generated",
        "Message-ID": f"<{delivery.pk}@{settings.PANEL_URL.partition('://')[2].partition(':')[0]}>",
    }
    return mail


def _sentence(delivery: Delivery, facts: dict[str, Any]) -> str:
    return str(SENTENCES[delivery.event]).format(
        instance=facts.get("instance", {}).get("name", ""),
        holder=facts.get("holder") or _("nobody"),
        team=delivery.team.name,
        staff=facts.get("staff", ""),
        webhook=facts.get("webhook", ""),
        **{name: facts.get(name, 0) for name in COUNTED},
    )


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """List what is known, a name and a value each; what is empty stays out."""
    instance = facts.get("instance", {})
    region = instance.get("region", "")
    known = [
        (_("Instance"), instance.get("name", "")),
        (_("Server id"), instance.get("server_id", "")),
        (_("Region"), region),
        (_("Team"), facts["team"]["name"]),
        (_("Rescue image"), facts.get("image", "")),
        (_("Reason or ticket"), facts.get("reason", "")),
        (_("Asked for by"), facts.get("asked_by", "")),
        (_("In the care of"), facts.get("holder", "")),
        (_("Handed over by"), facts.get("handed_over_by", "")),
        (_("Ended by"), facts.get("ended_by", "")),
        (pgettext("rescue", "Until"), _moment(facts.get("until", ""))),
    ]
    return [(name, " ".join(value.split())) for name, value in known if value]


def _moment(stamp: str) -> str:
    if not stamp:
        return ""
    moment = datetime.fromisoformat(stamp).astimezone(timezone.get_current_timezone())
    return f"{date_format(moment, 'DATETIME_FORMAT')} {moment:%Z}"
