"""``manage.py add_member TEAM EMAIL --role ROLE``: put somebody in a team. Idempotent."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from teams import audit
from teams.models import Membership, Team, User
from teams.permissions import Role


class Command(BaseCommand):
    help = "Put somebody who has an account in a team, or change the role there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team")
        parser.add_argument("email")
        parser.add_argument("--role", choices=Role.values, default=Role.MEMBER)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        team = Team.objects.select_for_update(no_key=True).filter(name=options["team"]).first()
        if team is None:
            raise CommandError(f"There is no team {options['team']!r}: make it with create_team.")
        user = User.objects.filter(email=options["email"].lower()).first()
        if user is None:
            raise CommandError(
                f"Nobody signs in as {options['email']}: an owner can invite that address."
            )
        role = Role(options["role"])
        membership = Membership.objects.filter(team=team, user=user).first()
        if membership is None:
            Membership.objects.create(team=team, user=user, role=role)
            audit.record("member.add", team=team, target=user.email, role=role.value)
        elif membership.role != role:
            others = team.memberships.filter(role=Role.OWNER).exclude(user=user)
            if membership.role == Role.OWNER and not others.exists():
                raise CommandError("A team needs an owner: make somebody else an owner first.")
            old, membership.role = membership.role, role
            membership.save(update_fields=["role"])
            audit.record("member.role", team=team, target=user.email, old=old, new=role.value)
        self.stdout.write(f"Team {team.name}: {role.value} {user.email}.")
