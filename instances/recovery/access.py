"""Prove that one gets into a rescued machine: try its address until it lets the panel in.

``attend`` opens a row when a rescue is ready, ``read_console`` fetches what vouches for the host
key (with the cloud's credential), ``probe`` tries (without it). Whoever calls them sends the next.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from instances import driver, events, profiles, ssh
from instances.cloud import CloudError, open_account
from instances.lifecycle import IN_RESCUE
from instances.models import Machine, Rescue
from instances.models.clock import now as clock_now
from instances.models.machine import PASSING, Reach
from instances.models.profile import operators_profile
from instances.picker import Access
from instances.rescue import NotPossible
from teams.permissions import Right
from teams.secrets import CannotOpen

if TYPE_CHECKING:
    from teams.models import User

logger = logging.getLogger(__name__)

ROOT = "root"
#: a rescue system boots, starts its SSH server, and may set the password a little later
OFTEN, OFTEN_FOR = timedelta(seconds=1), timedelta(minutes=3)
SELDOM, SELDOM_FOR = timedelta(seconds=20), timedelta(minutes=20)
PASSWORD_SET_WITHIN = timedelta(seconds=60)
VOUCHED_WITHIN = timedelta(seconds=90)
#: until now a machine was only just starting anyway
OTHERS_FIRST = timedelta(minutes=2)

WayIn = tuple[ssh.Target, ssh.HostKey, ssh.Login]
#: what trying the door showed, by the door's own word
REACH_OF = {
    "not_allowed": Reach.NOT_ALLOWED,
    "port_closed": Reach.CLOSED,
    "unreachable": Reach.SILENT,
    "silent": Reach.SILENT,
    "timed_out": Reach.SILENT,
    "host_key_changed": Reach.KEY_CHANGED,
    "auth_refused": Reach.REFUSED,
    "key_only": Reach.KEY_ONLY,
}


def may_use(rescue: Rescue, user: User) -> bool:
    """Tell whether somebody may work on the machine: who may read its password."""
    return user.may(Right.OPERATE, rescue.instance.team) and rescue.may_read_password(user)


def must_use(rescue: Rescue, user: User) -> None:
    """Raise ``PermissionDenied`` unless somebody may work on the machine now."""
    if not may_use(rescue, user):
        raise PermissionDenied(_("Only who may read the temporary password works on the machine."))


def must_be_in(rescue: Rescue) -> Machine:
    """Return the machine that the panel gets into; raise ``NotPossible``."""
    row = Machine.objects.filter(rescue=rescue).first()
    if rescue.state not in IN_RESCUE or row is None or not row.is_in:
        raise NotPossible(_("The panel is not logged in to this machine."))
    return row


def others_come_first(rescue_id: uuid.UUID) -> bool:
    """Tell whether a machine just ready waits: its cloud is busy with a crowd still on its way."""
    recent = clock_now() - OTHERS_FIRST
    found = Rescue.objects.filter(pk=rescue_id, ready_at__gt=recent)
    account_id = found.values_list("instance__account_id", flat=True).first()
    return account_id is not None and Rescue.objects.crowded(account_id)


# By the clock -------------------------------------------------------------------------------------


def attend(rescue_id: uuid.UUID) -> bool:
    """Begin to try a rescue's machine once it is ready; tell whether it has only begun."""
    found = Rescue.objects.filter(pk=rescue_id, state__in=IN_RESCUE, machine=None)
    rescue = found.exclude(image_ref="").select_related("instance__account").first()
    if rescue is None:
        return False
    _row, made = Machine.objects.get_or_create(rescue=rescue, defaults={"next_at": clock_now()})
    return made


def unattended() -> list[uuid.UUID]:
    """List the rescues in which nobody tried the machine yet."""
    found = Rescue.objects.filter(state__in=IN_RESCUE, machine=None).exclude(image_ref="")
    return list(found.values_list("pk", flat=True)[:200])


def due() -> list[uuid.UUID]:
    """List the rescues whose machine is to be tried now."""
    rows = Machine.objects.due(clock_now()).filter(rescue__state__in=IN_RESCUE)
    return list(rows.values_list("rescue_id", flat=True)[:200])


def read_console(rescue_id: uuid.UUID) -> bool:
    """Look on the console for the host keys that were printed; tell whether some are new."""
    rows = Machine.objects.select_related("rescue__instance__account__team")
    row = rows.filter(rescue_id=rescue_id, rescue__state__in=IN_RESCUE).first()
    if row is None:
        return False
    instance = row.rescue.instance
    try:
        text = open_account(instance.account).console_log(instance.server_id, lines=2000)
    except CloudError as error:
        logger.info("console of rescue %s not read: %s", rescue_id, error)
        return False
    printed = ssh.fingerprints_in(text)
    fresh = (bool(printed) and printed != row.printed) or _keep_printed(row.rescue, text)
    changes: dict[str, Any] = {"console_read_at": clock_now()}
    if fresh:
        changes |= {"printed": printed, "next_at": clock_now()}
    Machine.objects.filter(pk=row.pk).update(**changes)
    return fresh


def _keep_printed(rescue: Rescue, console_text: str) -> bool:
    """Keep the password that an image prints on its console, sealed; tell whether it is new."""
    pattern = _line_of(rescue)
    found = profiles.password_in(console_text, pattern) if pattern else ""
    if not found or _is_kept(rescue, found):
        return False
    with transaction.atomic():
        kept = rescue.move(
            sealed_password=rescue.sealed(found), password_printed=True, next_at=rescue.next_at
        )
        if kept:
            driver.record("password.printed", rescue)
            driver.announce(rescue)
    return kept


def _is_kept(rescue: Rescue, password: str) -> bool:
    try:
        return rescue.password_printed and rescue.password() == password
    except CannotOpen:
        return False


def _line_of(rescue: Rescue) -> str:
    """Return what finds a printed password: for images of which one is told to read it there."""
    if rescue.access != Access.CONSOLE:
        return ""
    own = operators_profile(rescue.image_name, rescue.image_ref)
    shipped = profiles.shipped_for(rescue.image_name, rescue.image_ref)
    return (own.printed_line if own else "") or (shipped.printed_line if shipped else "")


def probe(rescue_id: uuid.UUID) -> Machine | None:
    """Try a machine that is due; return its row, None when there was nothing to do."""
    row = Machine.objects.claim(rescue_id)
    if row is None:
        return None
    if row.rescue.state not in IN_RESCUE:
        row.next_at = None
        row.write("next_at")
        return None
    before, now = (row.reach, row.fingerprint), clock_now()
    row.first_tried_at = row.first_tried_at or now
    row.tried_at = now
    row.reach = _tried(row)
    after = clock_now()
    row.next_at = _next(row, after, may_print=bool(_line_of(row.rescue)))
    proves = row.reach == Reach.IN and before[0] != Reach.IN
    if row.reach == Reach.IN and row.proven_at is None:
        row.proven_at = after
    changed = [
        "reach", "address", "port", "host_key", "host_key_kind", "fingerprint", "vouched_by",
        "first_tried_at", "tried_at", "proven_at", "next_at",
    ]  # fmt: skip
    with transaction.atomic():
        if not row.write(*changed):
            return None
        if proves:
            driver.record("machine.proven", row.rescue, fingerprint=row.fingerprint)
        if (row.reach, row.fingerprint) != before:
            _announce(row)
    return row


def _tried(row: Machine) -> Reach:
    """Go as far as one gets; note address and host key in the row."""
    account = row.rescue.instance.account
    row.address, row.port = row.rescue.instance.primary_address, account.machine_port
    if not row.address:
        return Reach.NO_ADDRESS
    try:
        if not row.vouched_by:
            _greet(row)
        if not row.vouched_by:
            return Reach.NEW_KEY
        if row.rescue.access != Access.PASSWORD and not row.rescue.password_printed:
            return Reach.KEY_ONLY if row.rescue.access == Access.KEY else Reach.NO_PASSWORD
        with entered(row):
            return Reach.IN
    except ssh.SshError as error:
        logger.info("rescue %s: machine tried: %s", row.rescue_id, error.code)
        return REACH_OF.get(error.code, Reach.TROUBLE)
    except CannotOpen:
        return Reach.NO_PASSWORD


def _greet(row: Machine) -> None:
    """Fetch the host key; the console vouches for it when it printed its fingerprint."""
    key = ssh.greet(target_of(row))
    row.host_key_kind, row.host_key, row.fingerprint = key.kind, key.blob, key.fingerprint
    row.vouched_by = "console" if key.fingerprint in row.printed else ""


def _next(row: Machine, now: datetime, *, may_print: bool = False) -> datetime | None:
    """Return when to try again; None when only a person can change it, or it took too long."""
    tried_for = now - (row.first_tried_at or now)
    if row.reach == Reach.NEW_KEY or (row.reach == Reach.NO_PASSWORD and may_print):
        return now + 4 * OFTEN if tried_for < VOUCHED_WITHIN else None
    if row.reach == Reach.REFUSED and tried_for > PASSWORD_SET_WITHIN:
        return None
    if row.reach not in PASSING:
        return None
    if tried_for < OFTEN_FOR:
        # A port that is closed costs nothing. What takes a log-in or a wait is tried the more
        # seldom the longer it was in vain: late by a sixth of the time at most.
        costly = row.reach not in (Reach.CLOSED, Reach.UNTRIED)
        return now + (max(OFTEN, min(tried_for / 6, SELDOM)) if costly else OFTEN)
    return now + SELDOM if tried_for < SELDOM_FOR else None


def shut_out(row: Machine, error: ssh.SshError) -> None:
    """Note that a machine no longer lets the panel in, as a job found; try it anew if it may pass.

    A rescue system that was started again shows another host key.
    """
    if error.code not in REACH_OF or isinstance(error, ssh.TimedOut):
        return  # it was inside
    reach, now = REACH_OF[error.code], clock_now()
    changes = {"reach": reach, "first_tried_at": now, "next_at": now if reach in PASSING else None}
    if Machine.objects.filter(pk=row.pk, reach=Reach.IN).update(**changes):
        _announce(row)


# The way in ---------------------------------------------------------------------------------------


def target_of(row: Machine) -> ssh.Target:
    """Say where the machine is, and in which networks the operator lets the panel reach it."""
    account = row.rescue.instance.account
    networks = tuple(filter(None, account.machine_networks.replace(",", " ").split()))
    return ssh.Target(row.rescue.instance.primary_address, account.machine_port, networks)


def way_in(row: Machine) -> WayIn:
    """Say where to, to whom, and as whom: root with the temporary password.

    Raise ``CannotOpen`` when there is no password, or its key is gone.
    """
    key = ssh.HostKey(row.host_key_kind, row.host_key)
    login = ssh.Login(row.rescue.access_user or ROOT, password=row.rescue.password())
    return target_of(row), key, login


@contextmanager
def entered(row: Machine) -> Iterator[ssh.Machine]:
    """Log in with the temporary password, to the host whose key was vouched for."""
    with ssh.connect(*way_in(row)) as machine:
        yield machine


# What people decide -------------------------------------------------------------------------------


def accept_key(*, rescue: Rescue, fingerprint: str, by: User) -> None:
    """Vouch for the host key that a person has compared; only the one they were shown counts."""
    must_use(rescue, by)
    shown = Machine.objects.filter(
        rescue=rescue, reach=Reach.NEW_KEY, fingerprint=fingerprint, vouched_by=""
    )
    with transaction.atomic():
        if not fingerprint or not shown.update(
            vouched_by="person", accepted_by=by, next_at=clock_now(), lease_until=None
        ):
            raise NotPossible(_("The machine shows another key by now. Compare it again."))
        driver.record("machine.accept_key", rescue, actor=by, fingerprint=fingerprint)
        driver.announce(rescue)


def try_again(*, rescue: Rescue, by: User) -> None:
    """Try a machine anew from the start; a key that changed is looked at afresh."""
    must_use(rescue, by)
    now = clock_now()
    found = Machine.objects.filter(rescue=rescue, rescue__state__in=IN_RESCUE).exclude(
        reach=Reach.IN
    )
    if not found.update(
        next_at=now, first_tried_at=now, lease_until=None, vouched_by="", accepted_by=None,
        host_key="", host_key_kind="", fingerprint="", reach=Reach.UNTRIED,
    ):  # fmt: skip
        raise NotPossible(_("There is nothing to try."))
    driver.announce(rescue)


def _announce(row: Machine) -> None:
    team = row.rescue.instance.account.team_id
    events.changed(team, [f"machine:{row.rescue_id}", f"rescue:{row.rescue_id}"])
