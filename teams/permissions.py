"""What each role may do: one table, read by everything that asks."""

from enum import StrEnum
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    OWNER = "owner", _("owner")
    MEMBER = "member", _("member")
    READER = "reader", _("read-only")


class Right(StrEnum):
    LOOK = "look"  # see the team's instances, members and what happens to them
    OPERATE = "operate"  # start, cancel, hand over and exit a rescue, hard reboot
    REVEAL = "reveal"  # read a temporary password, answer staff who ask for one
    AUDIT = "audit"  # read and export the audit trail
    MANAGE = "manage"  # members, cloud accounts, keys, webhooks, settings


class PasswordReaders(models.TextChoices):
    """Who of those with the right to reveal may read a rescue's password, by the team's word."""

    MEMBERS = "members", _("every member who may start a rescue")
    OWNERS = "owners", _("owners, and whoever asked for the rescue")
    REQUESTER = "requester", _("only whoever asked for the rescue or took it over")


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.MEMBER: frozenset({Right.LOOK, Right.OPERATE, Right.REVEAL}),
    Role.READER: frozenset({Right.LOOK}),
}
#: the rights in words, for people and for docs/portal.md
RIGHTS_IN_WORDS = {
    Right.LOOK: _("See the instances, the members and what happens to them"),
    Right.OPERATE: _("Start, cancel, hand over and exit a rescue; hard reboot"),
    Right.REVEAL: _("Read a temporary password, as far as the team’s settings allow"),
    Right.AUDIT: _("Read and export the audit trail"),
    Right.MANAGE: _("Manage members, cloud accounts, keys, webhooks and settings"),
}
#: what is left of a person's rights while staff act for that person
STAFF_RIGHTS = frozenset({Right.LOOK, Right.OPERATE})


def may(role: str, right: Right, *, acted_by: Any = None) -> bool:
    """Tell whether a role has a right, in the hands of staff if ``acted_by`` names one."""
    return right in RIGHTS[Role(role)] and (acted_by is None or right in STAFF_RIGHTS)


def roles_with(right: Right, *, acted_by: Any = None) -> list[str]:
    """List the roles that have a right, for a query."""
    return [role.value for role in Role if may(role, right, acted_by=acted_by)]
