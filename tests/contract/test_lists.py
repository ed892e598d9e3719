"""Lists: pages, filters, what has changed since, and what Nova says to a query it does not know."""

import time

import pytest

from tests.contract.clouds import Cloud

QUERY = "badRequest: Invalid input for query parameters"


@pytest.fixture(scope="module")
def three(cloud: Cloud) -> list[str]:
    """Return three servers of alice's, who has no others, the newest first; one is rescued."""
    servers = []
    for number in range(3):
        servers.insert(0, cloud.boot(f"list-{number}", "alice"))
        time.sleep(1)
    cloud.rescue(servers[0], by="alice")
    cloud.settle(servers[0], "alice")
    return servers


def found(cloud: Cloud, query: str, three: list[str], by: str = "alice") -> list[int]:
    """Return which of the three a query lists, by number."""
    said = cloud.ask("GET", f"/servers?{query}", by=by)
    assert said.status == 200, said
    return [three.index(one["id"]) for one in said.body["servers"] if one["id"] in three]


FILTERS = {
    "": [0, 1, 2],
    "name=list-1": [1],
    "name=LIST-1": [1],
    "name=^contract-list-[02]$": [0, 2],
    "status=ACTIVE": [1, 2],
    "status=active": [1, 2],
    "status=RESCUE": [0],
    "status=ACTIVE&status=RESCUE": [0, 1, 2],
    "status=SHUTOFF": [],
    "vm_state=rescued": [0],
    "task_state=rescuing": [],
    "power_state=1": [0, 1, 2],
    "locked=true": [],
    "locked=false": [0, 1, 2],
    "limit=0": [],
    "host=nowhere": [0, 1, 2],
    "deleted=true": [0, 1, 2],
    "sort_key=display_name&sort_dir=asc": [2, 1, 0],
    "sort_key=created_at&sort_dir=asc": [2, 1, 0],
    "changes-since=2020-01-01T00:00:00Z&name=list-2": [0],
    "changes-since=2999-01-01T00:00:00Z": [],
    "changes-before=2020-01-01T00:00:00Z": [],
}


@pytest.mark.parametrize("query", FILTERS)
def test_filter(cloud: Cloud, three: list[str], query: str) -> None:
    assert found(cloud, query, three) == FILTERS[query]


def test_filter_by_image_and_flavor(cloud: Cloud, three: list[str]) -> None:
    assert found(cloud, f"image={cloud.debian}", three) == [0, 1, 2]
    assert found(cloud, f"image={cloud.keeping}", three) == []
    assert found(cloud, f"flavor={cloud.flavors['s1-2']}", three) == [0, 1, 2]
    assert found(cloud, f"flavor={cloud.flavors['b2-7']}", three) == []


REFUSED = {
    "limit=x": f"{QUERY} limit. Value: x. 'x' does not match '^[0-9]*$'",
    "limit=-1": f"{QUERY} limit. Value: -1. '-1' does not match '^[0-9]*$'",
    "marker=nope": "badRequest: marker [nope] not found",
    "status=NOPE": "badRequest: Invalid status value",
    "name=[": f"{QUERY} name. Value: [. '[' is not a 'regex'",
    "bogus=1": "badRequest: 'bogus' does not match any of the regexes: '^_'",
    "changes-since=x": f"{QUERY} changes-since. Value: x. 'x' is not a 'date-time'",
    "sort_dir=up": (
        "badRequest: Invalid input received: Unknown sort direction, must be 'desc' or 'asc'"
    ),
}


@pytest.mark.parametrize("query", REFUSED)
def test_refused_query(cloud: Cloud, query: str) -> None:
    assert cloud.ask("GET", f"/servers?{query}").short == (400, REFUSED[query])


@pytest.mark.parametrize(("path", "policy"), [("/servers", "index"), ("/servers/detail", "detail")])
def test_member_may_not_list_all_projects(cloud: Cloud, path: str, policy: str) -> None:
    said = cloud.ask("GET", f"{path}?all_tenants=1")

    name = f"os_compute_api:servers:{policy}:get_all_tenants"
    assert said.short == (403, f"forbidden: Policy doesn't allow {name} to be performed.")


def test_member_may_not_list_deleted(cloud: Cloud) -> None:
    said = cloud.ask("GET", "/servers?status=DELETED")

    assert said.short == (403, "forbidden: Only administrators may list deleted instances")


def test_admin_lists_all_projects(cloud: Cloud, three: list[str]) -> None:
    query = "all_tenants=1&name=contract-list"

    assert found(cloud, query, three, by="admin") == [0, 1, 2]
    assert found(cloud, "name=contract-list", three, by="admin") == [], "its own project's only"


def test_pages(cloud: Cloud, three: list[str]) -> None:
    seen, path = [], "/servers/detail?limit=2&name=contract-list"
    for _ in range(3):
        body = cloud.ask("GET", path, by="alice").body
        seen.append([three.index(one["id"]) for one in body["servers"]])
        links = body.get("servers_links", [])
        if not links:
            break
        assert [one["rel"] for one in links] == ["next"]
        path = "/servers/detail?" + links[0]["href"].split("?")[1]

    assert seen == [[0, 1], [2]]


def test_sdk_follows_pages(cloud: Cloud, three: list[str]) -> None:
    listed = cloud.as_("alice").compute.servers(limit=1, name="contract-list")

    assert [one.id for one in listed] == three


def test_changes_since_shows_the_deleted(cloud: Cloud) -> None:
    server = cloud.boot("short-lived", "bob")
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
    cloud.ask("DELETE", f"/servers/{server}", by="bob")
    cloud.vanish(server, "bob")

    path = f"/servers/detail?changes-since={before}"
    listed = cloud.ask("GET", path, by="bob").body["servers"]

    (shown,) = [one for one in listed if one["id"] == server]
    assert (shown["status"], shown["OS-EXT-STS:vm_state"]) == ("DELETED", "deleted")
    assert shown["OS-SRV-USG:terminated_at"]
    plain_list = cloud.ask("GET", "/servers", by="bob").body["servers"]
    assert server not in [one["id"] for one in plain_list]
