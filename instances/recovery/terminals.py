"""Terminals in the browser: who may have one, for how long, and what the trail says of it.

A person asks for a ticket on the page; the web process that holds the socket redeems it, logs in,
looks every few seconds whether it may still go on, and says when it is over. Of what is typed and
shown nothing comes here.
"""

from __future__ import annotations

import uuid
from enum import IntEnum
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from instances import driver
from instances.lifecycle import IN_RESCUE
from instances.models import Machine, Rescue, Terminal
from instances.models.clock import now as clock_now
from instances.recovery import access
from instances.rescue import NotPossible
from teams.secrets import CannotOpen

if TYPE_CHECKING:
    from teams.models import User

MOST_OF_A_PERSON, MOST_ON_A_MACHINE = 3, 6


class End(IntEnum):
    """How a terminal ended: the code its socket is closed with, which the page has words for."""

    BROKEN = 1011  # the panel itself stumbled: the page has no words for it and tries again
    EXITED = 4000  # the shell has ended; the reason is its exit status
    IDLE = 4001
    SIGNED_OUT = 4002
    NOT_ALLOWED = 4003
    OVER = 4004  # the machine is not in rescue mode any more
    GONE = 4005  # the machine hung up
    TICKET = 4006
    FULL = 4007
    NONSENSE = 4008  # what came is not what our page sends
    NO_WAY_IN = 4009
    KEY_CHANGED = 4010
    LEFT = 4011  # the page was left, or its connection lost


class Refused(Exception):
    """A terminal is not to be opened; ``end`` says why."""

    def __init__(self, end: End) -> None:
        super().__init__(end.name)
        self.end = end


def ask(*, rescue: Rescue, by: User) -> str:
    """Return a ticket that lets this person open one terminal within half a minute.

    Raise ``PermissionDenied`` or ``NotPossible``.
    """
    access.must_use(rescue, by)
    access.must_be_in(rescue)
    now = clock_now()
    terminal = Terminal(rescue=rescue, user=by, acting_by=by.acted_by, asked_at=now)
    ticket = terminal.new_ticket()
    with transaction.atomic():
        Rescue.objects.select_for_update(no_key=True).get(pk=rescue.pk)  # one asks at a time
        there = Terminal.objects.filter(rescue=rescue).open(now)
        if there.filter(user=by, acting_by=by.acted_by).count() >= MOST_OF_A_PERSON:
            raise NotPossible(
                _("You have several terminals open on this machine. Close one of them first.")
            )
        if there.count() >= MOST_ON_A_MACHINE:
            raise NotPossible(_("Your team has too many terminals open on this machine."))
        Terminal.objects.filter(rescue=rescue, opened_at=None).exclude(
            pk__in=there.values("pk")
        ).delete()  # tickets that nobody used
        terminal.save(force_insert=True)
    return ticket


def redeem(ticket: str, *, rescue_id: uuid.UUID, by: User) -> tuple[Terminal, access.WayIn]:
    """Use a ticket up and return the way in; raise ``Refused``.

    The ticket is good for the one who asked, on that rescue, once. The trail says *opened* before
    anybody is inside.
    """
    rows = Terminal.objects.filter(rescue_id=rescue_id, user=by, acting_by=by.acted_by)
    terminal = rows.filter(ticket_hash=Terminal.hash_of(ticket)).first()
    if terminal is None or not terminal.take():
        raise Refused(End.TICKET)
    if end := look(terminal, by):
        Terminal.objects.filter(pk=terminal.pk).update(ended_at=clock_now())
        raise Refused(end)
    driver.record("machine.terminal", terminal.rescue, actor=by)
    row = Machine.objects.select_related("rescue__instance__account__team").get(rescue=rescue_id)
    try:
        return terminal, access.way_in(row)
    except CannotOpen:
        over(terminal, End.NO_WAY_IN, by=by)
        raise Refused(End.NO_WAY_IN) from None


def look(terminal: Terminal, by: User) -> End | None:
    """Say that the terminal is in use; return why it must end now, None when it may go on."""
    seen = Rescue.objects.visible_to(by).select_related("instance__account__team")
    rescue = seen.filter(pk=terminal.rescue_id).first()
    if rescue is None or not access.may_use(rescue, by):
        return End.NOT_ALLOWED
    if rescue.state not in IN_RESCUE:
        return End.OVER
    terminal.rescue = rescue
    Terminal.objects.filter(pk=terminal.pk, ended_at=None).update(seen_at=clock_now())
    return None


def over(terminal: Terminal, end: End | None, *, by: User | None) -> bool:
    """Write down that a terminal has ended, once; ``end`` None: its process died."""
    now = clock_now() if end else (terminal.seen_at or clock_now())
    with transaction.atomic():
        mine = Terminal.objects.filter(pk=terminal.pk, ended_at=None)
        if not mine.update(ended_at=now):
            return False
        seconds = round((now - (terminal.opened_at or now)).total_seconds())
        why = end.name.lower() if end else "lost"
        driver.record(
            "machine.terminal_end", terminal.rescue, actor=by, seconds=seconds, outcome=why
        )
    return True


def end_lost() -> int:
    """Write down the ends of terminals whose process died; count them."""
    lost = Terminal.objects.lost(clock_now()).select_related("rescue__instance__account__team")
    return sum(over(one, None, by=None) for one in lost)
