"""What else may be done to a rescued server: next to nothing (tempest's T11, T12, T14)."""

from typing import Any

import pytest

from tests.contract.clouds import Cloud

REFUSED: list[tuple[str, Any, str]] = [
    ("reboot", {"type": "SOFT"}, "reboot"),
    ("reboot", {"type": "HARD"}, "reboot"),
    ("os-stop", None, "stop"),
    ("os-start", None, "start"),
    ("pause", None, "pause"),
    ("suspend", None, "suspend"),
    ("shelve", None, "shelve"),
    ("createImage", {"name": "contract-snapshot"}, "createImage"),
    ("changePassword", {"adminPass": "x"}, "changePassword"),
    ("resize", {"flavorRef": "b2-7"}, "resize"),
    ("rebuild", {"imageRef": "Debian 12"}, "rebuild"),
]


@pytest.mark.parametrize(("action", "value", "word"), REFUSED)
def test_refused(cloud: Cloud, rescued: str, action: str, value: Any, word: str) -> None:
    names = {"flavorRef": cloud.flavors, "imageRef": cloud.images}
    body = {key: names[key][one] if key in names else one for key, one in (value or {}).items()}

    said = cloud.act(rescued, action, body or None)

    where = "while it is in vm_state rescued"
    assert said.short == (409, f"conflictingRequest: Cannot '{word}' instance <uuid> {where}")
    assert cloud.state(rescued) == "RESCUE rescued -"


@pytest.mark.parametrize("action", ["lock", "unlock"])
def test_allowed(cloud: Cloud, rescued: str, action: str) -> None:
    assert cloud.act(rescued, action).short == (202, "")
    assert cloud.state(rescued) == "RESCUE rescued -"


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("PUT", "/metadata/k", {"meta": {"k": "v"}}, "update metadata"),
        ("POST", "/metadata", {"metadata": {"k": "v"}}, "update metadata"),
        ("DELETE", "/metadata/before", None, "delete metadata"),
    ],
)
def test_metadata_is_refused(
    cloud: Cloud, labelled: str, method: str, path: str, body: Any, word: str
) -> None:
    said = cloud.ask(method, f"/servers/{labelled}{path}", body)

    where = "while it is in vm_state rescued"
    assert said.short == (409, f"conflictingRequest: Cannot '{word}' instance <uuid> {where}")


def test_metadata_that_is_not_there(cloud: Cloud, labelled: str) -> None:
    said = cloud.ask("DELETE", f"/servers/{labelled}/metadata/nothing")

    assert said.short == (404, "itemNotFound: Metadata item was not found")


@pytest.fixture(scope="module")
def labelled(cloud: Cloud) -> str:
    """Return a rescued server that had metadata before."""
    server = cloud.boot("labelled", metadata={"before": "x"})
    cloud.rescue(server)
    cloud.settle(server)
    return server


def test_console_output(cloud: Cloud, rescued: str) -> None:
    whole = cloud.act(rescued, "os-getConsoleOutput", {})
    end = cloud.act(rescued, "os-getConsoleOutput", {"length": 2})

    assert (whole.status, end.status) == (200, 200)
    assert whole.body["output"].endswith(end.body["output"])
    assert len(end.body["output"].splitlines()) == 2


def test_no_remote_console(cloud: Cloud, rescued: str) -> None:
    body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}

    said = cloud.ask("POST", f"/servers/{rescued}/remote-consoles", body)

    assert said.short == (400, "badRequest: Unavailable console type novnc.")


def test_delete(cloud: Cloud) -> None:
    server = cloud.boot("doomed")
    cloud.rescue(server)
    cloud.settle(server)

    assert cloud.ask("DELETE", f"/servers/{server}").short == (204, "")
    cloud.vanish(server)
