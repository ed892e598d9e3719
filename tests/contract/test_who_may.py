"""Who may do what, and how one signs in."""

from typing import Any

import pytest
import requests

from tests.contract.clouds import Cloud, plain

AUTHENTICATE = "The request you have made requires authentication."
NO_TOKEN = {"error": {"code": 401, "message": AUTHENTICATE, "title": "Unauthorized"}}


@pytest.fixture(scope="module")
def bobs(cloud: Cloud) -> str:
    """Return a server of project beta."""
    return cloud.boot("beta", "bob")


@pytest.mark.parametrize("action", ["rescue", "unrescue", "lock", "os-getConsoleOutput"])
def test_another_project_is_nowhere(cloud: Cloud, bobs: str, action: str) -> None:
    said = cloud.act(bobs, action, {} if action == "os-getConsoleOutput" else None)

    assert said.short == (404, "itemNotFound: Instance <uuid> could not be found.")


POLICIES = {
    "rescue": (None, "os-rescue"),
    "unrescue": (None, "os-unrescue"),
    "reboot": ({"type": "HARD"}, "servers:reboot"),
    "os-stop": (None, "servers:stop"),
    "os-start": (None, "servers:start"),
    "pause": (None, "os-pause-server:pause"),
    "suspend": (None, "os-suspend-server:suspend"),
    "shelve": (None, "os-shelve:shelve"),
    "lock": (None, "os-lock-server:lock"),
    "unlock": (None, "os-lock-server:unlock"),
    "os-getConsoleOutput": ({}, "os-console-output"),
    "createImage": ({"name": "x"}, "servers:create_image"),
}


@pytest.mark.parametrize("action", POLICIES)
def test_reader_may_not(cloud: Cloud, bobs: str, action: str) -> None:
    value, policy = POLICIES[action]

    said = cloud.act(bobs, action, value, by="rita-beta")

    sentence = f"Policy doesn't allow os_compute_api:{policy} to be performed."
    assert said.short == (403, f"forbidden: {sentence}")


def test_reader_may_not_delete(cloud: Cloud, bobs: str) -> None:
    said = cloud.ask("DELETE", f"/servers/{bobs}", by="rita-beta")

    sentence = "Policy doesn't allow os_compute_api:servers:delete to be performed."
    assert said.short == (403, f"forbidden: {sentence}")


@pytest.mark.parametrize("path", ["", "/os-instance-actions", "/metadata", "/ips", "/tags"])
def test_reader_may_look(cloud: Cloud, bobs: str, path: str) -> None:
    assert cloud.ask("GET", f"/servers/{bobs}{path}", by="rita-beta").status == 200


def test_reader_lists(cloud: Cloud, bobs: str) -> None:
    listed = cloud.ask("GET", "/servers", by="rita-beta").body["servers"]

    assert bobs in [one["id"] for one in listed]


def test_admin_rescues_owner_unrescues(cloud: Cloud, bobs: str) -> None:
    assert cloud.rescue(bobs, by="admin").status == 200
    assert cloud.settle(bobs, "bob") == "RESCUE rescued -"

    action = cloud.actions(bobs, by="bob")[0]
    assert action["user_id"] == cloud.as_("admin").current_user_id, "the admin's own id"
    assert action["project_id"] == cloud.as_("admin").current_project_id
    assert cloud.act(bobs, "unrescue", by="bob").short == (202, "")
    assert cloud.settle(bobs, "bob") == "ACTIVE active -"


@pytest.mark.parametrize("token", [{}, {"X-Auth-Token": "garbage"}], ids=["none", "garbage"])
def test_nova_wants_a_token(cloud: Cloud, token: dict[str, str]) -> None:
    url = cloud.as_("carol").endpoint_for("compute")

    answer = requests.get(f"{url}/servers", headers=token, timeout=30)

    assert (answer.status_code, answer.json()) == (401, NO_TOKEN)
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def sign_in(cloud: Cloud, identity: dict[str, Any], project: str | None = None) -> Any:
    auth: dict[str, Any] = {"identity": identity}
    if project:
        auth["scope"] = {"project": {"name": project, "domain": {"name": "Default"}}}
    url = cloud.as_("carol").config.get_auth_args()["auth_url"]
    return requests.post(f"{url}/auth/tokens", json={"auth": auth}, timeout=30)


def by_password(name: str, password: str) -> dict[str, Any]:
    user = {"name": name, "password": password, "domain": {"name": "Default"}}
    return {"methods": ["password"], "password": {"user": user}}


def by_credential(ident: str, secret: str) -> dict[str, Any]:
    given = {"id": ident, "secret": secret}
    return {"methods": ["application_credential"], "application_credential": given}


def test_right_password(cloud: Cloud) -> None:
    answer = sign_in(cloud, by_password("carol", "lab"), "gamma")

    assert answer.status_code == 201
    token = answer.json()["token"]
    assert token["user"]["name"] == "carol"
    assert token["project"]["name"] == "gamma"
    assert {one["name"] for one in token["roles"]} == {"reader", "member"}
    types = {one["type"] for one in token["catalog"]}
    assert {"compute", "identity", "image", "network"} <= types
    assert {"methods", "user", "audit_ids", "expires_at", "issued_at", "is_domain"} <= set(token)
    assert answer.headers["X-Subject-Token"].startswith("gAAAA")


def test_unscoped_token_has_no_catalog(cloud: Cloud) -> None:
    token = sign_in(cloud, by_password("carol", "lab")).json()["token"]

    assert set(token) == {"methods", "user", "audit_ids", "expires_at", "issued_at"}


REFUSED = {
    "wrong password": (by_password("carol", "no"), "gamma"),
    "unknown user": (by_password("nemo", "lab"), "gamma"),
    "no role": (by_password("nobody", "lab"), "gamma"),
    "unknown project": (by_password("carol", "lab"), "nope"),
    "another project": (by_password("carol", "lab"), "alpha"),
}


@pytest.mark.parametrize(("identity", "project"), REFUSED.values(), ids=REFUSED)
def test_refused_alike(cloud: Cloud, identity: dict[str, Any], project: str) -> None:
    answer = sign_in(cloud, identity, project)

    assert (answer.status_code, answer.json()) == (401, NO_TOKEN)


def test_unknown_method(cloud: Cloud) -> None:
    answer = sign_in(cloud, {"methods": ["magic"]})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Expecting to find magic in identity.")


def test_application_credential(cloud: Cloud) -> None:
    carol = cloud.as_("carol")
    user = carol.current_user_id
    made = carol.identity.create_application_credential(user, f"contract-{id(cloud)}")

    wrong = sign_in(cloud, by_credential(made.id, "wrong"))
    assert (wrong.status_code, wrong.json()) == (401, NO_TOKEN)
    right = sign_in(cloud, by_credential(made.id, made.secret))
    assert right.status_code == 201
    assert right.json()["token"]["project"]["name"] == "gamma"
    token = right.headers["X-Subject-Token"]
    url = f"{carol.endpoint_for('compute')}/servers"
    assert requests.get(url, headers={"X-Auth-Token": token}, timeout=30).status_code == 200

    carol.identity.delete_application_credential(user, made)
    gone = sign_in(cloud, by_credential(made.id, made.secret))
    assert gone.status_code == 404
    said = plain(gone.json()["error"]["message"])
    assert said == "Could not find Application Credential: <id>."
    after = requests.get(url, headers={"X-Auth-Token": token}, timeout=30)
    assert after.status_code == 200, "Nova goes on taking its token"


def test_revoked_token(cloud: Cloud) -> None:
    session = cloud.connect("carol")
    token, url = session.auth_token, session.endpoint_for("compute")
    identity = session.config.get_auth_args()["auth_url"]
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}

    assert (
        requests.delete(f"{identity}/auth/tokens", headers=headers, timeout=30).status_code == 204
    )

    answer = requests.get(f"{url}/servers", headers={"X-Auth-Token": token}, timeout=30)
    assert (answer.status_code, answer.json()) == (401, NO_TOKEN)


@pytest.mark.parametrize("domain", [{"name": "Nowhere"}, {"id": "nowhere"}])
def test_a_user_of_another_domain_is_another(cloud: Cloud, domain: dict[str, str]) -> None:
    identity = by_password("carol", "lab")
    identity["password"]["user"]["domain"] = domain
    answer = sign_in(cloud, identity)

    assert (answer.status_code, answer.json()) == (401, NO_TOKEN)


def test_a_user_without_a_project_reads_about_itself_alone(cloud: Cloud) -> None:
    answer = sign_in(cloud, by_password("carol", "lab"))
    carol, bob = (
        sign_in(cloud, by_password(name, "lab")).json()["token"]["user"]["id"]
        for name in ("carol", "bob")
    )
    url = cloud.as_("carol").config.get_auth_args()["auth_url"]
    token = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    own, other = (
        requests.get(f"{url}/users/{ident}", headers=token, timeout=30) for ident in (carol, bob)
    )

    assert own.status_code == 200
    known = {"id": carol, "name": "carol", "email": "carol@example.org", "enabled": True}
    assert known.items() <= own.json()["user"].items()
    assert set(own.json()["user"]) == {
        "id", "name", "email", "enabled", "domain_id", "password_expires_at", "options", "links"
    }  # fmt: skip
    sentence = "You are not authorized to perform the requested action: identity:get_user."
    assert other.json()["error"] == {"code": 403, "message": sentence, "title": "Forbidden"}
