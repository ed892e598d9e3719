"""What is known of a machine to somebody who works on it by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from instances import story
from instances.by_hand import Facts, place_of
from instances.by_hand.place import Part, Place
from instances.lifecycle import IN_RESCUE
from instances.models import Instance, Machine, Rescue
from instances.models.profile import operators_profile
from instances.picker import Access, usual_user
from instances.recovery import access, jobs, survey
from teams.ssh_keys import keys_of

if TYPE_CHECKING:
    from teams.models import User


def facts_of(instance: Instance, reader: User) -> Facts:
    """Gather what the panel knows of an instance, as far as somebody may know it."""
    rescue = instance.open_rescue
    ready = rescue if rescue and rescue.state in IN_RESCUE else None
    distro, usual = _of_image(instance)
    # Staff who act for somebody see no keys, as in the start dialog.
    key = None if reader.acted_by else keys_of(reader).first() or keys_of(instance.team).first()
    return Facts(
        place=_place(ready),
        user=_user(ready, reader, usual),
        distro=distro,
        public_key=key.public_key if key else "",
        ssh=story.ssh_command(ready) if ready else "",
        sudo=ready is not None and ready.access == Access.KEY and ready.access_user != access.ROOT,
        server=instance.server_id,
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", instance.name).strip("-.") or "instance",
    )


def _place(rescue: Rescue | None) -> Place:
    if rescue is None:
        return place_of(None)
    machine = Machine.objects.filter(rescue=rescue).first()
    disks = machine.disks if machine else None
    layout = tuple(Part(*one) for one in jobs.layout_seen(rescue))
    return place_of(disks, keeps_disks=survey.rescue_last(rescue), layout=layout)


def _user(rescue: Rescue | None, reader: User, usual: str) -> str:
    """Name whom one logs in as on the old system: as its passwd says, else as its image does."""
    if rescue is None or not access.may_use(rescue, reader):
        return usual
    seen = jobs.users_seen(rescue)
    return usual if usual in seen or not seen else seen[0]


def _of_image(instance: Instance) -> tuple[str, str]:
    """Return the distribution and the usual user of the image an instance was made from."""
    image = instance.account.images.filter(image_id=instance.image_id).first()
    properties = image.properties if image else {}
    profile = operators_profile(instance.image_name, instance.image_id)
    said = profile.user if profile else ""
    user = said or usual_user(instance.image_name, properties)
    return str(properties.get("os_distro", "")).lower(), user
