"""What a team decides about its rescues, and who changed it from what to what."""

from typing import Any

from django.db import transaction

from teams import audit
from teams.membership import must
from teams.models import Team, User
from teams.permissions import Right

DECIDED = (
    "password_readers auto_show_password reason_required rescue_hours exits_by_itself "
    "remind_hours allowed_images"
).split()


def decide(*, team: Team, by: User, **wanted: Any) -> list[str]:
    """Change a team's settings; return the names of those that changed."""
    must(by, Right.MANAGE, team)
    with transaction.atomic():
        held = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        old = {name: getattr(held, name) for name in DECIDED if name in wanted}
        changed = [name for name, value in old.items() if wanted[name] != value]
        if not changed:
            return []
        for name in changed:
            setattr(held, name, wanted[name])
            setattr(team, name, wanted[name])
        held.save(update_fields=changed)
        before = {name: old[name] for name in changed}
        after = {name: wanted[name] for name in changed}
        audit.record("team.settings", team=team, target=team.name, actor=by, old=before, new=after)
    return changed
