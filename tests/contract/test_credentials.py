"""What Keystone tells of an application credential to whoever uses it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.contract.clouds import Cloud
from tests.contract.test_who_may import AUTHENTICATE, by_credential, sign_in

LISTING = {"service": "compute", "method": "GET", "path": "/v2.1/servers/**"}


@pytest.fixture
def made(cloud: Cloud) -> Iterator[Any]:
    """Make application credentials of carol's; they are deleted afterwards."""
    made: list[str] = []

    def make(**wanted: Any) -> dict[str, Any]:
        said = _ask(cloud, "POST", "", body={"application_credential": wanted})
        assert said.status_code == 201, said.text
        shown: dict[str, Any] = said.json()["application_credential"]
        made.append(shown["id"])
        return shown

    yield make
    for ident in made:
        _ask(cloud, "DELETE", f"/{ident}")


def _ask(cloud: Cloud, method: str, path: str, *, body: Any = None, token: str = "") -> Any:
    carol = cloud.as_("carol")
    url = carol.config.get_auth_args()["auth_url"]
    user = carol.session.auth.get_access(carol.session).user_id
    return requests.request(
        method,
        f"{url}/users/{user}/application_credentials{path}",
        json=body,
        headers={"X-Auth-Token": token or carol.auth_token},
        timeout=30,
    )


def told(cloud: Cloud, one: dict[str, Any]) -> tuple[Any, str]:
    """Sign in with it; return the token's body and the token."""
    answer = sign_in(cloud, by_credential(one["id"], one["secret"]))
    assert answer.status_code == 201, answer.text
    return answer.json()["token"], answer.headers["X-Subject-Token"]


def test_it_reads_about_itself(cloud: Cloud, made: Any) -> None:
    one = made(name="contract-plain", expires_at="2099-01-02T03:04:05")
    token, value = told(cloud, one)

    assert token["application_credential"] == {
        "id": one["id"], "name": "contract-plain", "restricted": True,
    }  # fmt: skip
    said = _ask(cloud, "GET", f"/{one['id']}", token=value)
    assert said.status_code == 200
    shown = said.json()["application_credential"]
    assert set(shown) == set(one) - {"secret"}
    assert shown["expires_at"] == "2099-01-02T03:04:05.000000"
    assert shown["unrestricted"] is None and shown["project_id"] == token["project"]["id"]
    assert {role["name"] for role in shown["roles"]} == {"reader", "member"}


def test_an_unrestricted_one_says_so(cloud: Cloud, made: Any) -> None:
    token, _value = told(cloud, made(name="contract-free", unrestricted=True))

    assert token["application_credential"]["restricted"] is False


def test_fewer_roles(cloud: Cloud, made: Any) -> None:
    token, _value = told(cloud, made(name="contract-reader", roles=[{"name": "reader"}]))

    assert [role["name"] for role in token["roles"]] == ["reader"]


def test_access_rules_are_in_the_token_and_hide_the_rest(cloud: Cloud, made: Any) -> None:
    one = made(name="contract-rules", access_rules=[LISTING])
    token, value = told(cloud, one)

    (rule,) = token["application_credential"]["access_rules"]
    assert {name: rule[name] for name in LISTING} == LISTING and set(rule) - set(LISTING) == {"id"}
    assert _ask(cloud, "GET", f"/{one['id']}", token=value).status_code == 401


def test_no_rules_are_no_rules(cloud: Cloud, made: Any) -> None:
    token, _value = told(cloud, made(name="contract-none", access_rules=[]))

    assert "access_rules" not in token["application_credential"]


def test_a_rule_for_keystone_lets_it_read_about_itself(cloud: Cloud, made: Any) -> None:
    path = "/v3/users/*/application_credentials/*"
    identity = {"service": "identity", "method": "GET", "path": path}
    one = made(name="contract-itself", access_rules=[LISTING, identity])
    _token, value = told(cloud, one)

    assert _ask(cloud, "GET", f"/{one['id']}", token=value).status_code == 200


def test_it_cannot_end_in_the_past(cloud: Cloud) -> None:
    wanted = {"name": "contract-past", "expires_at": "2020-01-01T00:00:00"}
    said = _ask(cloud, "POST", "", body={"application_credential": wanted})

    assert said.status_code == 400
    assert said.json()["error"]["message"].startswith("The 'expires_at' must not be before now.")


def test_a_wrong_secret_is_like_an_expired_one(cloud: Cloud, made: Any) -> None:
    one = made(name="contract-wrong")
    said = sign_in(cloud, by_credential(one["id"], "wrong"))

    assert (said.status_code, said.json()["error"]["message"]) == (401, AUTHENTICATE)
