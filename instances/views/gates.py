"""What a view may act on: found from the person, never from the address alone."""

import uuid

from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from instances.models import Batch, Instance, Rescue
from teams.gates import Request
from teams.permissions import Right


def operable(request: Request, pk: int) -> Instance:
    """Find an instance to act on: 404 for another team's, 403 for a role that may only look."""
    seen = Instance.objects.visible_to(request.user).with_panel_data()
    instance = get_object_or_404(seen, pk=pk)
    if not request.user.may(Right.OPERATE, instance.team):
        raise PermissionDenied(_("Your role may only look."))
    return instance


def followed(request: Request, pk: uuid.UUID) -> Rescue:
    """Find a rescue of the person's teams: 404 for any other."""
    seen = Rescue.objects.visible_to(request.user).select_related("instance__account__team")
    return get_object_or_404(seen, pk=pk)


def operated(request: Request, pk: uuid.UUID) -> Rescue:
    """Find a rescue to act on: 404 for another team's, 403 for a role that may only look."""
    rescue = followed(request, pk)
    if not request.user.may(Right.OPERATE, rescue.instance.team):
        raise PermissionDenied(_("Your role may only look."))
    return rescue


def seen_batch(request: Request, pk: uuid.UUID) -> Batch:
    """Find a bulk action of the person's teams: 404 for any other, and for another's draft."""
    seen = Batch.objects.visible_to(request.user)
    return get_object_or_404(seen.select_related("team", "asked_by", "acting_by", "run_by"), pk=pk)


def operated_batch(request: Request, pk: uuid.UUID) -> Batch:
    """Find a bulk action to act on: 403 for a role that may only look."""
    batch = seen_batch(request, pk)
    if not request.user.may(Right.OPERATE, batch.team):
        raise PermissionDenied(_("Your role may only look."))
    return batch
