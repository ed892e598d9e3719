"""Each knob does what it says, so that tests of the panel can trust it."""

import time
from collections.abc import Callable

import pytest
import requests

from tests.democloud.conftest import Demo


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def status(demo: Demo, name: str = "web-1") -> str:
    shown = demo.server(name)
    return f"{shown['status']} {shown['OS-EXT-STS:task_state'] or '-'}"


def test_rescue_takes_its_time(demo: Demo) -> None:
    demo.knobs(rescue_seconds=0.8, pickup_seconds=0.2)
    began = time.monotonic()
    demo.act("web-1", "rescue")

    assert status(demo) == "ACTIVE rescuing"
    until(lambda: status(demo) == "RESCUE -")
    assert time.monotonic() - began >= 0.8


def test_driver_error(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"driver_error": 1}})

    assert demo.act("web-1", "rescue").status_code == 200
    until(lambda: status(demo) == "ERROR -")
    assert "cannot be rescued: Driver Error" in demo.server("web-1")["fault"]["message"]
    assert demo.actions("web-1")[0]["message"] == "Error"
    assert demo.act("web-1", "rescue").status_code == 200, "it was to fail once"
    until(lambda: status(demo) == "RESCUE -")


def test_silent_revert(demo: Demo) -> None:
    demo.knobs(servers={"staging": {"silent_revert": True}})

    assert demo.act("staging", "rescue").status_code == 200
    until(lambda: demo.actions("staging")[0]["message"] == "Error")
    assert status(demo, "staging") == "SHUTOFF -"
    assert "fault" not in demo.server("staging")


def test_host_silent(demo: Demo) -> None:
    demo.knobs(servers={"*": {"host_silent": True}})
    answer = demo.act("web-1", "rescue")
    path = f"/servers/{demo.server('web-1')['id']}/os-instance-actions"
    request = answer.headers["x-openstack-request-id"]
    time.sleep(0.6)

    assert status(demo) == "ACTIVE rescuing"
    assert demo.ask("GET", f"{path}/{request}").json()["instanceAction"]["events"] == []
    demo.knobs(servers={})
    until(lambda: status(demo) == "RESCUE -")


def test_lost_reply(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"lost_reply": 1}})

    with pytest.raises(requests.ConnectionError):
        demo.act("web-1", "rescue")
    until(lambda: status(demo) == "RESCUE -")
    log = demo.control("GET", "requests")["requests"]
    assert [one["status"] for one in log if one["action"] == "rescue"] == ["lost"]
    assert demo.act("web-1", "unrescue").status_code == 202, "one reply was to be lost"


@pytest.mark.parametrize("by", ["name", "id", "*"])
def test_refuse_500(demo: Demo, by: str) -> None:
    key = {"name": "web-1", "id": demo.server("web-1")["id"], "*": "*"}[by]
    demo.knobs(servers={key: {"refuse_500": 1}})

    answer = demo.act("web-1", "rescue")

    assert answer.status_code == 500
    assert status(demo) == "ACTIVE -"
    assert demo.act("web-1", "rescue").status_code == 200


def test_race_500(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"race_500": 1}})

    answer = demo.act("web-1", "rescue", {"adminPass": "mine"})

    assert answer.status_code == 500
    assert "UnexpectedTaskStateError" in answer.json()["computeFault"]["message"]
    until(lambda: status(demo) == "RESCUE -")
    (action,) = [one for one in demo.actions("web-1") if one["action"] == "rescue"]
    assert action["request_id"] != answer.headers["x-openstack-request-id"]
    assert action["user_id"] != demo.server("web-1")["user_id"]


def test_nobody_races_for_a_console(demo: Demo) -> None:
    assert demo.act("web-1", "rescue").status_code == 200
    until(lambda: status(demo) == "RESCUE -")
    before = demo.actions("web-1")
    demo.knobs(servers={"web-1": {"race_500": 1}})

    assert demo.act("web-1", "os-getConsoleOutput", {"length": 5}).status_code == 200

    assert demo.actions("web-1") == before


def test_slow_reply(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"slow_reply": 0.7}})
    began = time.monotonic()

    assert demo.act("web-1", "rescue").status_code == 200
    assert time.monotonic() - began >= 0.7


def test_too_many_requests(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"429": 3}})

    answer = demo.act("web-1", "rescue")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    assert status(demo) == "ACTIVE -"


def test_unrescue_fails(demo: Demo) -> None:
    demo.knobs(servers={"vpn": {"unrescue_fails": True}})

    assert demo.act("vpn", "unrescue").status_code == 202
    until(lambda: status(demo, "vpn") == "ERROR -")


def test_auto_exit(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"auto_exit": 0.4}})
    demo.act("web-1", "rescue")

    until(lambda: status(demo) == "RESCUE -")
    until(lambda: status(demo) == "ACTIVE -")
    assert demo.actions("web-1")[0]["action"] == "rescue", "no action tells of it"


def test_auto_exit_spares_a_later_rescue(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"auto_exit": 0.6}})
    demo.act("web-1", "rescue")
    until(lambda: status(demo) == "RESCUE -")
    demo.act("web-1", "unrescue")
    until(lambda: status(demo) == "ACTIVE -")
    demo.knobs(servers={})
    demo.act("web-1", "rescue")
    time.sleep(0.9)

    assert status(demo) == "RESCUE -"


def test_cell_down(demo: Demo) -> None:
    ident = demo.server("web-1")["id"]
    demo.knobs(servers={"web-1": {"cell_down": True}})

    listed = demo.ask("GET", "/servers/detail").json()["servers"]
    shown = demo.ask("GET", f"/servers/{ident}").json()["server"]

    (bare,) = [one for one in listed if one["id"] == ident]
    assert bare == shown
    assert set(bare) == {"id", "status", "tenant_id", "created", "links"}
    assert bare["status"] == "UNKNOWN"
    assert len(listed) == 26


def test_late_host_does_not_rescue_what_was_reset(demo: Demo) -> None:
    demo.knobs(servers={"web-1": {"host_silent": True}})
    demo.act("web-1", "rescue")
    demo.control("POST", "outside/web-1/resetState")
    demo.knobs(servers={})
    until(lambda: any(one["message"] == "Error" for one in demo.actions("web-1")))

    assert status(demo) == "ACTIVE -"


def test_revoked_credential(demo: Demo) -> None:
    demo.token()
    demo.knobs(revoked_credentials=["acme"])

    assert demo.sign_in().status_code == 404
    assert demo.ask("GET", "/servers").status_code == 401
    assert demo.sign_in("othercorp").status_code == 201


@pytest.mark.parametrize(
    ("name", "expected"), [("legacy-norescue", "ERROR -"), ("slow-boot", "ACTIVE rescuing")]
)
def test_names_mean_something(demo: Demo, name: str, expected: str) -> None:
    demo.act(name, "rescue")
    time.sleep(0.3)

    assert status(demo, name) == expected


def test_service_unavailable(demo: Demo) -> None:
    demo.token()
    demo.knobs(nova_down="503")

    answer = demo.ask("GET", "/servers")

    assert answer.status_code == 503
    assert "No server is available" in answer.text
    assert demo.sign_in().status_code == 201, "the others go on"


def test_connection_dropped(demo: Demo) -> None:
    demo.token()
    demo.knobs(nova_down="drop")

    with pytest.raises(requests.ConnectionError):
        demo.ask("GET", "/servers")
    demo.knobs(nova_down=None)
    assert demo.ask("GET", "/servers").status_code == 200


def test_slow_service(demo: Demo) -> None:
    demo.token()
    demo.knobs(nova_down="slow", outage_seconds=0.5)
    began = time.monotonic()

    assert demo.ask("GET", "/servers").status_code == 200
    assert time.monotonic() - began >= 0.5


def test_hanging_service(demo: Demo) -> None:
    demo.knobs(keystone_down="hang")

    with pytest.raises(requests.ReadTimeout):
        requests.get(demo.url, timeout=0.5)


def test_keystone_down_nova_goes_on(demo: Demo) -> None:
    demo.token()
    demo.knobs(keystone_down="503")

    assert demo.sign_in().status_code == 503
    assert demo.ask("GET", "/servers").status_code == 200


def test_glance_away_nova_misses_it(demo: Demo) -> None:
    image = demo.server("web-1")["image"]["id"]
    demo.knobs(glance_down="503")

    answer = demo.act("web-1", "rescue", {"rescue_image_ref": image})

    assert answer.status_code == 500
    assert "GlanceConnectionFailed" in answer.json()["computeFault"]["message"]
    assert demo.act("web-1", "rescue").status_code == 200, "without image none is asked for"


def test_neutron_away_nova_misses_it(demo: Demo) -> None:
    ident = demo.server("web-1")["id"]
    demo.knobs(neutron_down="drop")

    assert demo.ask("GET", "/servers/detail").status_code == 500
    assert demo.ask("GET", f"/servers/{ident}").status_code == 500
    assert demo.ask("POST", f"/servers/{ident}/action", {"rescue": None}).status_code == 200
    time.sleep(0.2)
    demo.knobs(neutron_down=None)
    assert status(demo) == "ACTIVE -"
    assert demo.actions("web-1")[0]["message"] == "Error"


def test_a_list_that_is_too_long(demo: Demo) -> None:
    demo.knobs(longest_list=3)

    assert demo.ask("GET", "/servers/detail?limit=4").status_code == 500
    assert len(demo.ask("GET", "/servers/detail?limit=3").json()["servers"]) == 3
    assert demo.ask("GET", "/servers").status_code == 200


def test_nova_asks_for_a_pause(demo: Demo) -> None:
    demo.knobs(nova_limit_seconds=7)

    answer = demo.ask("GET", "/servers")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def test_all_tokens_expire_once(demo: Demo) -> None:
    old = demo.token()
    demo.knobs(token_expired=True)

    assert demo.ask("GET", "/servers").status_code == 401
    demo._tokens.clear()
    assert demo.ask("GET", "/servers").status_code == 200
    assert demo.token() != old


def test_tokens_live_as_long_as_told(demo: Demo) -> None:
    demo.knobs(token_seconds=1)

    assert demo.ask("GET", "/servers").status_code == 200
    time.sleep(2.1)
    assert demo.ask("GET", "/servers").status_code == 401


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"rescue_secs": 1}, "there is no knob 'rescue_secs'"),
        ({"rescue_seconds": -1}, "rescue_seconds is a number of seconds"),
        ({"rescue_seconds": "1"}, "rescue_seconds is a number of seconds"),
        ({"longest_list": "1"}, "longest_list is a number of servers"),
        ({"nova_down": "maybe"}, "nova_down is null or one of 503, drop, hang, slow"),
        ({"servers": {"web-1": {"explode": True}}}, "no such fault: explode"),
        ({"servers": {"web-1": True}}, "servers is {id, name or *"),
        ([], "object"),
    ],
)
def test_wrong_knobs_change_nothing(demo: Demo, body: object, said: str) -> None:
    before = demo.control("GET", "knobs")

    answer = requests.put(f"{demo.base}/_demo/knobs", json=body, timeout=10)

    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert demo.control("GET", "knobs") == before


def test_an_answer_is_cut_in_the_middle(demo: Demo) -> None:
    whole = demo.ask("GET", "/servers/detail?limit=3")
    demo.knobs(nova_down="cut")

    cut = demo.ask("GET", "/servers/detail?limit=3")

    assert cut.status_code == 200
    assert 0 < len(cut.content) < len(whole.content)
    assert whole.content.startswith(cut.content)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        cut.json()
