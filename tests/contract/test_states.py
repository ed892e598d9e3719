"""From which states a server goes into rescue mode, and where it comes out."""

import time

import pytest

from tests.contract.clouds import Cloud, somewhere

LOCKED = (409, "conflictingRequest: Instance <uuid> is locked")


def conflict(action: str, where: str) -> tuple[int, str]:
    return 409, f"conflictingRequest: Cannot '{action}' instance <uuid> while it is in {where}"


def test_unrescue_active(cloud: Cloud, active: str) -> None:
    assert cloud.act(active, "unrescue").short == conflict("unrescue", "vm_state active")


def test_rescue_rescued(cloud: Cloud, rescued: str) -> None:
    assert cloud.rescue(rescued).short == conflict("rescue", "vm_state rescued")


def test_state_is_checked_before_image(cloud: Cloud, rescued: str) -> None:
    said = cloud.rescue(rescued, rescue_image_ref=somewhere())

    assert said.short == conflict("rescue", "vm_state rescued")


def test_shutoff_comes_out_active(cloud: Cloud, active: str) -> None:
    cloud.act(active, "os-stop")
    assert cloud.settle(active) == "SHUTOFF stopped -"

    assert cloud.rescue(active).status == 200
    assert cloud.settle(active) == "RESCUE rescued -"
    assert cloud.act(active, "unrescue").status == 202
    assert cloud.settle(active) == "ACTIVE active -"


def test_error_comes_out_active(cloud: Cloud, active: str) -> None:
    cloud.act(active, "os-resetState", {"state": "error"}, by="admin")
    assert cloud.state(active) == "ERROR error -"

    assert cloud.rescue(active).status == 200
    assert cloud.settle(active) == "RESCUE rescued -"
    assert cloud.act(active, "unrescue").status == 202
    assert cloud.settle(active) == "ACTIVE active -"


@pytest.mark.parametrize(
    ("into", "out", "status", "vm_state"),
    [
        ("pause", "unpause", "PAUSED", "paused"),
        ("suspend", "resume", "SUSPENDED", "suspended"),
        ("shelve", "unshelve", "SHELVED_OFFLOADED", "shelved_offloaded"),
    ],
)
def test_not_from(
    cloud: Cloud, active: str, into: str, out: str, status: str, vm_state: str
) -> None:
    assert cloud.act(active, into).short == (202, "")
    wait_for(cloud, active, f"{status} {vm_state} -")

    assert cloud.rescue(active).short == conflict("rescue", f"vm_state {vm_state}")
    assert cloud.act(active, out).short == (202, "")
    assert cloud.settle(active) == "ACTIVE active -"


def test_not_after_resize(cloud: Cloud, active: str) -> None:
    said = cloud.act(active, "resize", {"flavorRef": cloud.flavors["b2-7"]})
    assert said.short == (202, "")
    wait_for(cloud, active, "VERIFY_RESIZE resized -")

    assert cloud.rescue(active).short == conflict("rescue", "vm_state resized")
    assert cloud.act(active, "revertResize").short == (202, "")
    assert cloud.settle(active) == "ACTIVE active -"


def wait_for(cloud: Cloud, server: str, state: str) -> None:
    end = time.monotonic() + cloud.patience
    while cloud.state(server) != state and time.monotonic() < end:
        time.sleep(0.2)
    assert cloud.state(server) == state


def test_locked(cloud: Cloud, active: str) -> None:
    assert cloud.act(active, "lock", {"locked_reason": "ask me"}).short == (202, "")

    shown = cloud.show(active)
    assert shown is not None
    assert (shown["locked"], shown["locked_reason"]) == (True, "ask me")
    assert cloud.rescue(active).short == LOCKED
    assert cloud.rescue(active, by="erin-gamma").short == LOCKED
    assert cloud.ask("DELETE", f"/servers/{active}").short == LOCKED
    assert cloud.rescue(active, by="admin").status == 200, "an admin passes a lock"
    assert cloud.settle(active) == "RESCUE rescued -"
    assert cloud.act(active, "unrescue").short == LOCKED


def test_locked_by_admin(cloud: Cloud, active: str) -> None:
    cloud.act(active, "lock", by="admin")

    said = cloud.act(active, "unlock")

    policy = "os_compute_api:os-lock-server:unlock:unlock_override"
    assert said.short == (403, f"forbidden: Policy doesn't allow {policy} to be performed.")
    assert cloud.rescue(active).short == LOCKED


def test_building(cloud: Cloud) -> None:
    cloud.knobs(spawn_seconds=5)
    try:
        server = cloud.boot("building", wait=False)
        wait_for(cloud, server, "BUILD building spawning")
        assert cloud.rescue(server).short == conflict("rescue", "vm_state building")
        shown = cloud.show(server)
        assert shown is not None
        assert shown["OS-SRV-USG:launched_at"] is None
    finally:
        cloud.knobs()
    cloud.settle(server)
    assert cloud.ask("DELETE", f"/servers/{server}").short == (204, "")
    cloud.vanish(server)
    assert cloud.rescue(server).short == (
        404,
        "itemNotFound: Instance <uuid> could not be found.",
    )
