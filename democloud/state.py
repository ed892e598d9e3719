"""Keep what the look-alike knows: people, servers, images, and nothing on disk."""

import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from democloud.clock import Agenda, now
from democloud.faults import Knobs

if TYPE_CHECKING:
    from democloud.machines.disks import Disk

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "democloud.rescue-panel.invalid")


def fixed_uuid(*parts: str) -> str:
    """Return the same id at each start for the same words."""
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


def fixed_hex(*parts: str) -> str:
    """Return the same id without dashes, as Keystone writes its ids."""
    return fixed_uuid(*parts).replace("-", "")


@dataclass(frozen=True)
class Project:
    """A Keystone project."""

    id: str
    name: str
    description: str = ""


@dataclass(frozen=True)
class User:
    """A Keystone user, with the roles held in each project (by project id)."""

    id: str
    name: str
    password: str
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    email: str = ""
    enabled: bool = True
    password_expired: bool = False


@dataclass(frozen=True)
class Credential:
    """A Keystone application credential."""

    id: str
    name: str
    secret: str
    user_id: str
    project_id: str
    roles: tuple[str, ...]
    expires_at: datetime | None = None
    unrestricted: bool | None = None
    #: None: it may do all that its roles may
    access_rules: tuple[dict[str, str], ...] | None = None


@dataclass
class Token:
    """A Keystone token; project_id is empty for an unscoped one."""

    id: str
    user_id: str
    project_id: str
    roles: tuple[str, ...]
    methods: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    credential_id: str = ""


@dataclass(frozen=True)
class Flavor:
    """A size of server."""

    id: str
    name: str
    ram: int
    vcpus: int
    disk: int


@dataclass
class Image:
    """A Glance image; `properties` holds what is not one of Glance's own fields."""

    id: str
    name: str
    owner: str
    visibility: str = "public"
    status: str = "active"
    os_hidden: bool = False
    disk_format: str | None = "qcow2"
    container_format: str | None = "bare"
    size: int | None = 1 << 29
    min_ram: int = 0
    min_disk: int = 0
    protected: bool = False
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    tags: list[str] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """One address of a server."""

    network: str
    address: str
    version: int = 4
    kind: str = "fixed"
    mac: str = "fa:16:3e:00:00:00"


@dataclass
class Event:
    """What the compute host did for an action."""

    name: str
    started: datetime
    finished: datetime | None = None
    result: str | None = None
    details: str | None = None


@dataclass
class Action:
    """One entry of os-instance-actions."""

    name: str
    request_id: str
    user_id: str
    project_id: str
    started: datetime
    updated: datetime
    message: str | None = None
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True)
class Fault:
    """Why a server is in ERROR."""

    code: int
    message: str
    created: datetime


@dataclass
class Server:
    """A Nova server."""

    id: str
    name: str
    region: str
    project_id: str
    user_id: str
    flavor: Flavor
    image_id: str
    vm_state: str = "active"
    task_state: str | None = None
    power_state: int = 1
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    launched_at: datetime | None = field(default_factory=now)
    terminated_at: datetime | None = None
    addresses: list[Address] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    volume_backed: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    image_properties: dict[str, str] = field(default_factory=dict)
    security_groups: list[str] = field(default_factory=lambda: ["default"])
    key_name: str | None = None
    config_drive: bool = False
    description: str | None = None
    hostname: str = ""
    locked_by: str | None = None
    locked_reason: str | None = None
    fault: Fault | None = None
    deleted: bool = False
    actions: list[Action] = field(default_factory=list)
    flavor_before: Flavor | None = None
    rescue_image_id: str | None = None
    rescues: int = 0
    #: what the rescue system was given; no API shows it
    rescue_password: str = field(default="", repr=False)
    #: where its machine answers SSH; one of its addresses
    ssh_address: str = ""
    #: what its disk is like (see machines/layouts.py), and the disk once it was looked at
    disk: str = "sound"
    own_disk: "Disk | None" = field(default=None, repr=False)
    #: is told of each change; sees to it that the machine answers or not
    watch: "Callable[[Server], None] | None" = field(default=None, repr=False)
    #: keeps its host keys from those before a reset or restart
    nonce: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)

    def save(self, **changes: Any) -> None:
        """Change some fields and the time of the last change."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.updated = now()
        if self.watch is not None:
            self.watch(self)

    @property
    def host_id(self) -> str:
        """Return what Nova shows non-admins instead of the host's name."""
        return hashlib.sha224(f"{self.project_id}demo-compute".encode()).hexdigest()


@dataclass
class Region:
    """One region: its own Nova, Glance and Neutron, behind one Keystone."""

    name: str
    slug: str
    network: str = "Ext-Net"
    servers: dict[str, Server] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    flavors: dict[str, Flavor] = field(default_factory=dict)


@dataclass
class Seed:
    """What a cloud starts from, and returns to at a reset."""

    regions: list[Region] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)
    knobs: Knobs = field(default_factory=Knobs)


class Cloud:
    """All of it, in memory. Handlers run one at a time, so each is atomic."""

    def __init__(self, seed: Seed) -> None:
        self.agenda = Agenda()
        self.log: list[dict[str, Any]] = []
        #: boots the machines of a cloud that was filled; None where none are to answer
        self.on_filled: Callable[[], None] | None = None
        self.fill(seed)

    def fill(self, seed: Seed) -> None:
        """Start anew from a seed: nothing under way, no token, no request remembered."""
        self.agenda.clear()
        self.log.clear()
        self.knobs = replace(seed.knobs, servers=dict(seed.knobs.servers))
        self.regions = {region.slug: region for region in seed.regions}
        self.projects = {project.id: project for project in seed.projects}
        self.users = {user.id: user for user in seed.users}
        self.credentials = {one.id: one for one in seed.credentials}
        self.tokens: dict[str, Token] = {}
        if self.on_filled is not None:
            self.on_filled()

    def server(self, wanted: str) -> Server | None:
        """Find a server by its id, or by its name if that names one that lives."""
        for region in self.regions.values():
            if wanted in region.servers:
                return region.servers[wanted]
        alive = (
            s for region in self.regions.values() for s in region.servers.values() if not s.deleted
        )
        return next((s for s in alive if s.name == wanted), None)

    def project_named(self, name: str) -> Project | None:
        """Find a project by its name."""
        return next((p for p in self.projects.values() if p.name == name), None)

    def user_named(self, name: str) -> User | None:
        """Find a user by name."""
        return next((u for u in self.users.values() if u.name == name), None)
