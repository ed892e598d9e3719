"""Which images can rescue which server, and how one gets in: the rules as tables."""

import itertools
from dataclasses import replace

import pytest

from instances.picker import Access, ImageFacts, ServerFacts, judge, way_in

IMAGE = ImageFacts(
    image_id="i", name="image", status="active", visibility="public", owner="them", hidden=False,
    disk_format="qcow2", min_ram=0, tags=frozenset(), properties={},
)  # fmt: skip
SERVER = ServerFacts(
    image_id="own", project_id="us", ram=2048, architecture="", os_type="", volume_backed=False,
    volumes=0, config_drive=True, key_name="key", rescues_volume_backed=True,
)  # fmt: skip
BOTH = {"rescue_access": "password, key"}
STABLE = {"hw_rescue_device": "disk", "hw_rescue_bus": "virtio"}
MARKED = {"rescue": "true"}


def with_(facts, properties=None, **changes):
    if properties is not None:
        changes["properties"] = properties
    return replace(facts, **changes)


# (what, the image, the server, why not)
UNSUITABLE = [
    ("plain", {}, {}, ""),
    ("queued", {"status": "queued"}, {}, "not_active"),
    ("deactivated", {"status": "deactivated"}, {}, "not_active"),
    ("hidden", {"hidden": True}, {}, "hidden"),
    ("private of others", {"visibility": "private"}, {}, "not_yours"),
    ("private of ours", {"visibility": "private", "owner": "us"}, {}, ""),
    ("private, owner unknown", {"visibility": "private", "owner": ""}, {}, ""),
    ("shared and accepted", {"visibility": "shared"}, {}, ""),
    ("community", {"visibility": "community"}, {}, ""),
    ("volume snapshot", {"properties": {"block_device_mapping": "[{}]"}}, {}, "volume_image"),
    ("volume image", {"properties": {"img_block_device_mapping": "x"}}, {}, "volume_image"),
    ("other processor", {"properties": {"architecture": "aarch64"}},
     {"architecture": "x86_64"}, "architecture"),
    ("same processor", {"properties": {"architecture": "x86_64"}},
     {"architecture": "x86_64"}, ""),
    ("processor of one unknown", {"properties": {"architecture": "aarch64"}}, {}, ""),
    ("too little memory", {"min_ram": 2049}, {}, "min_ram"),
    ("just enough memory", {"min_ram": 2048}, {}, ""),
    ("memory unknown", {"min_ram": 4096}, {"ram": 0}, ""),
    ("volume-backed, plain", {}, {"volume_backed": True}, "volume_backed"),
    ("volume-backed, one hint", {"properties": {"hw_rescue_bus": "virtio"}},
     {"volume_backed": True}, "volume_backed"),
    ("volume-backed, both hints", {"properties": STABLE}, {"volume_backed": True}, ""),
    ("volume-backed, old Nova", {"properties": STABLE},
     {"volume_backed": True, "rescues_volume_backed": False}, "cloud_too_old"),
    ("iso", {"disk_format": "iso"}, {}, "iso"),
    ("iso as a disk", {"disk_format": "iso", "properties": STABLE}, {}, "iso"),
    ("iso as a CD-ROM", {"disk_format": "iso", "properties": {"hw_rescue_device": "cdrom"}}, {},
     ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "server", "code"), [pytest.param(*row[1:], id=row[0]) for row in UNSUITABLE]
)
def test_what_can_be_picked(image, server, code):
    assert judge(replace(IMAGE, **image), replace(SERVER, **server)).unsuitable == code


# (what, properties of the image, the server, listed by the operator, the way in)
PASSWORD, KEY = Access.PASSWORD, Access.KEY
WAYS_IN = [
    ("declared", {"rescue_access": "password"}, {}, False, (PASSWORD, "root")),
    ("declared, as another user", {"rescue_access": "password", "rescue_user": "fix"}, {}, False,
     (PASSWORD, "fix")),
    ("declared in capitals", {"rescue_access": "Password"}, {}, False, (PASSWORD, "root")),
    ("marked", MARKED, {}, False, (PASSWORD, "root")),
    ("listed", {}, {}, True, (PASSWORD, "root")),
    ("declared, no config drive", {"rescue_access": "password"}, {"config_drive": False}, False,
     (Access.UNKNOWN, "root")),
    ("declared, stable: the old drive is attached", {"rescue_access": "password"} | STABLE, {},
     False, (Access.UNKNOWN, "root")),
    ("listed, stable", STABLE, {}, True, (Access.UNKNOWN, "root")),
    ("made for rescue, stable, says nothing", STABLE, {}, False, (Access.UNKNOWN, "root")),
    ("key declared", {"rescue_access": "key"}, {}, False, (KEY, "root")),
    ("key declared, with a user", {"rescue_access": "key", "rescue_user": "fix"}, {}, False,
     (KEY, "fix")),
    ("both declared", BOTH, {}, False, (PASSWORD, "root")),
    ("both declared, no config drive", BOTH, {"config_drive": False}, False, (KEY, "root")),
    ("both declared, neither there", BOTH, {"config_drive": False, "key_name": ""}, False,
     (Access.UNKNOWN, "root")),
    ("both declared, stable: the old password keeps the key out", BOTH | STABLE, {}, False,
     (Access.UNKNOWN, "root")),
    ("key declared, server has none", {"rescue_access": "key"}, {"key_name": ""}, False,
     (Access.UNKNOWN, "root")),
    ("console declared", MARKED | {"rescue_access": "console"}, {}, False,
     (Access.CONSOLE, "root")),
    ("a distribution's cloud image", {"os_distro": "debian"}, {}, False, (KEY, "debian")),
    ("RHEL has a user of its own", {"os_distro": "RHEL"}, {}, False, (KEY, "cloud-user")),
    ("a cloud image, no key", {"os_distro": "debian"}, {"key_name": ""}, False,
     (Access.UNKNOWN, "root")),
    ("a stable one of a distribution", {"os_distro": "debian"} | STABLE, {}, False,
     (KEY, "debian")),
    ("nothing known", {}, {}, False, (Access.UNKNOWN, "root")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "server", "listed", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in WAYS_IN],
)
def test_how_one_gets_in(properties, server, listed, expected):
    image = with_(IMAGE, properties)
    assert way_in(image, replace(SERVER, **server), listed=listed) == expected


def test_a_password_is_never_promised_where_it_cannot_arrive():
    """Measured on real machines: only a fresh config drive carries it."""
    choices = [None, "password", "key", "console", "password,key"]
    stable = [{}, STABLE, {"hw_rescue_bus": "virtio"}, {"hw_rescue_device": "disk"}]
    for access, hints, mark, listed in itertools.product(
        choices, stable, [{}, MARKED], [True, False]
    ):
        said = {"rescue_access": access} if access else {}
        image = with_(IMAGE, said | hints | mark)
        none = way_in(image, with_(SERVER, config_drive=False), listed=listed)
        assert none[0] is not PASSWORD
        if hints:
            assert way_in(image, SERVER, listed=listed)[0] is not PASSWORD


WARNINGS = [
    ("none", {}, {}, set()),
    ("its own image", {"image_id": "own"}, {}, {"same_image"}),
    ("less usual processor, own unknown", {"properties": {"architecture": "aarch64"}}, {},
     {"architecture_unknown"}),
    ("usual processor, own unknown", {"properties": {"architecture": "x86_64"}}, {}, set()),
    ("less usual processor, the same", {"properties": {"architecture": "aarch64"}},
     {"architecture": "aarch64"}, set()),
    ("a snapshot of it", {"properties": {"base_image_ref": "own"}}, {}, {"snapshot_of_it"}),
    ("base of a volume-backed one", {"properties": {"base_image_ref": ""} | STABLE},
     {"image_id": "", "volume_backed": True}, {"old_config_drive"}),
    ("another system", {"properties": {"os_type": "linux"}}, {"os_type": "windows"}, {"other_os"}),
    ("system of one unknown", {"properties": {"os_type": "linux"}}, {}, set()),
    ("volumes", {}, {"volumes": 1}, {"volumes_absent"}),
    ("volumes stay", {"properties": STABLE}, {"volumes": 1}, {"old_config_drive"}),
    ("no config drive", {"properties": MARKED}, {"config_drive": False}, {"no_config_drive"}),
    ("no config drive, no password image", {}, {"config_drive": False}, set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "server", "codes"), [pytest.param(*row[1:], id=row[0]) for row in WARNINGS]
)
def test_what_to_mind(image, server, codes):
    assert set(judge(replace(IMAGE, **image), replace(SERVER, **server)).warnings) == codes


def test_the_order_of_the_offer():
    by_password = with_(IMAGE, MARKED, image_id="password")
    by_key = with_(IMAGE, MARKED | {"rescue_access": "key"}, image_id="key")
    by_tag = with_(IMAGE, {"rescue_access": "console"}, image_id="tag", tags=frozenset({"rescue"}))
    own_marked = with_(IMAGE, MARKED, image_id="own")
    plain = with_(IMAGE, {"os_distro": "debian"}, image_id="plain")
    images = [plain, own_marked, by_tag, by_key, by_password]
    ranked = sorted(images, key=lambda image: judge(image, SERVER).rank)
    assert [image.image_id for image in ranked] == ["password", "key", "tag", "own", "plain"]


@pytest.mark.parametrize("mark", ["true", "True", "1", "yes"])
def test_what_marks_a_rescue_image(mark):
    assert with_(IMAGE, {"rescue": mark}).for_rescue
    assert not with_(IMAGE, {"rescue": "no"}).for_rescue
    assert judge(IMAGE, SERVER, listed=True).for_rescue
    assert not judge(IMAGE, SERVER).for_rescue


def test_what_the_team_does_not_allow_is_unsuitable():
    verdict = judge(IMAGE, SERVER, allowed=False)
    assert verdict.unsuitable == "not_allowed"
