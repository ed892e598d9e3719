"""When a server's metadata may be written, and what is taken: the way of a password's hash."""

from collections.abc import Iterator

import pytest

from tests.contract.clouds import Cloud, Said

KEY, HASH = "rescue_password_hash", "$6$" + "s" * 16 + "$" + "h" * 86


def conflict(action: str, where: str) -> tuple[int, str]:
    return 409, f"conflictingRequest: Cannot '{action}' instance <uuid> while it is in {where}"


def put(cloud: Cloud, server: str, value: str = HASH, key: str = KEY, by: str = "carol") -> Said:
    return cloud.ask("POST", f"/servers/{server}/metadata", {"metadata": {key: value}}, by=by)


def drop(cloud: Cloud, server: str, key: str = KEY, by: str = "carol") -> Said:
    return cloud.ask("DELETE", f"/servers/{server}/metadata/{key}", by=by)


def held(cloud: Cloud, server: str) -> dict[str, str]:
    found: dict[str, str] = cloud.ask("GET", f"/servers/{server}/metadata").body["metadata"]
    return found


@pytest.fixture
def marked(cloud: Cloud, active: str) -> str:
    """Return the shared server, ACTIVE, with a hash in its metadata."""
    assert put(cloud, active).status == 200
    return active


def test_there_and_gone(cloud: Cloud, active: str) -> None:
    put(cloud, active, "x", key="theirs")

    assert put(cloud, active).body == {"metadata": {KEY: HASH, "theirs": "x"}}
    assert put(cloud, active, "other").body["metadata"][KEY] == "other", "the same key again"
    assert drop(cloud, active).short == (204, "")
    assert held(cloud, active) == {"theirs": "x"}
    assert drop(cloud, active).short == (404, "itemNotFound: Metadata item was not found")


@pytest.mark.parametrize(
    ("into", "out"), [("os-stop", "os-start"), ("pause", "unpause"), ("suspend", "resume")]
)
def test_taken_while_off(cloud: Cloud, active: str, into: str, out: str) -> None:
    cloud.act(active, into)
    assert cloud.settle(active) != "ACTIVE active -"

    assert put(cloud, active).status == 200
    assert drop(cloud, active).short == (204, "")
    cloud.act(active, out)
    cloud.settle(active)


def test_not_in_error(cloud: Cloud, marked: str) -> None:
    cloud.act(marked, "os-resetState", {"state": "error"}, by="admin")

    assert put(cloud, marked).short == conflict("update metadata", "vm_state error")
    assert drop(cloud, marked).short == conflict("delete metadata", "vm_state error")
    assert drop(cloud, marked, "nothing").status == 404, "what is not there is said first"


def test_not_in_rescue(cloud: Cloud, marked: str) -> None:
    cloud.rescue(marked)
    assert cloud.settle(marked) == "RESCUE rescued -"

    assert put(cloud, marked).short == conflict("update metadata", "vm_state rescued")
    assert drop(cloud, marked).short == conflict("delete metadata", "vm_state rescued")
    assert held(cloud, marked)[KEY] == HASH, "it stays for the rescue system to read"
    cloud.act(marked, "unrescue")
    assert cloud.settle(marked) == "ACTIVE active -"
    assert drop(cloud, marked).short == (204, "")


@pytest.fixture
def slowly(cloud: Cloud) -> Iterator[None]:
    """Let the hypervisor take its time."""
    cloud.knobs(rescue_seconds=2.5, unrescue_seconds=2)
    yield
    cloud.knobs()


@pytest.mark.usefixtures("slowly")
def test_a_task_under_way_does_not_matter(cloud: Cloud, marked: str) -> None:
    cloud.rescue(marked)
    assert cloud.state(marked) == "ACTIVE active rescuing"
    assert put(cloud, marked, "late").status == 200

    cloud.settle(marked)
    cloud.act(marked, "unrescue")
    assert cloud.state(marked) == "RESCUE rescued unrescuing"
    assert drop(cloud, marked).short == conflict("delete metadata", "vm_state rescued")
    cloud.settle(marked)


def test_locked(cloud: Cloud, marked: str) -> None:
    cloud.act(marked, "lock")
    locked = (409, "conflictingRequest: Instance <uuid> is locked")

    assert put(cloud, marked).short == locked
    assert drop(cloud, marked).short == locked
    assert put(cloud, marked, by="admin").status == 200, "an admin passes a lock"


def test_a_reader_may_not(cloud: Cloud) -> None:
    server = cloud.boot("read", by="alice", metadata={KEY: HASH})
    policy = "forbidden: Policy doesn't allow os_compute_api:server-metadata:{} to be performed."

    assert put(cloud, server, by="rita-alpha").short == (403, policy.format("create"))
    assert drop(cloud, server, by="rita-alpha").short == (403, policy.format("delete"))
    assert put(cloud, server, by="carol").status == 404, "another project's"


def test_full(cloud: Cloud) -> None:
    server = cloud.boot("full", metadata={f"k{n}": "v" for n in range(128)})

    said = put(cloud, server)

    assert said.short == (403, "forbidden: Maximum number of metadata items exceeds 128")
    assert put(cloud, server, "w", key="k1").status == 200, "one that is there may change"


@pytest.mark.parametrize(("key", "value"), [("k", "v" * 256), ("k$", "v"), ("", "v"), ("k", 1)])
def test_invalid(cloud: Cloud, active: str, key: str, value: str) -> None:
    said = put(cloud, active, value, key=key)

    assert said.status == 400
    assert said.words.startswith("badRequest: Invalid input for field/attribute")
    assert ("too long" in said.words) == (len(str(value)) > 255)
