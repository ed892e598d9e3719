"""Which images can rescue a server, and how one gets in: pure rules, no wording, no database.

Nova itself checks little (any image it can name is accepted) and fails later on the host, so
the picker checks beforehand. Sources: nova/compute/api.py ``rescue``, nova/virt/libvirt
``blockinfo`` and ``_create_configdrive``, and what was measured on real machines
(docs/architecture.md, "How one gets in").
"""

from dataclasses import dataclass
from enum import StrEnum

from instances.profiles import Profile, shipped_for

RESCUE_MARKS = frozenset({"true", "1", "yes"})
#: the image reads the hash of the temporary password from the server's metadata
TAKES_HASH = "rescue_password_metadata"
STABLE_DEVICE, STABLE_BUS = "hw_rescue_device", "hw_rescue_bus"
USUAL_ARCHITECTURE = "x86_64"
#: the user that cloud images of a distribution give the server's SSH key to
KEY_USERS = {
    "almalinux": "almalinux",
    "arch": "arch",
    "centos": "centos",
    "cirros": "cirros",
    "debian": "debian",
    "fedora": "fedora",
    "opensuse": "opensuse",
    "rhel": "cloud-user",
    "rocky": "rocky",
    "sles": "sles",
    "ubuntu": "ubuntu",
}

DOUBTFUL = frozenset({"same_image", "architecture_unknown"})  # may not boot, or the wrong disk


class Access(StrEnum):
    PASSWORD = "password"  # noqa: S105  as root, with the temporary password
    KEY = "key"  # with the server's SSH key
    CONSOLE = "console"  # with what the image prints on the console
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ImageFacts:
    image_id: str
    name: str
    status: str
    visibility: str
    owner: str
    hidden: bool
    disk_format: str
    min_ram: int
    tags: frozenset[str]
    properties: dict[str, str]

    @property
    def for_rescue(self) -> bool:
        """Made for rescue: marked so with a tag or property, or by stable-device hints."""
        marked = self.properties.get("rescue", "").lower() in RESCUE_MARKS or "rescue" in self.tags
        return marked or bool(self.stable)

    @property
    def stable(self) -> bool:
        """Nova keeps every disk in its place when either property is there."""
        return STABLE_DEVICE in self.properties or STABLE_BUS in self.properties

    @property
    def takes_hash(self) -> bool:
        """Whoever made it says that it reads the password's hash from the server's metadata."""
        return self.properties.get(TAKES_HASH, "").lower() in RESCUE_MARKS


@dataclass(frozen=True)
class ServerFacts:
    image_id: str
    project_id: str
    ram: int
    architecture: str
    os_type: str
    volume_backed: bool
    volumes: int
    config_drive: bool
    key_name: str
    #: this cloud's Nova can rescue servers that boot from a volume
    rescues_volume_backed: bool
    #: the account lets the panel write the hash, and Nova takes it in the server's present state
    takes_hash: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the rules say of one image for one server; codes, put into words elsewhere."""

    unsuitable: str  # "" when it can be picked
    access: Access
    user: str
    warnings: tuple[str, ...]
    for_rescue: bool
    keeps_disks: bool
    #: its password arrives by a hash in the server's metadata
    by_metadata: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Order: made for rescue, not the server's own image, then by the way in."""
        return (
            not self.for_rescue,
            not DOUBTFUL.isdisjoint(self.warnings),
            list(Access).index(self.access),
        )

    @property
    def preference(self) -> tuple[bool, bool, bool, bool, int]:
        """Order for preselecting: it can be picked, there is a known way in, then by rank."""
        return (bool(self.unsuitable), self.access is Access.UNKNOWN, *self.rank)


def judge(
    image: ImageFacts,
    server: ServerFacts,
    *,
    listed: bool = False,
    allowed: bool = True,
    profile: Profile | None = None,
) -> Verdict:
    """Judge an image: ``listed`` and known by the operator, ``allowed`` by the team."""
    access, user = way_in(image, server, listed=listed, profile=profile)
    by_metadata = access is Access.PASSWORD and needs_hash(image, server)
    return Verdict(
        unsuitable=_why_not(image, server) if allowed else "not_allowed",
        access=access,
        user=user,
        warnings=tuple(_warnings(image, server, listed=listed, by_metadata=by_metadata)),
        for_rescue=listed or image.for_rescue,
        keeps_disks=image.stable,
        by_metadata=by_metadata,
    )


def _why_not(image: ImageFacts, server: ServerFacts) -> str:
    properties = image.properties
    architecture = properties.get("architecture", "")
    both = STABLE_DEVICE in properties and STABLE_BUS in properties
    checks = (
        ("not_active", image.status != "active"),
        ("hidden", image.hidden),
        ("not_yours", image.visibility == "private" and _foreign(image, server)),
        ("volume_image", bool(properties.get("block_device_mapping"))
         or bool(properties.get("img_block_device_mapping"))),
        ("architecture", bool(architecture and server.architecture)
         and architecture != server.architecture),
        ("min_ram", image.min_ram > server.ram > 0),
        ("cloud_too_old", server.volume_backed and not server.rescues_volume_backed),
        ("volume_backed", server.volume_backed and not both),
        ("iso", image.disk_format == "iso" and properties.get(STABLE_DEVICE) != "cdrom"),
    )  # fmt: skip
    return next((code for code, hit in checks if hit), "")


def _foreign(image: ImageFacts, server: ServerFacts) -> bool:
    return bool(image.owner and server.project_id) and image.owner != server.project_id


def way_in(
    image: ImageFacts,
    server: ServerFacts,
    *,
    listed: bool = False,
    profile: Profile | None = None,
) -> tuple[Access, str]:
    """Return how one gets into this server in rescue with this image, and as whom.

    The operator's profile says so first, then the image's owner with the properties
    ``rescue_access`` (password, key, console; ``password,key`` takes the server's key where no
    password arrives) and ``rescue_user``. Nova hands the password over on the config drive alone,
    and with stable-device images it attaches the old drive: then only an image that reads its
    hash from the server's metadata can take one, where the account permits to write it there.
    """
    profile = profile or Profile("")
    said = profile.access or image.properties.get("rescue_access", "")
    declared = set(said.lower().replace(" ", "").split(",")) - {""}
    user = profile.user or image.properties.get("rescue_user", "")
    marked = listed or image.takes_hash or (image.for_rescue and not image.stable)
    takes_password = Access.PASSWORD in declared or (not declared and marked)
    arrives = _on_fresh_drive(image, server) or needs_hash(image, server)
    if takes_password and arrives:
        return Access.PASSWORD, user or "root"
    if Access.CONSOLE in declared or (profile.printed_line and not declared):
        return Access.CONSOLE, user or "root"
    key_user = user or usual_user(image.name, image.properties)
    takes_key = Access.KEY in declared or (not takes_password and bool(key_user))
    given_one = takes_password and server.config_drive  # though not the one of this rescue
    if takes_key and not given_one and server.key_name:
        return Access.KEY, key_user or "root"
    shipped = shipped_for(image.name, image.image_id)
    if shipped is not None and shipped.printed_line:
        return Access.CONSOLE, key_user or "root"
    return Access.UNKNOWN, user or "root"


def _on_fresh_drive(image: ImageFacts, server: ServerFacts) -> bool:
    return server.config_drive and not image.stable


def needs_hash(image: ImageFacts, server: ServerFacts) -> bool:
    """Tell whether the password can arrive by its hash, and by nothing else."""
    return image.takes_hash and server.takes_hash and not _on_fresh_drive(image, server)


def usual_user(name: str, properties: dict[str, str]) -> str:
    """Name the user an image gives the server's key to: by its distribution, else by its name."""
    known = KEY_USERS.get(str(properties.get("os_distro", "")).lower(), "")
    shipped = shipped_for(name, "")
    return known or (shipped.user if shipped else "")


def _warnings(
    image: ImageFacts, server: ServerFacts, *, listed: bool, by_metadata: bool
) -> list[str]:
    os_type = image.properties.get("os_type", "")
    no_password = (listed or image.for_rescue) and not by_metadata
    architecture = image.properties.get("architecture", "")
    found = (
        ("architecture_unknown", not server.architecture
         and architecture not in {"", USUAL_ARCHITECTURE}),
        ("same_image", bool(image.image_id) and image.image_id == server.image_id),
        ("snapshot_of_it", bool(server.image_id)
         and image.properties.get("base_image_ref") == server.image_id
         and image.image_id != server.image_id),
        ("other_os", bool(os_type and server.os_type) and os_type != server.os_type),
        ("volumes_absent", server.volumes > 0 and not image.stable and not server.volume_backed),
        ("no_config_drive", no_password and not server.config_drive and not image.stable),
        ("old_config_drive", no_password and image.stable),
    )  # fmt: skip
    return [code for code, hit in found if hit]
