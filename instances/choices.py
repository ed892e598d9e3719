"""What the dialogs offer: images with their verdicts in words, and what to know beforehand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from instances import metadata_hash, picker, wording
from instances.models import Image, ImageProfile, Instance, Machine, Rescue
from instances.picker import Access, ImageFacts, ServerFacts, Verdict
from instances.profiles import Profile, profile_of
from teams.models import Team

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class Note:
    """Something to know before the click: info, warning or block."""

    level: str
    text: "StrOrPromise"


@dataclass(frozen=True)
class ImageChoice:
    ref: str
    name: str
    suitable: bool
    reason: "StrOrPromise"
    preselected: bool
    rescue_image: bool
    access: str
    access_label: "StrOrPromise"
    user: str
    warnings: "list[StrOrPromise]"
    size_bytes: int
    os_label: str
    keeps_disks: bool
    by_metadata: bool

    @property
    def recommended(self) -> bool:
        return self.preselected


@dataclass(frozen=True)
class Picker:
    choices: list[ImageChoice]
    unsuitable: list[ImageChoice]
    notes: list[Note]

    @property
    def preselected(self) -> ImageChoice | None:
        return next((choice for choice in self.choices if choice.preselected), None)


def picker_for(instance: Instance) -> Picker:
    """Judge every image of the instance's cloud account, and preselect the best."""
    server, own = server_facts(instance), profiles()
    judged = [
        (image, judge(image, server, instance.team, own)) for image in instance.account.images.all()
    ]
    judged.sort(key=lambda pair: (bool(pair[1].unsuitable), pair[1].rank, pair[0].name.lower()))
    best = min((verdict.preference for _image, verdict in judged), default=None)
    offered: list[ImageChoice] = []
    for image, verdict in judged:
        preselected = verdict.preference == best and not any(c.preselected for c in offered)
        offered.append(_choice(image, verdict, preselected=preselected))
    return Picker(
        choices=[choice for choice in offered if choice.suitable],
        unsuitable=[choice for choice in offered if not choice.suitable],
        notes=_start_notes(instance),
    )


def choice_of(instance: Instance, image_ref: str) -> ImageChoice | None:
    """Judge one image again, as on submit; None when the account has no such image."""
    image = instance.account.images.filter(image_id=image_ref).first()
    if image is None:
        return None
    verdict = judge(image, server_facts(instance), instance.team, profiles())
    return _choice(image, verdict, preselected=False)


def profiles() -> list[Profile]:
    """Read what the operator said of images."""
    return [row.known for row in ImageProfile.objects.all()]


def judge(image: Image, server: ServerFacts, team: Team, own: list[Profile]) -> Verdict:
    """Judge one image for one server by all that is known of both."""
    names = {image.image_id, image.name}
    return picker.judge(
        _image_facts(image),
        server,
        listed=_listed(image),
        allowed=not team.allowed_images or not names.isdisjoint(team.allowed_images),
        profile=profile_of(image.name, image.image_id, own),
    )


def _listed(image: Image) -> bool:
    """The operator named this image, by id or name, as one for rescue that takes the password."""
    return not {image.image_id, image.name}.isdisjoint(settings.RESCUE_IMAGES)


def _image_facts(image: Image) -> ImageFacts:
    return ImageFacts(
        image_id=image.image_id,
        name=image.name,
        status=image.status,
        visibility=image.visibility,
        owner=image.owner,
        hidden=image.hidden,
        disk_format=image.disk_format,
        min_ram=image.min_ram,
        tags=frozenset(image.tags),
        properties=image.properties,
    )


def server_facts(instance: Instance) -> ServerFacts:
    """Gather what the rules ask of a server."""
    own = instance.account.images.filter(image_id=instance.image_id).first()
    return facts_with(instance, own)


def facts_with(instance: Instance, own: Image | None) -> ServerFacts:
    """Gather it with the server's own image at hand; None: it is gone."""
    properties = own.properties if own else {}
    mirror = instance.account.mirror
    return ServerFacts(
        image_id=instance.image_id,
        project_id=mirror.project_id,
        ram=instance.flavor_ram,
        architecture=properties.get("architecture", ""),
        os_type=properties.get("os_type", ""),
        volume_backed=instance.volume_backed,
        volumes=instance.volumes,
        config_drive=instance.config_drive,
        key_name=instance.key_name,
        rescues_volume_backed=mirror.rescues_volume_backed,
        takes_hash=takes_hash(instance),
    )


def takes_hash(instance: Instance) -> bool:
    """Tell whether a password's hash may, and can now, be put into the instance's metadata."""
    may = instance.account.password_by_metadata
    return may and instance.vm_state in metadata_hash.VM_STATES


def _choice(image: Image, verdict: Verdict, *, preselected: bool) -> ImageChoice:
    distribution = image.properties.get("os_distro", image.properties.get("os_type", ""))
    version = image.properties.get("os_version", "")
    return ImageChoice(
        ref=image.image_id,
        name=image.name,
        suitable=not verdict.unsuitable,
        reason=wording.UNSUITABLE.get(verdict.unsuitable, ""),
        preselected=preselected and not verdict.unsuitable,
        rescue_image=verdict.for_rescue,
        access=verdict.access,
        access_label=access_label(verdict),
        user=verdict.user,
        warnings=[wording.WARNINGS[code] for code in verdict.warnings],
        size_bytes=image.size,
        os_label=f"{distribution} {version}".strip(),
        keeps_disks=verdict.keeps_disks,
        by_metadata=verdict.by_metadata,
    )


def access_label(verdict: Verdict) -> "StrOrPromise":
    """Say how one gets in."""
    if verdict.access is Access.PASSWORD:
        return _("Temporary password")
    if verdict.access is Access.KEY:
        return _("Your SSH key as user {user}").format(user=verdict.user)
    if verdict.access is Access.CONSOLE:
        return _("Read it on the console")
    return _("Way in unknown")


def _start_notes(instance: Instance) -> list[Note]:
    notes = [
        Note(
            "info",
            _("The instance is shut down and started again from the image you pick."),
        ),
        Note(
            "info", _("Its own disk is attached as an additional disk; nothing on it is changed.")
        ),
    ]
    if instance.vm_state == "stopped":
        notes.append(
            Note("warning", _("The instance is off now. After the exit it will be running."))
        )
    if instance.vm_state == "error":
        notes.append(
            Note("warning", _("The instance is in error: a rescue may fail. A hard reboot might "
                              "be enough."))
        )  # fmt: skip
    if not instance.primary_address:
        notes.append(
            Note("warning", _("The instance has no address: you will need the console to log in."))
        )
    notes += _password_notes(instance)
    if instance.volumes and not instance.volume_backed:
        notes.append(
            Note("warning", _("Attached volumes are missing in rescue mode, unless the image "
                              "keeps all disks."))
        )  # fmt: skip
    return notes


def _password_notes(instance: Instance) -> list[Note]:
    """Say how a temporary password gets there without a config drive, or that it does not."""
    if instance.config_drive:
        return []
    if takes_hash(instance):
        text = _("The instance has no config drive: a temporary password reaches only images that "
                 "read its hash in the instance’s metadata. The panel puts it there before the "
                 "rescue and takes it away after the exit.")  # fmt: skip
        return [Note("info", text)]
    if instance.account.password_by_metadata:
        text = _("The instance has no config drive, and in its present state the cloud takes no "
                 "metadata: a temporary password cannot reach the rescue system.")  # fmt: skip
        return [Note("warning", text)]
    text = _("The instance has no config drive, so a temporary password cannot reach the rescue "
             "system.")  # fmt: skip
    return [Note("warning", text)]


def exit_notes(instance: Instance) -> list[Note]:
    """List what to know before leaving rescue mode."""
    rescue = instance.open_rescue
    notes = [
        *_still_working(rescue),
        *_still_mounted(rescue),
        Note("warning", _("Unmount the disk first, so that nothing is lost: umount /mnt")),
        Note("info", _("The instance is shut down and boots normally from its own disk.")),
    ]
    if rescue and rescue.vm_state_before == "stopped":
        notes.append(
            Note("info", _("It was off before the rescue; after the exit it will be running."))
        )
    notes.append(Note("info", _("The temporary password is destroyed.")))
    if rescue and rescue.by_metadata:
        notes.append(
            Note("info", _("Its hash is taken out of the instance’s metadata, within a minute."))
        )
    return notes


def _still_working(rescue: Rescue | None) -> list[Note]:
    """Warn of work on the machine that the exit would cut off in the middle."""
    latest = rescue.jobs.order_by("-created_at").first() if rescue else None
    if latest is None or not (latest.under_way or latest.problem == "still_going"):
        return []
    return [
        Note(
            "warning",
            _("Something is still being done on the machine. Leaving now cuts it off in the "
              "middle, which can damage the disk."),
        )
    ]  # fmt: skip


def _still_mounted(rescue: Rescue | None) -> list[Note]:
    """Warn of what was mounted when the panel last looked."""
    machine: Machine | None = getattr(rescue, "machine", None)
    mount = machine.disks.mounted_at("/mnt") if machine and machine.disks else None
    if mount is None:
        return []
    text = _("{device} was still mounted on /mnt when the panel last looked.")
    return [Note("warning", format_lazy(text, device=mount.source))]
