"""What each role may do: one table, read by everything that asks."""

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    OWNER = "owner", _("owner")
    MEMBER = "member", _("member")
    READER = "reader", _("read-only")


class Right(StrEnum):
    LOOK = "look"  # see the team's instances and what happens to them
    OPERATE = "operate"  # start, cancel and exit a rescue, hard reboot
    REVEAL = "reveal"  # read a temporary password
    MANAGE = "manage"  # members, cloud accounts, settings


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.MEMBER: frozenset({Right.LOOK, Right.OPERATE, Right.REVEAL}),
    Role.READER: frozenset({Right.LOOK}),
}


def may(role: str, right: Right) -> bool:
    """Tell whether a role has a right."""
    return right in RIGHTS[Role(role)]


def roles_with(right: Right) -> list[str]:
    """List the roles that have a right, for a query."""
    return [role.value for role, rights in RIGHTS.items() if right in rights]
