"""The door to OpenStack: what each answer means, what is never done, and nonsense of all kinds."""

import copy
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from instances import cloud as door_package
from instances.cloud import (
    BadCredentials,
    Cloud,
    CloudError,
    Gone,
    Invalid,
    TooOld,
    door,
    listing,
    open_account,
)
from instances.cloud.errors import LONGEST_WAIT
from instances.cloud.facts import act_from, image_from, server_from
from teams import tally
from tests.instances.fakehttp import fake_cloud

SERVER = "/compute/v2.1/servers/s-1"
ACTION = f"{SERVER}/action"
ACTS = f"{SERVER}/os-instance-actions"


@pytest.fixture
def fake():
    with fake_cloud() as cloud:
        yield cloud


def opened(fake, **more) -> Cloud:
    auth = {
        "auth_url": f"{fake.url}/v3",
        "application_credential_id": "id",
        "application_credential_secret": "our-secret",
    }
    return Cloud({"auth_type": "v3applicationcredential", "auth": auth}, region_name="R", **more)


def nova_says(sentence):
    return {"someFault": {"message": sentence, "code": 1}}


# What is counted --------------------------------------------------------------------------------


def test_every_question_is_counted_by_service_and_answer(fake, redis_server):
    counts = redis.Redis.from_url(redis_server.url)
    counts.delete(tally.COUNTS)
    fake.answer(ACTION, 409, nova_says("no"))
    with pytest.raises(CloudError):
        opened(fake, account="7").rescue("s-1", image_ref="i", password="p")
    counted = {
        (labels["account"], labels["service"], labels["code"]): count
        for labels, count in tally.read("upstream")
    }
    assert counted["7", "compute", "409"] == 1
    assert counted["7", "identity", "201"] == 1
    assert {service for _account, service, _code in counted} <= {"compute", "identity", "other"}
    took = {labels["service"] for labels, _count in tally.read("upstream:class")}
    assert "compute" in took


def test_a_cloud_that_does_not_answer_is_counted_too(fake, redis_server):
    redis.Redis.from_url(redis_server.url).delete(tally.COUNTS)
    fake.url = "http://127.0.0.1:1"
    with pytest.raises(CloudError):
        opened(fake, account="7").look("s-1")
    codes = {labels["code"] for labels, _count in tally.read("upstream")}
    assert codes == {"none"}


# What an answer means ---------------------------------------------------------------------------

KINDS = [
    (400, "invalid"), (403, "forbidden"), (404, "gone"), (409, "conflict"), (413, "limited"),
    (429, "limited"), (500, "broken"), (502, "broken"), (503, "broken"), (302, "broken"),
    (418, "broken"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), KINDS)
def test_what_a_status_means_for_a_call(fake, status, kind):
    headers = {"x-openstack-request-id": "req-7", "Retry-After": "9"}
    fake.answer(ACTION, status, nova_says("in Nova's words"), headers)
    with pytest.raises(CloudError) as caught:
        opened(fake).rescue("s-1", image_ref="i", password="p")
    error = caught.value
    assert (error.kind, str(error)) == (kind, "in Nova's words")
    assert (error.request_id, error.retry_after) == ("req-7", 9)
    assert fake.count("POST", ACTION) == 1  # never sent again


def test_a_page_of_a_proxy_is_not_novas_404(fake):
    fake.answer(SERVER, 404, b"<html>no such backend</html>")
    with pytest.raises(CloudError) as caught:
        opened(fake).look("s-1")
    assert caught.value.kind == "broken"
    fake.answer(SERVER, 404, nova_says("Instance could not be found."))
    server, seen = opened(fake).look("s-1")
    assert server is None and seen.gone


def test_no_actions_to_be_seen_is_not_a_deleted_server(fake):
    fake.answer(SERVER, 200, {"server": RAW_SERVER})
    fake.answer(ACTS, 404, nova_says("no"))
    with pytest.raises(CloudError) as caught:
        opened(fake).look("s-1")
    assert caught.value.kind == "broken"


def test_a_server_whose_cell_is_down_is_not_judged(fake):
    fake.answer(SERVER, 200, {"server": {"id": "s-1", "status": "UNKNOWN"}})
    fake.answer(ACTS, 200, {"instanceActions": []})
    with pytest.raises(CloudError) as caught:
        opened(fake).look("s-1")
    assert caught.value.kind == "broken"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"[]", b"null", b"7", b'"x"', b'{"server": null}', b"\xff\xfe"]
)
def test_an_answer_that_makes_no_sense_is_broken(fake, body):
    fake.answer(SERVER, 200, body)
    with pytest.raises(CloudError) as caught:
        opened(fake).look("s-1")
    assert caught.value.kind == "broken"


@pytest.mark.parametrize("header", ["soon", "-5", "²", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_strange_retry_after(fake, header):
    fake.answer(
        ACTION, 429, nova_says("slow down"), {"Retry-After": header.encode().decode("latin-1")}
    )
    with pytest.raises(CloudError) as caught:
        opened(fake).unrescue("s-1")
    assert (caught.value.kind, caught.value.retry_after) == ("limited", 0)


@pytest.mark.parametrize("password", [["x"], {"a": 1}, 7, True, "x" * 256, "a\x00b", "a\nb", ""])
def test_what_nobody_could_type_in_is_not_taken_for_a_password(fake, password):
    fake.answer(ACTION, 200, {"adminPass": password})
    assert opened(fake).rescue("s-1", image_ref="i", password="p").password == ""


def test_an_endless_request_id_is_cut_to_what_a_column_holds(fake):
    endless = {"x-openstack-request-id": "r" * 5000}
    fake.answer(ACTION, 200, {"adminPass": "other"}, endless)
    told = opened(fake).rescue("s-1", image_ref="i", password="p")
    assert (told.request_id, told.password) == ("r" * 64, "other")
    fake.answer(ACTION, 409, nova_says("busy"), endless)
    with pytest.raises(CloudError) as caught:
        opened(fake).unrescue("s-1")
    assert caught.value.request_id == "r" * 64


def test_nobody_puts_us_off_for_ever(fake):
    fake.answer(ACTION, 429, nova_says("slow down"), {"Retry-After": "9" * 40})
    with pytest.raises(CloudError) as caught:
        opened(fake).unrescue("s-1")
    assert caught.value.retry_after == LONGEST_WAIT


@pytest.mark.parametrize("how", [{"drop": True}, {"missing": 50}])
@pytest.mark.parametrize("path", ["/v3/auth/tokens", ACTION])
def test_a_connection_that_breaks(fake, path, how):
    fake.answer(path, 201 if "tokens" in path else 200, {"adminPass": "x"}, **how)
    with pytest.raises(CloudError) as caught:
        opened(fake).rescue("s-1", image_ref="i", password="p")
    assert caught.value.kind in ("silent", "broken")
    assert fake.count("POST", path) == 1


def test_nobody_is_waited_for_longer_than_the_timeout(fake, monkeypatch):
    monkeypatch.setattr(door, "GET_TIMEOUT", 0.3)
    monkeypatch.setattr(door, "CALL_TIMEOUT", timedelta(seconds=0.3))
    fake.answer(SERVER, 200, {}, after=3)
    fake.answer(ACTION, 200, {}, after=3)
    cloud = opened(fake)
    began = datetime.now(UTC)
    for ask in (lambda: cloud.server("s-1"), lambda: cloud.unrescue("s-1")):
        with pytest.raises(CloudError) as caught:
            ask()
        assert caught.value.kind == "silent"
    assert datetime.now(UTC) - began < timedelta(seconds=2.5)
    assert fake.count("POST", ACTION) == 1


def test_keystone_gone_from_its_port(fake):
    cloud = opened(fake)
    cloud._session.auth.auth_url = "http://127.0.0.1:9/v3"
    with pytest.raises(CloudError) as caught:
        cloud.server("s-1")
    assert caught.value.kind == "silent"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "credentials"), (403, "credentials"), (404, "credentials"), (429, "limited"),
     (500, "silent"), (503, "silent")],
)  # fmt: skip
def test_what_keystone_says(fake, status, kind):
    fake.answer("/v3/auth/tokens", status, {"error": {"message": "no", "code": status}})
    with pytest.raises(CloudError) as caught:
        opened(fake).server("s-1")
    assert caught.value.kind == kind
    assert "our-secret" not in str(caught.value)


def test_nova_does_not_accept_the_token(fake):
    fake.answer(SERVER, 401, nova_says("Authentication required"))
    with pytest.raises(BadCredentials):
        opened(fake).server("s-1")


# What is never done -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [SERVER, ACTION, "/v3/auth/tokens", "/image/v2/images"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(fake, path, status):
    """keystoneauth would follow it to any host, token and password with it."""
    with fake_cloud() as elsewhere:
        fake.answer(path, status, b"", {"Location": f"{elsewhere.url}{path}"})
        cloud = opened(fake)
        for ask in (
            lambda: cloud.server("s-1"),
            lambda: cloud.rescue("s-1", image_ref="i", password="p"),
            cloud.images,
        ):
            with pytest.raises(CloudError):
                ask()
        assert elsewhere.asked == []


def test_the_next_page_is_not_fetched_from_another_host(fake):
    with fake_cloud() as elsewhere:
        page = {"images": [], "next": f"{elsewhere.url}/images"}
        for path in ("/image/images", "/image/v2/images"):
            fake.answer(path, 200, page)
        with pytest.raises(CloudError):
            opened(fake).images()
        assert elsewhere.asked == []


def test_a_listing_without_end_is_left(fake, monkeypatch):
    monkeypatch.setattr(listing, "MOST_SERVERS", 3)
    fake.answer(
        "/compute/v2.1/servers/detail", 200, {"servers": [RAW_SERVER], "servers_links": ["more"]}
    )
    with pytest.raises(CloudError):
        list(opened(fake).server_pages())
    assert fake.count("GET", "/compute/v2.1/servers/detail") == 3


def test_the_password_is_not_logged_even_at_debug(fake, caplog):
    caplog.set_level("DEBUG")
    for name in ("keystoneauth", "openstack", "urllib3"):
        caplog.set_level("DEBUG", logger=name)
        caplog.set_level("DEBUG", logger=f"{name}.session")
    fake.answer(ACTION, 200, {"adminPass": "canary-canary"})
    answer = opened(fake).rescue("s-1", image_ref="i", password="canary-canary")
    assert answer.password == "canary-canary"
    assert "canary-canary" not in caplog.text


# Microversions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "used", "volume_backed"),
    [("2.47", "2.47", False), ("2.86", "2.86", False), ("2.87", "2.87", True),
     ("2.96", "2.96", True), ("2.104", "2.96", True)],
)  # fmt: skip
def test_the_newest_microversion_of_our_range_is_used(fake, newest, used, volume_backed):
    fake.speaks(newest)
    fake.answer(SERVER, 200, {"server": RAW_SERVER})
    cloud = opened(fake)
    assert cloud.microversion() == used
    assert cloud.rescues_volume_backed() is volume_backed
    cloud.server("s-1")
    asked = next(headers for _m, path, headers in fake.asked if path == SERVER)
    assert asked["OpenStack-API-Version"] == f"compute {used}"


def test_a_nova_that_is_too_old(fake):
    fake.speaks("2.46")
    with pytest.raises(TooOld):
        opened(fake).server("s-1")


# Accounts ---------------------------------------------------------------------------------------


def test_an_account_is_opened_once_and_anew_with_a_new_credential(account, credential):
    first = open_account(account)
    assert open_account(account) is first
    account.keep_credential(credential("acme"))
    assert open_account(account) is not first


def test_a_credential_whose_key_is_gone(account, settings):
    settings.ENCRYPTION_KEYS = [b"n" * 32]
    with pytest.raises(BadCredentials):
        open_account(account)


def test_a_credential_that_makes_no_sense(account):
    account.keep_credential({"auth_type": "v3applicationcredential", "auth": {"shoe": "size"}})
    with pytest.raises(CloudError):
        open_account(account)
    account.keep_credential({"auth_type": "no-such-plugin", "auth": {}})
    with pytest.raises(CloudError):
        open_account(account)


def test_clouds_yaml_is_read_as_every_client_reads_it(tmp_path, monkeypatch):
    (tmp_path / "clouds.yaml").write_text(
        "clouds:\n  mine:\n    region_name: R\n    auth_type: v3applicationcredential\n    auth:\n"
        "      auth_url: http://k/v3\n      application_credential_id: a\n"
        "      application_credential_secret: b\n"
    )
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    found = door_package.from_clouds_yaml("mine")
    assert found.region_name == "R"
    assert found.credential["auth_type"] == "v3applicationcredential"
    assert found.credential["auth"]["application_credential_id"] == "a"
    with pytest.raises(Invalid, match="other"):
        door_package.from_clouds_yaml("other")


# Nonsense ---------------------------------------------------------------------------------------

RAW_SERVER: dict[str, Any] = {
    "id": "s-1", "name": "web", "status": "ACTIVE", "OS-EXT-STS:vm_state": "active",
    "OS-EXT-STS:task_state": None, "OS-EXT-STS:power_state": 1, "locked": False,
    "addresses": {"net": [{"addr": "192.0.2.1", "version": 4, "OS-EXT-IPS:type": "fixed"}]},
    "image": {"id": "i-1"}, "key_name": "k", "config_drive": "True",
    "flavor": {"original_name": "f", "ram": 512, "disk": 1},
    "os-extended-volumes:volumes_attached": [{"id": "v"}], "fault": {"message": "m", "code": 500},
    "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
    "OS-SRV-USG:launched_at": "2026-01-01T00:00:00.000000",
}  # fmt: skip
RAW_IMAGE: dict[str, Any] = {
    "id": "i-1", "name": "Debian", "status": "active", "visibility": "public", "owner": "o",
    "os_hidden": False, "disk_format": "qcow2", "min_ram": 0, "size": 1, "tags": ["rescue"],
    "updated_at": "2026-01-01T00:00:00Z", "os_distro": "debian",
}  # fmt: skip
RAW_ACT: dict[str, Any] = {
    "request_id": "req-1", "action": "rescue", "user_id": "u", "message": None,
    "events": [{"event": "e", "start_time": "2026-01-01T00:00:00.000000", "finish_time": None,
                "result": None}],
}  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "\x00", "\ud800", "9" * 400, "<script>", "\u202e", "0001-01-01T00:00:00Z"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw, raw):
    """Replace, remove or add something anywhere in a good answer."""
    whole = copy.deepcopy(raw)
    for _turn in range(draw(st.integers(1, 3))):
        place = whole
        while True:
            keys = list(place if isinstance(place, dict) else range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                place[key] = draw(values)
            else:
                del place[key]
            break
    return whole


class Answers:
    """A connection whose every answer is the same JSON, as the SDK hands it on."""

    def __init__(self, body):
        raw = json.dumps(body).encode(errors="surrogatepass")
        self.compute = self.image = self
        self.response = SimpleNamespace(
            status_code=200, content=raw, headers={}, json=lambda: json.loads(raw)
        )

    def get(self, *_args, **_kwargs):
        return self.response

    post = get


def answering(body) -> Cloud:
    cloud = object.__new__(Cloud)
    cloud._microversion, cloud._connection = "2.96", Answers(body)
    return cloud


WHOLE = {
    "server": RAW_SERVER, "servers": [RAW_SERVER], "images": [RAW_IMAGE], "adminPass": "p",
    "instanceActions": [RAW_ACT], "instanceAction": RAW_ACT, "output": "log",
}  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(mutated(WHOLE) | values)
def test_no_answer_raises_anything_but_ours(body):
    cloud = answering(body)
    for ask in (
        lambda: cloud.look("s-1"),
        lambda: list(cloud.server_pages()),
        cloud.images,
        lambda: cloud.rescue("s-1", image_ref="i", password="p"),
        lambda: cloud.unrescue("s-1"),
        lambda: cloud.console_log("s-1"),
    ):
        try:
            ask()
        except CloudError as error:
            str(error).encode()
            assert not isinstance(error, Gone)


STORED = {"flavor_ram", "flavor_disk", "power_state", "volumes", "min_ram"}


@settings(max_examples=150, deadline=None)
@given(mutated(RAW_SERVER), mutated(RAW_IMAGE), mutated(RAW_ACT))
def test_facts_are_what_a_database_can_hold(server, image, act):
    for read, raw in ((server_from, server), (image_from, image), (act_from, act)):
        try:
            facts = vars(read(raw))
        except door.UNREADABLE:
            continue
        json.dumps(facts, default=str, ensure_ascii=False).encode()
        assert "\\u0000" not in json.dumps(facts, default=str)
        for name in STORED & facts.keys():
            assert 0 <= facts[name] < 2**31


def test_the_good_answer_is_read_in_full():
    server, image, act = server_from(RAW_SERVER), image_from(RAW_IMAGE), act_from(RAW_ACT)
    assert (server.name, server.flavor_ram, server.volumes, server.config_drive) == (
        "web",
        512,
        1,
        True,
    )
    assert server.launched_at == datetime(2026, 1, 1, tzinfo=UTC) and not server.deleted
    assert image.properties == {"os_distro": "debian"} and image.tags == ["rescue"]
    assert act.host_started_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert not act.failed and not act.finished
    assert act_from(RAW_ACT | {"message": "Error"}).failed
    assert act_from(RAW_ACT | {"events": [{"result": "Error", "finish_time": "x"}]}).failed
    assert server_from(RAW_SERVER | {"image": ""}).image_id == ""
