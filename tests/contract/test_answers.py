"""What rescue answers, and which passwords it takes."""

import re

import pytest
import requests

from tests.contract.clouds import Cloud

GENERATED = re.compile(r"[A-Za-z0-9]{12}")


@pytest.mark.parametrize("body", [None, {}], ids=["null", "empty"])
def test_without_password_nova_makes_one(cloud: Cloud, active: str, body: object) -> None:
    said = cloud.act(active, "rescue", body)

    assert said.status == 200
    assert list(said.body) == ["adminPass"]
    assert GENERATED.fullmatch(said.body["adminPass"])
    assert cloud.settle(active) == "RESCUE rescued -"


@pytest.mark.parametrize("version", ["2.1", "2.87", "2.104"])
def test_image_alone_in_each_microversion(cloud: Cloud, active: str, version: str) -> None:
    said = cloud.rescue(active, version=version, rescue_image_ref=cloud.keeping)

    assert said.status == 200
    assert GENERATED.fullmatch(said.body["adminPass"])
    assert cloud.settle(active) == "RESCUE rescued -"


def test_unrescue_answers_nothing(cloud: Cloud, rescued: str) -> None:
    said = cloud.act(rescued, "unrescue")

    assert said.short == (202, "")
    assert cloud.settle(rescued) == "ACTIVE active -"


PASSWORDS = {
    "empty": "",
    "one character": "a",
    "300 characters": "x" * 300,
    "accents and emoji": "pâ55-🔑",
    "line feed": "a\nb",
}


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_any_text_is_a_password(cloud: Cloud, active: str, password: str) -> None:
    said = cloud.rescue(active, adminPass=password)

    assert (said.status, said.body) == (200, {"adminPass": password})
    assert cloud.settle(active) == "RESCUE rescued -"


@pytest.mark.parametrize(("value", "shown"), [(1234, "1234"), (None, "None"), (["x"], "['x']")])
def test_other_than_text_is_refused(cloud: Cloud, active: str, value: object, shown: str) -> None:
    said = cloud.act(active, "rescue", {"adminPass": value})

    sentence = f"Value: {shown}. {shown} is not of type 'string'"
    assert said.short == (
        400,
        f"badRequest: Invalid input for field/attribute adminPass. {sentence}",
    )
    assert cloud.state(active) == "ACTIVE active -"


@pytest.mark.parametrize("body", [None, {"adminPass": "Own-1"}], ids=["null", "own"])
def test_passwords_can_be_turned_off(cloud: Cloud, active: str, body: object, quiet: str) -> None:
    answer = requests.post(
        f"{quiet}/servers/{active}/action",
        json={"rescue": body},
        headers={"X-Auth-Token": cloud.as_("carol").auth_token},
        timeout=60,
    )

    assert (answer.status_code, answer.json()) == (200, {})
    assert cloud.settle(active) == "RESCUE rescued -"


@pytest.fixture(scope="module")
def quiet(cloud: Cloud):
    """Serve with enable_instance_password off."""
    with cloud.without_passwords() as url:
        yield url
