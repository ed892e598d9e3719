"""A server with a network, a config drive and metadata (tempest's T3 among them)."""

import ipaddress
import re
from typing import Any

import pytest

from tests.contract.clouds import Cloud


@pytest.fixture(scope="module")
def wired(cloud: Cloud) -> str:
    """Return a server on the shared network, with a config drive."""
    network = cloud.as_("carol").network.find_network("Ext-Net")
    return cloud.boot(
        "wired",
        networks=[{"uuid": network.id}],
        config_drive=True,
        metadata={"owner": "contract"},
    )


def test_addresses(cloud: Cloud, wired: str) -> None:
    shown = cloud.show(wired) or {}

    assert list(shown["addresses"]) == ["Ext-Net"]
    (address,) = shown["addresses"]["Ext-Net"]
    assert set(address) == {
        "version",
        "addr",
        "OS-EXT-IPS:type",
        "OS-EXT-IPS-MAC:mac_addr",
    }
    assert (address["version"], address["OS-EXT-IPS:type"]) == (4, "fixed")
    ipaddress.IPv4Address(address["addr"])
    assert re.fullmatch(r"fa:16:3e(:[0-9a-f]{2}){3}", address["OS-EXT-IPS-MAC:mac_addr"])
    assert cloud.ask("GET", f"/servers/{wired}/ips").body["addresses"] == {
        "Ext-Net": [{"version": 4, "addr": address["addr"]}]
    }


def test_what_else_it_shows(cloud: Cloud, wired: str) -> None:
    shown = cloud.show(wired) or {}

    assert shown["security_groups"] == [{"name": "default"}]
    assert shown["config_drive"] == "True"
    assert shown["metadata"] == {"owner": "contract"}
    listed = cloud.ask("GET", "/servers/detail").body["servers"]
    (same,) = [one for one in listed if one["id"] == wired]
    for key in ("security_groups", "config_drive", "addresses"):
        assert same[key] == shown[key]


def test_its_port(cloud: Cloud, wired: str) -> None:
    shown = cloud.show(wired) or {}
    (address,) = shown["addresses"]["Ext-Net"]
    query = f"/v2.0/ports?device_id={wired}"

    (port,) = cloud.ask("GET", query, service="network").body["ports"]

    assert port["device_id"] == wired
    assert port["mac_address"] == address["OS-EXT-IPS-MAC:mac_addr"]
    assert [one["ip_address"] for one in port["fixed_ips"]] == [address["addr"]]
    assert len(port["security_groups"]) == 1
    groups = cloud.ask("GET", "/v2.0/security-groups", service="network").body["security_groups"]
    assert port["security_groups"][0] in [one["id"] for one in groups]


def test_network_and_groups_stay_while_rescued(cloud: Cloud, wired: str) -> None:
    before = cloud.show(wired) or {}
    cloud.rescue(wired, rescue_image_ref=cloud.debian)
    assert cloud.settle(wired) == "RESCUE rescued -"

    after = cloud.show(wired) or {}

    assert after["addresses"] == before["addresses"]
    for action in ("removeSecurityGroup", "addSecurityGroup"):
        assert cloud.act(wired, action, {"name": "default"}).short == (202, "")
    assert (cloud.show(wired) or {})["security_groups"] == [{"name": "default"}]


METADATA: list[tuple[str, str, Any, int]] = [
    ("PUT", "/metadata/k", {"meta": {"k": "v"}}, 200),
    ("GET", "/metadata/k", None, 200),
    ("POST", "/metadata", {"metadata": {"z": "1"}}, 200),
    ("GET", "/metadata", None, 200),
    ("DELETE", "/metadata/z", None, 204),
    ("DELETE", "/metadata/z", None, 404),
    ("PUT", "/metadata", {"metadata": {"only": "this"}}, 200),
    ("GET", "/metadata", None, 200),
]


def test_metadata(cloud: Cloud, active: str) -> None:
    said = [
        cloud.ask(method, f"/servers/{active}{path}", body) for method, path, body, _ in METADATA
    ]

    assert [one.status for one in said] == [status for *_, status in METADATA]
    assert said[0].body == said[1].body == {"meta": {"k": "v"}}
    assert said[2].body == said[3].body == {"metadata": {"k": "v", "z": "1"}}
    assert said[7].body == {"metadata": {"only": "this"}}


def test_rename(cloud: Cloud, active: str) -> None:
    body = {"server": {"name": "contract-renamed", "description": "a word"}}

    said = cloud.ask("PUT", f"/servers/{active}", body)

    assert said.status == 200
    shown = cloud.show(active) or {}
    assert (shown["name"], shown["description"]) == ("contract-renamed", "a word")
