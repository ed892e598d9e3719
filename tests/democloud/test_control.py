"""The control API, the seed and the command line."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest
import requests
import yaml

from democloud.seed import make_seed
from tests.democloud.conftest import Demo
from tests.services import ROOT, running_democloud


def command(*options: str) -> str:
    line = [sys.executable, "-m", "democloud", *options]
    return subprocess.run(line, check=True, capture_output=True, cwd=ROOT, text=True).stdout


def test_log_of_requests_holds_no_secret(demo: Demo) -> None:
    demo.control("DELETE", "requests")
    server = demo.server("web-1")["id"]
    demo.ask("POST", f"/servers/{server}/action", {"rescue": {"adminPass": "Do-Not-Keep-1"}})

    log = demo.control("GET", "requests")["requests"]

    last = log[-1]
    path = f"/gra/compute/v2.1/servers/{server}/action"
    assert (last["method"], last["path"], last["status"]) == ("POST", path, 200)
    assert (last["service"], last["action"], last["server"]) == ("nova", "rescue", server)
    assert last["seconds"] >= 0
    assert abs(last["time"] - time.time()) < 10
    text = json.dumps(log)
    assert "Do-Not-Keep-1" not in text
    assert demo.token() not in text
    assert demo.entries["acme"]["auth"]["application_credential_secret"] not in text


def test_log_can_be_read_from_a_place(demo: Demo) -> None:
    demo.server("web-1")
    count = demo.control("GET", "requests")["count"]
    demo.server("web-2")

    later = demo.control("GET", f"requests?since={count}")

    assert [one["method"] for one in later["requests"]] == ["GET"]


def test_servers_that_just_changed(demo: Demo) -> None:
    server = demo.server("web-1")["id"]
    time.sleep(2.1)  # stamps have whole seconds
    demo.ask("POST", f"/servers/{server}/action", {"os-stop": None})

    changed = demo.control("GET", "servers?within=1")["servers"]

    assert [one["id"] for one in changed] == [server]
    assert len(demo.control("GET", "servers")["servers"]) > 1


@pytest.mark.parametrize(
    ("name", "action", "status", "word"),
    [
        ("web-1", "rescue", "RESCUE", "rescue"),
        ("vpn", "unrescue", "ACTIVE", "unrescue"),
        ("web-1", "stop", "SHUTOFF", "stop"),
        ("web-1", "reboot", "ACTIVE", "reboot"),
    ],
)
def test_someone_else_acts(demo: Demo, name: str, action: str, status: str, word: str) -> None:
    said = demo.control("POST", f"outside/{name}/{action}")
    time.sleep(0.3)

    assert said["status"] in (200, 202)
    assert demo.server(name)["status"] == status
    last = demo.actions(name)[0]
    assert last["action"] == word
    assert last["user_id"] != demo.server(name)["user_id"]
    assert last["project_id"] == demo.server(name)["tenant_id"]


def test_someone_else_locks_and_deletes(demo: Demo) -> None:
    demo.control("POST", "outside/web-1/lock")
    assert demo.server("web-1")["locked"]
    assert demo.act("web-1", "rescue").status_code == 409

    ident = demo.server("web-2")["id"]
    demo.control("POST", "outside/web-2/delete")
    time.sleep(0.5)
    assert demo.ask("GET", f"/servers/{ident}").status_code == 404


def test_someone_else_rescues_with_an_image_of_theirs(demo: Demo) -> None:
    image = requests.get(
        f"{demo.base}/gra/image/v2/images?name=Debian 13",
        headers={"X-Auth-Token": demo.token()},
        timeout=10,
    ).json()["images"][0]["id"]
    demo.control("POST", "outside/web-3/rescue", {"rescue_image_ref": image})
    time.sleep(0.3)

    servers = demo.control("GET", "servers")["servers"]
    (shown,) = [one for one in servers if one["name"] == "web-3"]
    assert (shown["vm_state"], shown["rescue_image_id"]) == ("rescued", image)


@pytest.mark.parametrize("what", ["rescued", "stuck", "volume-backed", "auto-exit"])
def test_tampering_leaves_no_action(demo: Demo, what: str) -> None:
    before = demo.actions("web-4")
    demo.control("POST", f"outside/web-4/{what}")

    assert demo.actions("web-4") == before
    shown = demo.server("web-4")
    expected: dict[str, Any] = {
        "rescued": shown["status"] == "RESCUE",
        "stuck": shown["OS-EXT-STS:task_state"] == "rescuing",
        "volume-backed": shown["image"] == "",
        "auto-exit": shown["status"] == "ACTIVE",
    }
    assert expected[what]


def test_refusal_of_the_outside_is_passed_on(demo: Demo) -> None:
    url = f"{demo.base}/_demo/outside"

    assert requests.post(f"{url}/billing/rescue", timeout=10).status_code == 409
    assert requests.post(f"{url}/billing/rescue?admin=1", timeout=10).status_code == 200
    assert requests.post(f"{url}/nobody/rescue", timeout=10).status_code == 404


def test_reset(demo: Demo) -> None:
    demo.knobs(rescue_seconds=30, nova_down=None)
    before = demo.server("web-1")["id"]
    demo.act("web-1", "rescue")
    demo.control("POST", "reset")
    demo._tokens.clear()

    assert demo.server("web-1")["OS-EXT-STS:task_state"] is None
    assert demo.server("web-1")["id"] == before, "ids are fixed"
    assert demo.control("GET", "knobs")["rescue_seconds"] == 0
    assert demo.ask("GET", "/servers").status_code == 200


def test_only_this_machine_may_control(demo: Demo) -> None:
    from starlette.testclient import TestClient

    from democloud.app import create_app
    from democloud.seed import make_seed

    far = TestClient(create_app(lambda: make_seed("demo")), client=("192.0.2.7", 4711))

    assert far.put("/_demo/knobs", json={"nova_down": "503"}).status_code == 403
    assert far.get("/identity/v3").status_code == 200


def test_the_demos_servers(demo: Demo) -> None:
    acme = demo.ask("GET", "/servers/detail").json()["servers"]
    states = {one["status"] for one in acme}

    assert len(acme) == 26
    assert {
        "ACTIVE",
        "SHUTOFF",
        "ERROR",
        "BUILD",
        "PAUSED",
        "RESCUE",
        "SHELVED_OFFLOADED",
    } == states
    assert [one["name"] for one in acme if one["locked"]] == ["billing"]
    assert [one["name"] for one in acme if one["image"] == ""] == ["db-archive"]
    assert {one["name"] for one in acme if not one["config_drive"]} == {
        "ci-runner-1",
        "ci-runner-2",
    }
    assert "<script>alert(1)</script>" in {one["name"] for one in acme}
    assert len(demo.ask("GET", "/servers", slug="sbg").json()["servers"]) == 8
    assert len(demo.ask("GET", "/servers", by="othercorp").json()["servers"]) == 5


def test_projects_do_not_see_each_other(demo: Demo) -> None:
    ident = demo.server("web-1")["id"]

    assert demo.ask("GET", f"/servers/{ident}", by="othercorp").status_code == 404
    assert demo.ask("GET", f"/servers/{ident}", by="admin").status_code == 200
    assert demo.act("web-1", "rescue", by="acme-reader").status_code == 403


def test_printed_ways_in_work(demo: Demo) -> None:
    entries = json.loads(command("--port", "4711", "--print-credentials"))
    clouds = yaml.safe_load(command("--port", "4711", "--print-clouds-yaml"))["clouds"]

    assert set(entries) >= {"acme", "acme@sbg", "acme-reader", "othercorp", "admin"}
    for key in ("application_credential_id", "application_credential_secret"):
        assert entries["acme"]["auth"][key] == demo.entries["acme"]["auth"][key], "always the same"
    assert entries["acme"]["auth_url"] == "http://127.0.0.1:4711/identity/v3"
    assert clouds["acme@sbg"]["region_name"] == "Demo-SBG"
    assert clouds["alice"]["auth"]["project_name"] == "acme"
    for name in demo.entries:
        assert demo.sign_in(name).status_code == 201, name


def test_thousand_servers_are_listed_at_once() -> None:
    with running_democloud("--instant", "--seed", "many:5000") as url:
        many = Demo(url, json.loads(command("--print-credentials")))
        many.token()
        took = []
        for _ in range(3):
            began = time.monotonic()
            answer = many.ask("GET", "/servers/detail?limit=1000")
            took.append(time.monotonic() - began)
        body = answer.json()
        assert len(body["servers"]) == 1000
        assert body["servers_links"][0]["rel"] == "next"
        assert min(took) < 1.0, took


def test_tells_what_was_done_to_a_server_and_by_whom(demo: Demo) -> None:
    demo.control("POST", "outside/web-1/stop")
    ident = demo.server("web-1")["id"]
    answer = demo.ask("POST", f"/servers/{ident}/action", {"rescue": {"adminPass": "Not-Told-1"}})

    told = demo.control("GET", "servers/web-1")

    assert [one["action"] for one in told["actions"]] == ["create", "stop", "rescue"]
    last = told["actions"][-1]
    assert last["request_id"] == answer.headers["x-openstack-request-id"]
    assert last["user_id"] != told["actions"][1]["user_id"]
    assert last["failed"] is False
    assert "Not-Told-1" not in json.dumps(told)


def test_two_projects_may_have_many_servers() -> None:
    seed = make_seed("many:3+2")
    owners = [server.project_id for server in seed.regions[0].servers.values()]

    assert [owners.count(project.id) for project in seed.projects] == [3, 2, 0]
    assert len({server.ssh_address for server in seed.regions[0].servers.values()}) == 5
