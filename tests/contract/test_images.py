"""Which images Nova takes for a rescue (it checks less than one would think)."""

import json

import pytest

from tests.contract.clouds import Cloud, somewhere

UNSUPPORTED = (400, "badRequest: Requested rescue image '<uuid>' is not supported")


def test_image_that_does_not_exist(cloud: Cloud, active: str) -> None:
    assert cloud.rescue(active, rescue_image_ref=somewhere()).short == UNSUPPORTED
    assert cloud.state(active) == "ACTIVE active -"


def test_private_image_of_another_project(cloud: Cloud, active: str) -> None:
    golden = cloud.images["alpha golden image"]

    assert cloud.rescue(active, rescue_image_ref=golden).short == UNSUPPORTED


def test_image_of_a_volume_snapshot(cloud: Cloud, active: str) -> None:
    mapping = json.dumps([{"source_type": "snapshot"}])
    snapshot = cloud.image("snapshot", block_device_mapping=mapping)

    assert cloud.rescue(active, rescue_image_ref=snapshot).short == UNSUPPORTED


def test_image_with_a_property_nova_cannot_read(cloud: Cloud, active: str) -> None:
    broken = cloud.image("broken", img_block_device_mapping="[]")

    said = cloud.rescue(active, rescue_image_ref=broken)

    assert said.short == (
        500,
        (
            "computeFault: Unexpected API Error. Please contact the administrator\n"
            "<class 'ValueError'>"
        ),
    )
    assert cloud.state(active) == "ACTIVE active -"


ACCEPTED = {
    "plain": {},
    "queued": {"upload": False},
    "too big for the flavor": {"min_disk": 1000, "min_ram": 100000},
    "of another architecture": {"hw_architecture": "aarch64"},
    "T4-5 stable, cdrom on ide": {"hw_rescue_device": "cdrom", "hw_rescue_bus": "ide"},
    "T6 stable, disk on scsi": {"hw_rescue_device": "disk", "hw_rescue_bus": "scsi"},
    "T7 stable, disk on usb": {"hw_rescue_device": "disk", "hw_rescue_bus": "usb"},
    "hidden": {"os_hidden": True},
}


@pytest.mark.parametrize("properties", ACCEPTED.values(), ids=ACCEPTED)
def test_image_is_accepted(cloud: Cloud, active: str, properties: dict[str, object]) -> None:
    image = cloud.image("accepted", **properties)  # type: ignore[arg-type]

    assert cloud.rescue(active, rescue_image_ref=image).status == 200
    assert cloud.settle(active) == "RESCUE rescued -"


def test_deactivated_image_is_accepted(cloud: Cloud, active: str) -> None:
    image = cloud.image("off")
    cloud.as_("admin").image.post(f"/images/{image}/actions/deactivate").raise_for_status()

    assert cloud.rescue(active, rescue_image_ref=image).status == 200


def test_server_whose_own_image_is_gone(cloud: Cloud) -> None:
    own = cloud.image("own")
    server = cloud.boot("orphan", imageRef=own)
    cloud.as_("admin").image.delete(f"/images/{own}").raise_for_status()

    assert cloud.rescue(server, rescue_image_ref=cloud.keeping).status == 200
    assert cloud.settle(server) == "RESCUE rescued -"


def test_image_id_without_dashes_is_none(cloud: Cloud, active: str) -> None:
    said = cloud.rescue(active, rescue_image_ref=cloud.debian.replace("-", ""))

    assert said.status == 400
