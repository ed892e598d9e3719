"""Discovery, negotiation, and which fields a server has in which microversion."""

from typing import Any

import pytest
import requests

from tests.contract.clouds import Cloud

ALWAYS = {
    "accessIPv4",
    "accessIPv6",
    "addresses",
    "created",
    "flavor",
    "hostId",
    "id",
    "image",
    "links",
    "metadata",
    "name",
    "status",
    "tenant_id",
    "user_id",
    "updated",
    "OS-DCF:diskConfig",
    "progress",
    "OS-EXT-AZ:availability_zone",
    "config_drive",
    "key_name",
    "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at",
    "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state",
    "OS-EXT-STS:power_state",
    "os-extended-volumes:volumes_attached",
}
SINCE = [
    ("2.9", {"locked"}),
    ("2.19", {"description"}),
    ("2.26", {"tags"}),
    ("2.63", {"trusted_image_certificates"}),
    ("2.71", {"server_groups"}),
    ("2.73", {"locked_reason"}),
    ("2.90", {"OS-EXT-SRV-ATTR:hostname"}),
    ("2.96", {"pinned_availability_zone"}),
    ("2.100", {"scheduler_hints"}),
]
VERSIONS = ["2.1", "2.8", *(version for version, _ in SINCE), "2.104"]


def minor(version: str) -> int:
    return int(version.split(".")[1])


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_of_a_server(cloud: Cloud, active: str, version: str) -> None:
    expected = ALWAYS | {
        name for since, names in SINCE if minor(version) >= minor(since) for name in names
    }

    shown = cloud.show(active, version=version)
    listed = cloud.ask("GET", "/servers/detail", version=version).body["servers"]

    assert set(shown or {}) == expected
    (same,) = [one for one in listed if one["id"] == active]
    assert set(same) == expected - {"server_groups"}, "lists leave the groups out"


def test_flavor_is_embedded_since_2_47(cloud: Cloud, active: str) -> None:
    before, after = (cloud.show(active, version=one) for one in ("2.46", "2.47"))

    assert before is not None
    assert after is not None
    assert set(before["flavor"]) == {"id", "links"}
    assert after["flavor"] == {
        "vcpus": 1,
        "ram": 2048,
        "disk": 10,
        "ephemeral": 0,
        "swap": 0,
        "original_name": "s1-2",
        "extra_specs": {},
    }


def test_image_has_properties_since_2_98(cloud: Cloud, active: str) -> None:
    before, after = (cloud.show(active, version=one) for one in ("2.97", "2.98"))

    assert before is not None
    assert after is not None
    assert set(before["image"]) == {"id", "links"}
    assert after["image"]["properties"] == {"os_distro": "debian"}


def test_values_of_a_fresh_server(cloud: Cloud, active: str) -> None:
    shown = cloud.show(active, version="2.104") or {}

    expected: dict[str, Any] = {
        "status": "ACTIVE",
        "name": "contract-shared",
        "addresses": {},
        "config_drive": "",
        "key_name": None,
        "metadata": {},
        "progress": 0,
        "locked": False,
        "locked_reason": None,
        "description": None,
        "tags": [],
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:power_state": 1,
        "os-extended-volumes:volumes_attached": [],
        "OS-SRV-USG:terminated_at": None,
    }
    assert {name: shown[name] for name in expected} == expected
    assert [link["rel"] for link in shown["links"]] == ["self", "bookmark"]


@pytest.mark.parametrize(
    ("asked", "answered"), [("2.87", "2.87"), ("latest", "2.104"), ("2.1", "2.1")]
)
def test_negotiation(cloud: Cloud, asked: str, answered: str) -> None:
    headers = cloud.ask("GET", "/servers", version=asked).headers

    assert headers["OpenStack-API-Version"] == f"compute {answered}"
    assert headers["X-OpenStack-Nova-API-Version"] == answered
    assert headers["x-openstack-request-id"] == headers["x-compute-request-id"]


def test_no_version_means_the_first(cloud: Cloud) -> None:
    token = {"X-Auth-Token": cloud.as_("carol").auth_token}
    url = cloud.as_("carol").endpoint_for("compute")

    assert requests.get(f"{url}/servers", headers=token, timeout=30).headers[
        "OpenStack-API-Version"
    ] == ("compute 2.1")


def test_unsupported(cloud: Cloud) -> None:
    span = "Minimum is 2.1 and maximum is 2.104."

    assert cloud.ask("GET", "/servers", version="2.999").short == (
        406,
        f"computeFault: Version 2.999 is not supported by the API. {span}",
    )
    assert cloud.ask("GET", "/servers", version="x").short == (
        400,
        (
            "badRequest: API Version String x is of invalid format. "
            "Must be of format MajorNum.MinorNum."
        ),
    )


@pytest.mark.parametrize("end", ["", "/"])
def test_discovery(cloud: Cloud, end: str) -> None:
    url = cloud.as_("carol").endpoint_for("compute").rstrip("/") + end

    found = requests.get(url, timeout=30).json()["version"]

    assert (found["id"], found["status"]) == ("v2.1", "CURRENT")
    assert (found["min_version"], found["version"]) == ("2.1", "2.104")


def test_flavors(cloud: Cloud) -> None:
    brief = cloud.ask("GET", "/flavors").body["flavors"]
    old = cloud.ask("GET", "/flavors/detail", version="2.1").body["flavors"]
    new = cloud.ask("GET", "/flavors/detail", version="2.104").body["flavors"]

    assert {one["name"] for one in brief} == {"s1-2", "b2-7", "c2-15"}
    assert set(brief[0]) == {"id", "name", "links", "description"}
    both = {
        "id",
        "name",
        "ram",
        "disk",
        "swap",
        "vcpus",
        "links",
        "OS-FLV-EXT-DATA:ephemeral",
        "os-flavor-access:is_public",
    }
    gone = {"OS-FLV-DISABLED:disabled", "rxtx_factor"}
    assert set(old[0]) == both | gone
    assert set(new[0]) - both == {"description", "extra_specs"}
    assert (old[0]["swap"], new[0]["swap"]) == ("", 0)
    assert cloud.ask("GET", "/flavors/nope").short == (
        404,
        "itemNotFound: Flavor nope could not be found.",
    )


def test_unknown_path(cloud: Cloud) -> None:
    said = cloud.ask("GET", "/nothing/here")

    assert said.status == 404
    assert "<title>404 Not Found</title>" in said.body
