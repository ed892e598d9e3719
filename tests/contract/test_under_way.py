"""While a rescue or an unrescue is under way, and what happens to one that is deleted."""

import time
from collections.abc import Iterator

import pytest

from tests.contract.clouds import Cloud


def conflict(action: str, where: str) -> tuple[int, str]:
    return 409, f"conflictingRequest: Cannot '{action}' instance <uuid> while it is in {where}"


@pytest.fixture
def slowly(cloud: Cloud) -> Iterator[None]:
    """Let the hypervisor take its time."""
    cloud.knobs(rescue_seconds=2.5, unrescue_seconds=2)
    yield
    cloud.knobs()


def watch(cloud: Cloud, server: str, last: str) -> list[str]:
    """Return the states a server goes through until the last."""
    seen: list[str] = []
    end = time.monotonic() + cloud.patience
    while (not seen or seen[-1] != last) and time.monotonic() < end:
        state = cloud.state(server)
        if not seen or seen[-1] != state:
            seen.append(state)
        time.sleep(0.05)
    return seen


@pytest.mark.usefixtures("slowly")
def test_there_and_back(cloud: Cloud, active: str) -> None:
    said = cloud.rescue(active, adminPass="Own-1")
    assert said.body == {"adminPass": "Own-1"}, "the answer comes before the rescue is done"
    assert cloud.state(active) == "ACTIVE active rescuing"
    assert cloud.rescue(active).short == conflict("rescue", "task_state rescuing")
    assert cloud.act(active, "unrescue").short == conflict("unrescue", "vm_state active")
    hard = cloud.act(active, "reboot", {"type": "HARD"})
    assert hard.short == conflict("reboot", "task_state rescuing")
    assert cloud.act(active, "os-stop").short == conflict("stop", "task_state rescuing")
    assert watch(cloud, active, "RESCUE rescued -") == [
        "ACTIVE active rescuing",
        "RESCUE rescued -",
    ]

    assert cloud.act(active, "unrescue").short == (202, "")
    assert cloud.rescue(active).short == conflict("rescue", "vm_state rescued")
    assert cloud.act(active, "unrescue").short == conflict("unrescue", "task_state unrescuing")
    states = watch(cloud, active, "ACTIVE active -")
    assert states == ["RESCUE rescued unrescuing", "ACTIVE active -"]


@pytest.mark.usefixtures("slowly")
def test_from_shutoff_the_status_stays_shutoff(cloud: Cloud, active: str) -> None:
    cloud.act(active, "os-stop")
    assert cloud.settle(active) == "SHUTOFF stopped -"

    cloud.rescue(active)

    states = watch(cloud, active, "RESCUE rescued -")
    assert states == ["SHUTOFF stopped rescuing", "RESCUE rescued -"]


@pytest.mark.usefixtures("slowly")
def test_action_grows_an_event(cloud: Cloud, active: str) -> None:
    request_id = cloud.rescue(active).headers["x-openstack-request-id"]
    path = f"/servers/{active}/os-instance-actions/{request_id}"
    cloud.state(active)
    time.sleep(1)

    during = cloud.ask("GET", path).body["instanceAction"]
    cloud.settle(active)
    after = cloud.ask("GET", path).body["instanceAction"]

    assert (during["message"], after["message"]) == (None, None)
    (begun,), (done,) = during["events"], after["events"]
    assert (begun["event"], begun["finish_time"], begun["result"]) == (
        "compute_rescue_instance",
        None,
        None,
    )
    assert (done["start_time"], done["result"]) == (begun["start_time"], "Success")
    assert done["finish_time"] > done["start_time"]


@pytest.mark.usefixtures("slowly")
def test_deleted_while_rescuing(cloud: Cloud) -> None:
    server = cloud.boot("deleted")
    cloud.rescue(server)

    assert cloud.ask("DELETE", f"/servers/{server}").short == (204, "")
    assert cloud.rescue(server).status in (404, 409)
    cloud.vanish(server)
    assert [one["action"] for one in cloud.actions(server)] == ["delete", "rescue", "create"]


def test_stuck(cloud: Cloud) -> None:
    server = cloud.boot("stuck")
    cloud.tamper("stuck", server)

    assert cloud.rescue(server).short == conflict("rescue", "task_state rescuing")
    said = cloud.act(server, "os-resetState", {"state": "active"})
    policy = "os_compute_api:os-admin-actions:reset_state"
    assert said.short == (403, f"forbidden: Policy doesn't allow {policy} to be performed.")
    assert cloud.act(server, "os-resetState", {"state": "active"}, by="admin").status == 202
    assert cloud.state(server) == "ACTIVE active -"
