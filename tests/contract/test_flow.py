"""The flow, through openstacksdk as our own code uses it (tempest's T1)."""

from typing import Any

from tests.contract.clouds import Cloud


def test_sdk_rescues_and_unrescues(cloud: Cloud) -> None:
    carol = cloud.as_("carol")
    server = carol.compute.get_server(cloud.boot("flow"))

    answer = carol.compute.rescue_server(server, admin_pass="Own-Passw0rd", image=cloud.keeping)

    assert answer is None, "openstacksdk throws the password away"
    rescued = carol.compute.wait_for_server(
        carol.compute.get_server(server.id), status="RESCUE", interval=0.1
    )
    assert (rescued.vm_state, rescued.task_state, rescued.power_state) == ("rescued", None, 1)
    assert rescued.image["id"] == cloud.debian, "nothing names the rescue image"
    carol.compute.unrescue_server(rescued)
    active = carol.compute.wait_for_server(
        carol.compute.get_server(server.id), status="ACTIVE", interval=0.1
    )
    assert (active.vm_state, active.task_state) == ("active", None)


def test_raw_action_gives_password_and_request_id(cloud: Cloud, active: str) -> None:
    compute = cloud.as_("app-carol-gamma").compute
    body: dict[str, Any] = {"rescue": {"adminPass": "Own-1", "rescue_image_ref": cloud.keeping}}

    answer = compute.post(f"/servers/{active}/action", json=body, microversion="2.87")

    assert answer.json() == {"adminPass": "Own-1"}
    assert cloud.actions(active)[0]["request_id"] == answer.headers["x-openstack-request-id"]


def test_no_get_shows_the_password(cloud: Cloud, active: str) -> None:
    cloud.rescue(active, adminPass="Never-Again-7")
    cloud.settle(active)

    paths = ["", "/os-instance-actions", "/os-server-password", "/metadata"]
    shown = [cloud.ask("GET", f"/servers/{active}{path}") for path in paths]

    assert [one.status for one in shown] == [200] * 4
    assert "Never-Again-7" not in str([one.body for one in shown])
    assert shown[2].body == {"password": ""}


def test_updated_and_launched_change_at_rescue(cloud: Cloud, active: str) -> None:
    before = cloud.show(active)
    cloud.rescue(active)
    cloud.settle(active)
    after = cloud.show(active)

    assert before is not None
    assert after is not None
    for key in ("updated", "OS-SRV-USG:launched_at"):
        assert after[key] >= before[key]
    assert "progress" not in after
    assert before["progress"] == 0
