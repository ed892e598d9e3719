"""Tell open pages that staff began or ended to act for somebody; imported when the app is ready."""

from typing import Any

from django.dispatch import receiver

from instances import events
from instances.models import Grant
from teams import acting
from teams.models import Impersonation


@receiver(acting.changed)
def announce(impersonation: Impersonation, **_kwargs: Any) -> None:
    """Tell the customer's teams, and of each rescue whose password staff had asked for."""
    grants = Grant.objects.filter(staff=impersonation.staff_id, withdrawn_at=None)
    asked = grants.filter(asked_at__gte=impersonation.started_at)
    for team in impersonation.customer.teams.all():
        rescues = asked.filter(rescue__instance__account__team=team)
        topics = {f"rescue:{pk}" for pk in rescues.values_list("rescue_id", flat=True)}
        events.changed(team.pk, {"staff", *topics})
