"""The hypervisor fails: what members and admins see, and the ways back."""

import pytest

from tests.contract.clouds import Cloud, Said, plain

BROKEN = (
    "ERROR error -, fault 400: Instance <uuid> cannot be rescued: Driver Error: "
    "the hypervisor was told to fail this rescue"
)
STUCK = "ERROR error -, fault 500: the hypervisor was told to fail this unrescue"


@pytest.fixture(scope="module")
def bad(cloud: Cloud) -> tuple[str, Said]:
    """Return a server whose rescue failed, and what was said to the request."""
    server = cloud.boot("norescue")
    return server, cloud.rescue(server, adminPass="Own-1")


def test_accepted_then_error_with_a_fault(cloud: Cloud, bad: tuple[str, Said]) -> None:
    server, said = bad

    assert (said.status, said.body) == (200, {"adminPass": "Own-1"})
    assert cloud.settle(server) == BROKEN
    assert cloud.state(server, "admin") == BROKEN
    shown = cloud.show(server)
    assert shown is not None
    assert set(shown["fault"]) == {"code", "created", "message"}


def test_action_says_error(cloud: Cloud, bad: tuple[str, Said]) -> None:
    server, said = bad
    cloud.settle(server)
    path = f"/servers/{server}/os-instance-actions/{said.headers['x-openstack-request-id']}"

    member = cloud.ask("GET", path).body["instanceAction"]
    admin = cloud.ask("GET", path, by="admin").body["instanceAction"]

    assert (member["message"], admin["message"]) == ("Error", "Error")
    (seen,), (known,) = member["events"], admin["events"]
    assert (seen["event"], seen["result"]) == ("compute_rescue_instance", "Error")
    assert "details" not in seen
    assert "traceback" not in seen
    assert plain(known["details"]).startswith("Instance <uuid> cannot be rescued: Driver Error: ")
    assert known["traceback"]


def test_ways_back_from_a_failed_rescue(cloud: Cloud, bad: tuple[str, Said]) -> None:
    server, _ = bad
    cloud.settle(server)

    said = cloud.act(server, "unrescue")
    where = "while it is in vm_state error"
    assert said.short == (409, f"conflictingRequest: Cannot 'unrescue' instance <uuid> {where}")
    assert cloud.rescue(server).status == 200, "it may be tried again"
    assert cloud.settle(server) == BROKEN
    assert cloud.act(server, "reboot", {"type": "SOFT"}).status == 409
    assert cloud.act(server, "reboot", {"type": "HARD"}).short == (202, "")
    assert cloud.settle(server) == "ACTIVE active -"


def test_unrescue_fails(cloud: Cloud) -> None:
    server = cloud.boot("nounrescue")
    cloud.rescue(server)
    assert cloud.settle(server) == "RESCUE rescued -"

    assert cloud.act(server, "unrescue").short == (202, "")
    assert cloud.settle(server) == STUCK
    assert cloud.actions(server)[0]["message"] == "Error"
    assert cloud.act(server, "unrescue").status == 409
    assert cloud.act(server, "reboot", {"type": "HARD"}).short == (202, "")
    assert cloud.settle(server) == "ACTIVE active -"
