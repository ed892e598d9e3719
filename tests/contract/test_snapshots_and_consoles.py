"""What is done before a rescue: a snapshot, and a look at the console."""

import time

import pytest

from tests.contract.clouds import Cloud

X = "x" * 256
SPACE = (
    "An invalid 'name' value was provided. The name must be: printable characters."
    " Can not start or end with whitespace."
)


def test_a_snapshot_of_a_running_server(cloud: Cloud, active: str) -> None:
    said = cloud.act(active, "createImage", {"name": "contract-before"})

    assert said.status == 202
    image_id = said.body["image_id"]
    cloud._made_images.append(image_id)
    assert cloud.settle(active) == "ACTIVE active -"
    image = cloud.ask("GET", f"/v2/images/{image_id}", service="image").body
    shown = {name: image[name] for name in ("name", "instance_uuid", "image_type", "visibility")}
    assert shown == {
        "name": "contract-before", "instance_uuid": active,
        "image_type": "snapshot", "visibility": "private",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "Invalid input for field/attribute name. Value: . '' should be non-empty"),
        ("x" * 256, f"Invalid input for field/attribute name. Value: {X}. '{X}' is too long"),
        (" a ", SPACE),
        ("   ", SPACE),
    ],
)
def test_a_snapshot_needs_a_name(cloud: Cloud, active: str, name: str, why: str) -> None:
    said = cloud.act(active, "createImage", {"name": name})

    assert said.short == (400, f"badRequest: {why}")


def test_the_console_of_a_running_server(cloud: Cloud, active: str) -> None:
    began = time.monotonic()
    whole = cloud.act(active, "os-getConsoleOutput", {})

    assert whole.status == 200
    assert isinstance(whole.body["output"], str)
    assert whole.body["output"]
    assert time.monotonic() - began < 30


def test_no_console_of_a_server_that_is_not_there(cloud: Cloud) -> None:
    said = cloud.act("00000000-0000-4000-8000-000000000000", "os-getConsoleOutput", {})

    assert said.status == 404
