"""Glance's, Neutron's and Keystone's answers, as far as a panel asks for them."""

import pytest
import requests

from tests.contract.clouds import Cloud

OWN = {
    "id",
    "name",
    "owner",
    "visibility",
    "status",
    "os_hidden",
    "disk_format",
    "container_format",
    "size",
    "virtual_size",
    "min_ram",
    "min_disk",
    "protected",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "created_at",
    "updated_at",
    "tags",
    "self",
    "file",
    "schema",
}


def names(cloud: Cloud, query: str = "", by: str = "carol") -> list[str]:
    said = cloud.ask("GET", f"/v2/images{query}", by=by, service="image")
    assert said.status == 200, said
    return sorted(
        one["name"] for one in said.body["images"] if not one["name"].startswith("contract-")
    )


PUBLIC = [
    "AlmaLinux 9",
    "Debian 12",
    "Debian Rescue (temporary password)",
    "Distribution Rescue Made-in-Lab",
    "Ubuntu 24.04",
]
IMAGE_QUERIES = {
    "": PUBLIC,
    "?status=active": PUBLIC,
    "?visibility=public": PUBLIC,
    "?visibility=private": [],
    "?os_hidden=true": [],
    "?name=Debian%2012": ["Debian 12"],
    "?hw_rescue_bus=virtio": ["Distribution Rescue Made-in-Lab"],
    "?status=queued": [],
    "?tag=nothing": [],
    "?bogus=1": [],
}


@pytest.mark.parametrize("query", IMAGE_QUERIES)
def test_images(cloud: Cloud, query: str) -> None:
    assert names(cloud, query) == IMAGE_QUERIES[query]


def test_private_image_is_its_projects(cloud: Cloud) -> None:
    golden = cloud.images["alpha golden image"]

    assert "alpha golden image" in names(cloud, by="alice")
    assert cloud.ask("GET", f"/v2/images/{golden}", by="alice", service="image").status == 200
    assert cloud.ask("GET", f"/v2/images/{golden}", service="image").status == 404


def test_image_fields(cloud: Cloud) -> None:
    path = f"/v2/images/{cloud.keeping}"

    shown = cloud.ask("GET", path, service="image").body

    assert set(shown) >= OWN
    assert (shown["hw_rescue_device"], shown["hw_rescue_bus"]) == ("disk", "virtio")
    assert (shown["status"], shown["visibility"], shown["os_hidden"]) == ("active", "public", False)
    assert shown["self"] == path


def test_hidden_queued_and_deactivated(cloud: Cloud) -> None:
    hidden = cloud.image("hidden", os_hidden=True)
    queued = cloud.image("queued", upload=False)
    off = cloud.image("off")
    cloud.as_("admin").image.post(f"/images/{off}/actions/deactivate").raise_for_status()

    def listed(query: str) -> set[str]:
        found = cloud.ask("GET", f"/v2/images?{query}", service="image").body["images"]
        return {one["id"] for one in found} & {hidden, queued, off}

    assert listed("limit=100") == {queued, off}
    assert listed("limit=100&status=active") == set()
    assert listed("limit=100&os_hidden=true") == {hidden}
    assert listed("limit=100&status=deactivated") == {off}
    shown = cloud.ask("GET", f"/v2/images/{queued}", service="image").body
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)


def test_image_pages(cloud: Cloud) -> None:
    seen, path = [], "/v2/images?limit=2&visibility=public&status=active"
    for _ in range(20):
        body = cloud.ask("GET", path, service="image").body
        assert len(body["images"]) <= 2
        seen += [(one["name"], one["id"]) for one in body["images"]]
        if "next" not in body:
            break
        path = body["next"]

    assert set(PUBLIC) <= {name for name, _ in seen}
    assert len(seen) == len({*seen})
    listed = cloud.as_("carol").image.images(limit=2, status="active")
    assert set(PUBLIC) <= {one.name for one in listed}


def test_unknown_image(cloud: Cloud) -> None:
    said = cloud.ask("GET", "/v2/images/nope", service="image")

    assert said.status == 404
    assert "No image found with ID nope" in said.body


@pytest.mark.parametrize(
    ("service", "path"), [("image", "/v2/images"), ("network", "/v2.0/networks")]
)
def test_no_token(cloud: Cloud, service: str, path: str) -> None:
    url = cloud.as_("carol").endpoint_for(service).rstrip("/") + path

    answer = requests.get(url, timeout=30)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_networks_and_groups(cloud: Cloud) -> None:
    networks = cloud.ask("GET", "/v2.0/networks", service="network").body["networks"]
    groups = cloud.ask("GET", "/v2.0/security-groups", service="network").body["security_groups"]

    assert [one["name"] for one in networks] == ["Ext-Net"]
    (default,) = [one for one in groups if one["name"] == "default"]
    assert {"id", "name", "project_id", "security_group_rules"} <= set(default)
    rule = default["security_group_rules"][0]
    assert {"direction", "ethertype", "protocol", "port_range_min", "port_range_max"} <= set(rule)
    assert cloud.ask("GET", "/v2.0/ports", service="network").status == 200


def test_projects_of_a_token(cloud: Cloud) -> None:
    listed = cloud.ask("GET", "/auth/projects", by="erin-gamma", service="identity")

    assert listed.status == 200
    assert {one["name"] for one in listed.body["projects"]} == {"alpha", "beta", "gamma"}


def test_token_describes_itself(cloud: Cloud) -> None:
    token = cloud.as_("carol").auth_token
    path = "/auth/tokens"

    good = cloud.ask("GET", path, service="identity", **{"X-Subject-Token": token})
    bad = cloud.ask("GET", path, service="identity", **{"X-Subject-Token": "x"})

    assert good.body["token"]["user"]["name"] == "carol"
    assert bad.short == (404, "error: Could not recognize Fernet token")


def test_keystone_wants_a_token(cloud: Cloud) -> None:
    url = cloud.as_("carol").endpoint_for("identity")

    answer = requests.get(f"{url}/auth/projects", timeout=30)

    assert answer.status_code == 401
    assert answer.json()["error"]["title"] == "Unauthorized"
