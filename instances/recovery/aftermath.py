"""After the exit: watch whether the machine starts again, by its console and its SSH port.

``look`` reads the console (with the cloud's credential), ``knock`` tries the port (without it);
each alone may end the watch. Nova's libvirt driver begins a console anew at each start, so that
what it shows after the exit is not the rescue system's.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from django.db import transaction

from instances import diagnosis, driver, ssh
from instances.cloud import CloudError, open_account
from instances.diagnosis import STOPS, Confidence
from instances.lifecycle import State
from instances.models import BootCheck, Machine, Rescue
from instances.models.clock import now as clock_now
from instances.recovery import access

logger = logging.getLogger(__name__)

LEFT = (State.CLOSED, State.RECOVERED)
LINES = 400
OFTEN, OFTEN_FOR = timedelta(seconds=5), timedelta(minutes=1)
SELDOM, GIVE_UP = timedelta(seconds=15), timedelta(minutes=5)
#: a mount that may fail shows the same line as one that may not, but then the start goes on
FAULT_STAYS = timedelta(seconds=30)
#: how long after an exit one begins to watch, when no worker was there before
BEGINS_WITHIN = timedelta(minutes=2)
#: what a look at the port says for good: the panel may not, or cannot, knock there
NEVER = frozenset({"not_allowed", "no_address"})


def begin(rescue_id: uuid.UUID) -> bool:
    """Begin to watch a machine that has just left rescue mode; tell whether it has only begun."""
    now = clock_now()
    left = Rescue.objects.filter(
        pk=rescue_id, state__in=LEFT, ended_at__gt=now - BEGINS_WITHIN, boot_check=None
    )
    rescue = left.first()
    if rescue is None:
        return False
    _row, made = BootCheck.objects.get_or_create(
        rescue=rescue, defaults={"begun_at": now, "next_at": now}
    )
    return made


def unwatched() -> list[uuid.UUID]:
    """List the rescues that were left and whose machine nobody watches yet."""
    after = clock_now() - BEGINS_WITHIN
    left = Rescue.objects.filter(state__in=LEFT, ended_at__gt=after, boot_check=None)
    return list(left.values_list("pk", flat=True)[:200])


def due() -> list[uuid.UUID]:
    """List the rescues whose machine is to be looked at now."""
    return list(BootCheck.objects.due(clock_now()).values_list("rescue_id", flat=True)[:200])


def look(rescue_id: uuid.UUID) -> float | None:
    """Read the console once; return the seconds until the next look, None when it is over."""
    now = clock_now()
    row = BootCheck.objects.claim(rescue_id, now + SELDOM)
    if row is None:
        return None
    told = None if _is_over(row) else _read(row)
    stop = _stop(told)
    same = stop is not None and stop.fault == row.fault
    row.fault_since = (row.fault_since if same else now) if stop else None
    row.fault, row.line = (stop.fault, stop.line) if stop else ("", "")
    verdict = _verdict(row, told, now)
    if verdict is not None:
        _end(row, verdict)
        return None
    wait = OFTEN if now - row.begun_at < OFTEN_FOR else SELDOM
    row.note(
        fault=row.fault, line=row.line, fault_since=row.fault_since, console=row.console,
        next_at=now + wait,
    )  # fmt: skip
    return wait.total_seconds()


def _verdict(
    row: BootCheck, told: diagnosis.Diagnosis | None, now: datetime
) -> BootCheck.State | None:
    """Say what a look at the console settles; None while it may yet go either way."""
    if told is not None and told.booted:
        row.shown_by, row.fault, row.line = "console", "", ""
        return BootCheck.State.UP
    if row.fault_since and now - row.fault_since >= FAULT_STAYS:
        return BootCheck.State.FAULT
    if row.console == "over" or now - row.begun_at >= GIVE_UP:
        return BootCheck.State.UNSEEN
    return None


def knock(rescue_id: uuid.UUID) -> None:
    """Try the SSH port once; nothing secret is sent."""
    rows = BootCheck.objects.select_related("rescue__instance__account__team")
    row = rows.filter(pk=rescue_id, ended_at=None).first()
    if row is None or row.port in NEVER:
        return
    if not row.rescue.instance.primary_address:
        row.note(port="no_address")
        return
    try:
        key = ssh.greet(access.target_of(Machine(rescue=row.rescue)))
    except ssh.SshError as error:
        logger.info("rescue %s: port after the exit: %s", rescue_id, error.code)
        row.note(port=error.code)
        return
    before = Machine.objects.filter(rescue_id=rescue_id).first()
    if before is not None and before.fingerprint == key.fingerprint:
        row.note(port="rescue_key")  # the rescue system still answers, or its disk was booted
        return
    row.shown_by, row.port, row.fault, row.line = "port", "", "", ""
    _end(row, BootCheck.State.UP)


def _is_over(row: BootCheck) -> bool:
    """Tell whether the machine was stopped, rescued or deleted meanwhile; note it in the row."""
    instance = row.rescue.instance
    gone = instance.deleted_at or instance.account.disconnected_at
    over = bool(gone) or instance.vm_state != "active"
    row.console = "over" if over else row.console
    return over


def _read(row: BootCheck) -> diagnosis.Diagnosis | None:
    """Read the console; note in the row why it tells nothing."""
    instance = row.rescue.instance
    try:
        text = open_account(instance.account).console_log(instance.server_id, lines=LINES)
    except CloudError as error:
        logger.info("console after rescue %s not read: %s", row.pk, error)
        row.console = error.kind
        return None
    told = diagnosis.diagnose(text)
    row.console = "empty" if told.empty else ""
    return told


def _stop(told: diagnosis.Diagnosis | None) -> diagnosis.Found | None:
    """Return what keeps the machine from starting, when that shows clearly."""
    found = told.found if told else ()
    clear = (one for one in found if one.fault in STOPS and one.confidence > Confidence.POSSIBLE)
    return next(clear, None)


def _end(row: BootCheck, state: BootCheck.State) -> None:
    """Write how the watch ended, unless the other of look and knock was first."""
    seen = {name: getattr(row, name) for name in ("shown_by", "fault", "line", "console", "port")}
    details = {name: seen[name] for name in ("shown_by", "fault") if seen[name]}
    with transaction.atomic():
        if row.note(state=state, ended_at=clock_now(), next_at=None, **seen):
            driver.record(f"boot.{state}", row.rescue, **details)
            driver.announce(row.rescue)
