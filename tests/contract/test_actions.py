"""Instance actions: the only place that tells how an operation went."""

import re
import time
from typing import Any

import pytest

from tests.contract.clouds import Cloud

REQUEST = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000")
ACTION = {
    "action",
    "instance_uuid",
    "request_id",
    "user_id",
    "project_id",
    "start_time",
    "message",
}
EVENT = {"event", "start_time", "finish_time", "result"}


@pytest.fixture(scope="module")
def past(cloud: Cloud) -> tuple[str, str, str]:
    """Return a server that was rescued and unrescued, and the ids of both requests."""
    server = cloud.boot("past")
    time.sleep(1.1)
    there = cloud.rescue(server).headers["x-openstack-request-id"]
    cloud.settle(server)
    time.sleep(1.1)
    back = cloud.act(server, "unrescue").headers["x-openstack-request-id"]
    cloud.settle(server)
    return server, there, back


def one(cloud: Cloud, server: str, request_id: str, **how: Any) -> dict[str, Any]:
    said = cloud.ask("GET", f"/servers/{server}/os-instance-actions/{request_id}", **how)
    assert said.status == 200, said
    found: dict[str, Any] = said.body["instanceAction"]
    return found


def test_newest_first(cloud: Cloud, past: tuple[str, str, str]) -> None:
    server, there, back = past

    actions = cloud.actions(server)

    assert [action["action"] for action in actions] == ["unrescue", "rescue", "create"]
    assert [action["request_id"] for action in actions[:2]] == [back, there]
    for action in actions:
        assert REQUEST.fullmatch(action["request_id"])
        assert STAMP.fullmatch(action["start_time"])
        assert action["user_id"] == cloud.as_("carol").current_user_id
        assert action["instance_uuid"] == server
        assert action["message"] is None


@pytest.mark.parametrize(
    ("version", "more"), [("2.1", set()), ("2.57", set()), ("2.58", {"updated_at"})]
)
def test_fields_of_the_list(
    cloud: Cloud, past: tuple[str, str, str], version: str, more: set[str]
) -> None:
    assert set(cloud.actions(past[0], version=version)[0]) == ACTION | more


@pytest.mark.parametrize(
    ("version", "by", "fields"),
    [
        ("2.1", "carol", None),
        ("2.50", "carol", None),
        ("2.51", "carol", EVENT),
        ("2.62", "carol", EVENT | {"hostId"}),
        ("2.84", "carol", EVENT | {"hostId"}),
        ("2.1", "admin", EVENT | {"traceback"}),
        ("2.62", "admin", EVENT | {"traceback", "host", "hostId"}),
        ("2.84", "admin", EVENT | {"traceback", "host", "hostId", "details"}),
    ],
)
def test_fields_of_the_events(
    cloud: Cloud, past: tuple[str, str, str], version: str, by: str, fields: set[str] | None
) -> None:
    action = one(cloud, past[0], past[1], version=version, by=by)

    assert ("events" in action) == (fields is not None)
    if fields is not None:
        (event,) = action["events"]
        assert set(event) == fields
        assert (event["event"], event["result"]) == ("compute_rescue_instance", "Success")


def test_event_of_unrescue(cloud: Cloud, past: tuple[str, str, str]) -> None:
    (event,) = one(cloud, past[0], past[2])["events"]

    assert (event["event"], event["result"]) == ("compute_unrescue_instance", "Success")
    assert STAMP.fullmatch(event["finish_time"])


def test_pages(cloud: Cloud, past: tuple[str, str, str]) -> None:
    seen, path = [], f"/servers/{past[0]}/os-instance-actions?limit=2"
    for _ in range(3):
        body = cloud.ask("GET", path).body
        seen.append([action["action"] for action in body["instanceActions"]])
        if "links" not in body:
            break
        path = path.split("?")[0] + "?" + body["links"][0]["href"].split("?")[1]

    assert seen == [["unrescue", "rescue"], ["create"]]


def test_changes_since(cloud: Cloud, past: tuple[str, str, str]) -> None:
    server, _, back = past
    (event,) = one(cloud, server, back)["events"]
    path = f"/servers/{server}/os-instance-actions?changes-since="

    late = cloud.ask("GET", path + event["start_time"][:19] + "Z").body["instanceActions"]
    none = cloud.ask("GET", path + "2999-01-01T00:00:00Z").body["instanceActions"]

    assert [action["action"] for action in late] == ["unrescue"]
    assert none == []


def test_refused(cloud: Cloud, past: tuple[str, str, str]) -> None:
    path = f"/servers/{past[0]}/os-instance-actions"

    assert cloud.ask("GET", f"{path}/req-nope").short == (
        404,
        "itemNotFound: Action req-nope not found",
    )
    assert cloud.ask("GET", f"{path}?changes-since=yesterday").short == (
        400,
        (
            "badRequest: Invalid input for query parameters changes-since. "
            "Value: yesterday. 'yesterday' is not a 'date-time'"
        ),
    )
    assert cloud.ask("GET", f"{path}?marker=req-x").short == (
        400,
        "badRequest: Marker None could not be found.",
    )
    assert cloud.ask("GET", path, by="bob").short == (
        404,
        "itemNotFound: Instance <uuid> could not be found.",
    )


def test_readable_after_delete_since_2_21(cloud: Cloud) -> None:
    server = cloud.boot("buried")
    cloud.ask("DELETE", f"/servers/{server}")
    cloud.vanish(server)

    path = f"/servers/{server}/os-instance-actions"
    assert [action["action"] for action in cloud.actions(server)] == ["delete", "create"]
    assert cloud.ask("GET", path, version="2.20").status == 404
