"""A server that boots from a volume (tempest's T9 and T10, Nova's functional N1 to N5)."""

import pytest

from tests.contract.clouds import Cloud

REFUSED = (
    400,
    "badRequest: Instance <uuid> cannot be rescued: Cannot rescue a volume-backed instance",
)


@pytest.fixture(scope="module")
def on_volume(cloud: Cloud) -> str:
    """Return a server whose root disk is a volume."""
    server = cloud.boot("volume")
    cloud.tamper("volume-backed", server)
    return server


def test_image_is_empty(cloud: Cloud, on_volume: str) -> None:
    shown = cloud.show(on_volume)

    assert shown is not None
    assert shown["image"] == ""
    assert cloud.as_("carol").compute.get_server(on_volume).image == {}


@pytest.mark.parametrize(
    ("version", "image"),
    [("2.86", "keeping"), ("2.1", "keeping"), ("2.87", "debian"), ("2.104", "debian")],
)
def test_refused(cloud: Cloud, on_volume: str, version: str, image: str) -> None:
    said = cloud.rescue(on_volume, version=version, rescue_image_ref=getattr(cloud, image))

    assert said.short == REFUSED
    assert cloud.state(on_volume) == "ACTIVE active -"


def test_refused_without_image(cloud: Cloud, on_volume: str) -> None:
    assert cloud.rescue(on_volume, version="2.87").short == REFUSED


@pytest.mark.parametrize("bus", [{"hw_rescue_bus": "scsi"}, {"hw_rescue_device": "disk"}])
def test_one_property_is_not_enough(cloud: Cloud, on_volume: str, bus: dict[str, str]) -> None:
    image = cloud.image("half", **bus)

    assert cloud.rescue(on_volume, version="2.87", rescue_image_ref=image).short == REFUSED


def test_accepted(cloud: Cloud, on_volume: str) -> None:
    said = cloud.rescue(on_volume, version="2.87", rescue_image_ref=cloud.keeping)

    assert said.status == 200
    assert cloud.settle(on_volume) == "RESCUE rescued -"
    assert cloud.act(on_volume, "unrescue").status == 202
    assert cloud.settle(on_volume) == "ACTIVE active -"
