"""Bodies Nova does not take, and servers it does not know."""

from typing import Any

import pytest

from tests.contract.clouds import Cloud, somewhere

FIELD = "badRequest: Invalid input for field/attribute"
MALFORMED = (400, "badRequest: Malformed request body")
NOWHERE = (404, "itemNotFound: The resource could not be found.")
BODIES: dict[str, tuple[Any, tuple[int, str]]] = {
    "unknown field": (
        {"rescue": {"password": "x"}},
        (
            400,
            (
                f"{FIELD} rescue. Value: {{'password': 'x'}}. "
                "Additional properties are not allowed ('password' was unexpected)"
            ),
        ),
    ),
    "two unknown fields": (
        {"rescue": {"b": "x", "a": 1}},
        (
            400,
            (
                f"{FIELD} rescue. Value: {{'b': 'x', 'a': 1}}. "
                "Additional properties are not allowed ('a', 'b' were unexpected)"
            ),
        ),
    ),
    "image no uuid": (
        {"rescue": {"rescue_image_ref": "not-a-uuid"}},
        (400, f"{FIELD} rescue_image_ref. Value: not-a-uuid. 'not-a-uuid' is not a 'uuid'"),
    ),
    "image empty": (
        {"rescue": {"rescue_image_ref": ""}},
        (400, f"{FIELD} rescue_image_ref. Value: . '' is not a 'uuid'"),
    ),
    "image null": (
        {"rescue": {"rescue_image_ref": None}},
        (400, f"{FIELD} rescue_image_ref. Value: None. None is not of type 'string'"),
    ),
    "image a URL": (
        {"rescue": {"rescue_image_ref": "http://cloud/images/1"}},
        (
            400,
            (
                f"{FIELD} rescue_image_ref. Value: http://cloud/images/1. "
                "'http://cloud/images/1' is not a 'uuid'"
            ),
        ),
    ),
    "rescue a number": (
        {"rescue": 5},
        (400, f"{FIELD} rescue. Value: 5. 5 is not of type 'object', 'null'"),
    ),
    "rescue a text": (
        {"rescue": "x"},
        (400, f"{FIELD} rescue. Value: x. 'x' is not of type 'object', 'null'"),
    ),
    "no action": ({}, MALFORMED),
    "two actions": ({"rescue": None, "unrescue": None}, MALFORMED),
    "a list": ([], MALFORMED),
    "a number": (5, NOWHERE),
    "unknown action": (
        {"rescueme": None},
        (400, "badRequest: There is no such action: rescueme"),
    ),
    "unrescue with a value": (
        {"unrescue": {"x": 1}},
        (
            409,
            "conflictingRequest: Cannot 'unrescue' instance <uuid> while it is in vm_state active",
        ),
    ),
    "reboot without type": (
        {"reboot": {}},
        (400, f"{FIELD} reboot. Value: {{}}. 'type' is a required property"),
    ),
    "reboot null": (
        {"reboot": None},
        (400, f"{FIELD} reboot. Value: None. None is not of type 'object'"),
    ),
    "reboot warm": (
        {"reboot": {"type": "warm"}},
        (
            400,
            (
                f"{FIELD} type. Value: warm. 'warm' is not one of "
                "['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft']"
            ),
        ),
    ),
    "lock with an unknown field": (
        {"lock": {"x": 1}},
        (
            400,
            (
                f"{FIELD} lock. Value: {{'x': 1}}. "
                "Additional properties are not allowed ('x' was unexpected)"
            ),
        ),
    ),
}


@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_body(cloud: Cloud, active: str, body: Any, expected: tuple[int, str]) -> None:
    said = cloud.ask("POST", f"/servers/{active}/action", body)

    assert said.short == expected


@pytest.mark.parametrize("data", ["{", ""], ids=["half", "none"])
def test_not_json(cloud: Cloud, active: str, data: str) -> None:
    assert cloud.ask("POST", f"/servers/{active}/action", data=data).short == MALFORMED


def test_nothing_of_that_touched_the_server(cloud: Cloud, active: str) -> None:
    assert cloud.state(active) == "ACTIVE active -"
    assert [one["action"] for one in cloud.actions(active)] == ["create"]


@pytest.mark.parametrize("action", ["rescue", "unrescue"])
def test_unknown_server(cloud: Cloud, action: str) -> None:
    said = cloud.act(somewhere(), action)

    assert said.short == (404, "itemNotFound: Instance <uuid> could not be found.")


def test_server_id_nonsense(cloud: Cloud) -> None:
    said = cloud.rescue("nonsense")

    assert said.short == (404, "itemNotFound: Instance nonsense could not be found.")


def test_bad_body_comes_before_unknown_server(cloud: Cloud) -> None:
    assert cloud.act(somewhere(), "rescue", 5).status == 400
