"""Teams and who is in them: create, rename, change a role, remove, leave.

A team never loses its last owner: whoever changes an owner holds the team's row meanwhile.
"""

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from teams import audit
from teams.models import Membership, Team, User
from teams.permissions import Right, Role
from teams.refusals import Refused

LAST_OWNER = _("A team needs an owner. Make somebody else an owner first.")
TAKEN = _("A team of this name exists already. Choose another name.")


def may_create(user: User) -> bool:
    """Tell whether somebody may make teams on this installation."""
    return user.is_active and (settings.TEAM_CREATION == "everybody" or user.is_staff)


def create(*, name: str, by: User) -> Team:
    """Make a team and its first owner."""
    if not may_create(by) or by.acted_by is not None:
        raise PermissionDenied(_("On this installation only staff create teams."))
    _must_be_free(name)
    try:
        with transaction.atomic():
            team = Team.objects.create(name=name)
            Membership.objects.create(team=team, user=by, role=Role.OWNER)
            audit.record("team.create", team=team, target=name, actor=by, owner=by.email)
    except IntegrityError:
        raise Refused(TAKEN, field="name") from None
    return team


def rename(*, team: Team, name: str, by: User) -> None:
    """Give a team another name."""
    must(by, Right.MANAGE, team)
    old = team.name
    if name == old:
        return
    _must_be_free(name, but=team)
    try:
        with transaction.atomic():
            Team.objects.filter(pk=team.pk).update(name=name)
            audit.record("team.rename", team=team, target=name, actor=by, old=old, new=name)
    except IntegrityError:
        raise Refused(TAKEN, field="name") from None
    team.name = name


def change_role(*, membership: Membership, role: Role, by: User) -> None:
    """Give a member another role, unless that would take the team's last owner."""
    must(by, Right.MANAGE, membership.team)
    with transaction.atomic():
        present = _held(membership)
        if present.role == role:
            return
        if present.role == Role.OWNER:
            _must_leave_an_owner(present)
        old, present.role = present.role, role
        present.save(update_fields=["role"])
        audit.record(
            "member.role", team=present.team, target=present.user.email, actor=by, old=old, new=role
        )


def remove(*, membership: Membership, by: User) -> None:
    """Take somebody out of a team."""
    must(by, Right.MANAGE, membership.team)
    _end(membership, by, "member.remove")


def leave(*, membership: Membership, by: User) -> None:
    """Leave a team oneself."""
    if by.acted_by is not None or membership.user_id != by.pk:
        raise PermissionDenied(_("Only the person may do this."))
    _end(membership, by, "member.leave")


def must(user: User, right: Right, team: Team) -> None:
    """Raise ``PermissionDenied`` for somebody without a right."""
    if not user.may(right, team):
        raise PermissionDenied(_("Your role does not allow this."))


def _end(membership: Membership, by: User, act: str) -> None:
    with transaction.atomic():
        present = _held(membership)
        if present.role == Role.OWNER:
            _must_leave_an_owner(present)
        present.delete()
        audit.record(
            act, team=membership.team, target=present.user.email, actor=by, role=present.role
        )


def _held(membership: Membership) -> Membership:
    """Read a membership again, with its team's row held until the transaction ends."""
    team = Team.objects.select_for_update(no_key=True).get(pk=membership.team_id)
    present = team.memberships.select_related("user").filter(pk=membership.pk).first()
    if present is None:
        raise Refused(_("This person is no longer in the team."))
    present.team = team
    return present


def _must_leave_an_owner(membership: Membership) -> None:
    owners = membership.team.memberships.filter(role=Role.OWNER, user__is_active=True)
    if not owners.exclude(pk=membership.pk).exists():
        raise Refused(LAST_OWNER)


def _must_be_free(name: str, but: Team | None = None) -> None:
    others = Team.objects.filter(name__iexact=name)
    if (others.exclude(pk=but.pk) if but else others).exists():
        raise Refused(TAKEN, field="name")
