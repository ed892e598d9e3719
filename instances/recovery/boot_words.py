"""What the panel says of a machine's start after its rescue."""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from instances import wording
from instances.consoles import FAULTS, REFUSALS
from instances.models import BootCheck

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

UP: "dict[str, StrOrPromise]" = {
    "console": _("It starts again: its console asks for a login."),
    "port": _("It starts again: SSH answers, with another host key than in the rescue."),
}
CONSOLES: "dict[str, StrOrPromise]" = {
    "": _("Its console shows no login prompt."),
    "empty": _("Its console stays empty."),
    "over": _("It was stopped, put into rescue mode or deleted meanwhile."),
}
PORTS: "dict[str, StrOrPromise]" = {
    "": "",
    "no_address": _("It has no address to try SSH at."),
    "not_allowed": _("The panel does not connect to its address."),
    "rescue_key": _("SSH answers with the host key of the rescue system."),
}


def sentence(boot: BootCheck) -> str:
    """Say whether the machine starts again."""
    if boot.watching:
        return str(_("Watching whether it starts again…"))
    if boot.is_up:
        return str(UP[boot.shown_by])
    if boot.state == BootCheck.State.FAULT:
        title = FAULTS[boot.fault].title
        return str(_("It does not start: {fault}.")).format(fault=title)
    return str(_("The panel did not see whether it starts again."))


def why_unseen(boot: BootCheck) -> str:
    """Say why the panel cannot know; nothing when it does."""
    if boot.state != BootCheck.State.UNSEEN:
        return ""
    console = CONSOLES.get(boot.console) or REFUSALS.get(boot.console)
    told = [console or wording.problem(boot.console)]
    if boot.console != "over":
        told.append(PORTS.get(boot.port, _("SSH does not answer.")))
    return " ".join(str(one) for one in told if one)
