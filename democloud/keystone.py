"""Answer as Keystone v3 does: discovery, tokens, the catalog, projects."""

import secrets
from datetime import timedelta
from typing import Any

from starlette.routing import Route

from democloud.clock import now, precise_iso
from democloud.credentials import CLIENT_ERROR, create_credential, one_credential
from democloud.http import (
    UNAUTHORIZED,
    Answer,
    Call,
    Refusal,
    Service,
    check_token,
    keystone_error,
    revoked,
    valid_token,
)
from democloud.state import Cloud, Credential, Project, Token, User, fixed_hex

TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
DOMAIN = {"id": "default", "name": "Default"}


def _prepare(call: Call) -> None:
    if (
        call.request.url.path.rstrip("/") in ("/identity", "/identity/v3")
        or call.request.method == "POST"
    ):
        return
    check_token(call)


def _refuse(call: Call, refusal: Refusal) -> Answer:
    headers = dict(refusal.headers)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = f'Keystone uri="{call.base}/identity/v3"'
    title = TITLES.get(refusal.status, "Error")
    return Answer(
        refusal.status, keystone_error(refusal.status, title, refusal.message), headers=headers
    )


def _mark(call: Call) -> dict[str, str]:
    return {"Vary": "X-Auth-Token", "x-openstack-request-id": call.request_id}


def _version(call: Call) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{call.base}/identity/v3/"}],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}
        ],
    }


def versions(call: Call) -> Answer:
    """Answer at the root: which versions there are."""
    location = {"Location": f"{call.base}/identity/v3/"}
    return Answer(300, {"versions": {"values": [_version(call)]}}, headers=location)


def version(call: Call) -> Answer:
    """Answer at /v3."""
    return Answer(200, {"version": _version(call)})


def _endpoint(kind: str, region: str, url: str) -> list[dict[str, str]]:
    return [
        {
            "id": fixed_hex("endpoint", kind, region, interface),
            "interface": interface,
            "region": region,
            "region_id": region,
            "url": url,
        }
        for interface in ("public", "internal")
    ]


def catalog(call: Call) -> list[dict[str, Any]]:
    """Return all services of all regions."""
    services = {
        ("compute", "nova"): "{base}/{slug}/compute/v2.1",
        ("identity", "keystone"): "{base}/identity/v3",
        ("image", "glance"): "{base}/{slug}/image",
        ("network", "neutron"): "{base}/{slug}/network",
    }
    found = []
    for (kind, name), url in services.items():
        endpoints = [
            endpoint
            for region in call.cloud.regions.values()
            for endpoint in _endpoint(
                kind, region.name, url.format(base=call.base, slug=region.slug)
            )
        ]
        found.append(
            {"type": kind, "name": name, "id": fixed_hex("service", kind), "endpoints": endpoints}
        )
    return found


def _token_body(call: Call, token: Token) -> dict[str, Any]:
    user = call.cloud.users[token.user_id]
    body: dict[str, Any] = {
        "methods": list(token.methods),
        "user": {"domain": DOMAIN, "id": user.id, "name": user.name, "password_expires_at": None},
        "audit_ids": [token.id[-22:]],
        "expires_at": precise_iso(token.expires_at),
        "issued_at": precise_iso(token.issued_at),
    }
    if token.project_id:
        project = call.cloud.projects[token.project_id]
        body["project"] = {"domain": DOMAIN, "id": project.id, "name": project.name}
        body["is_domain"] = False
        body["roles"] = [{"id": fixed_hex("role", role), "name": role} for role in token.roles]
        body["catalog"] = catalog(call)
    if token.credential_id:
        body["application_credential"] = _told(call.cloud, token.credential_id)
    return body


def _told(cloud: Cloud, ident: str) -> dict[str, Any]:
    """Return what a token says of its application credential."""
    found = cloud.credentials.get(ident)
    told: dict[str, Any] = {"id": ident, "name": found.name if found else ""}
    told["restricted"] = not (found and found.unrestricted)
    if found and found.access_rules is not None:
        told["access_rules"] = list(found.access_rules)
    return told


def _find_user(cloud: Cloud, wanted: dict[str, Any]) -> User | None:
    if "id" in wanted:
        return cloud.users.get(wanted["id"])
    domain = wanted.get("domain", DOMAIN)
    if domain.get("id", DOMAIN["id"]) != DOMAIN["id"] or domain.get("name", "Default") != "Default":
        return None
    return cloud.user_named(wanted.get("name", ""))


def _by_password(cloud: Cloud, given: dict[str, Any]) -> User:
    wanted = given.get("user", {})
    user = _find_user(cloud, wanted)
    if user is None or not secrets.compare_digest(
        user.password.encode(), str(wanted.get("password")).encode()
    ):
        raise Refusal(401, UNAUTHORIZED)
    if not user.enabled:
        raise Refusal(401, UNAUTHORIZED)
    if user.password_expired:
        raise Refusal(401, f"The password is expired and needs to be changed for user: {user.id}.")
    return user


def _by_credential(cloud: Cloud, given: dict[str, Any]) -> tuple[User, Credential]:
    found = cloud.credentials.get(given.get("id", ""))
    if found is None and "name" in given:
        user = _find_user(cloud, given.get("user", {}))
        mine = (c for c in cloud.credentials.values() if user and c.user_id == user.id)
        found = next((c for c in mine if c.name == given["name"]), None)
    if found is None or revoked(cloud, found.id):
        raise Refusal(
            404, f"Could not find Application Credential: {given.get('id', given.get('name'))}."
        )
    if not secrets.compare_digest(found.secret.encode(), str(given.get("secret")).encode()):
        raise Refusal(401, UNAUTHORIZED)
    if found.expires_at and found.expires_at <= now():
        raise Refusal(401, UNAUTHORIZED)
    return cloud.users[found.user_id], found


def _by_token(cloud: Cloud, given: dict[str, Any]) -> User:
    token = valid_token(cloud, given.get("id", ""))
    if token is None:
        raise Refusal(401, UNAUTHORIZED)
    return cloud.users[token.user_id]


def _scope(cloud: Cloud, user: User, wanted: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(wanted, dict) or "project" not in wanted:
        return "", ()
    project: Project | None
    if "id" in wanted["project"]:
        project = cloud.projects.get(wanted["project"]["id"])
    else:
        project = cloud.project_named(wanted["project"].get("name", ""))
    if project is None or not user.roles.get(project.id):
        raise Refusal(401, UNAUTHORIZED)
    return project.id, user.roles[project.id]


def _read_auth(call: Call) -> dict[str, Any]:
    body = call.json()
    if not isinstance(body, dict) or not isinstance(body.get("auth"), dict):
        raise Refusal(400, "Expecting to find auth in request body." + CLIENT_ERROR)
    auth: dict[str, Any] = body["auth"]
    if not isinstance(auth.get("identity"), dict):
        raise Refusal(400, "'identity' is a required property")
    return auth


def issue_token(call: Call) -> Answer:
    """Give a token to who proves to be somebody."""
    auth = _read_auth(call)
    identity = auth["identity"]
    methods = tuple(identity.get("methods", ()))
    method = methods[0] if methods else "nothing"
    if method not in ("password", "application_credential", "token") or method not in identity:
        raise Refusal(400, f"Expecting to find {method} in identity." + CLIENT_ERROR)
    credential_id = ""
    if method == "application_credential":
        user, credential = _by_credential(call.cloud, identity[method])
        project_id, roles, credential_id = credential.project_id, credential.roles, credential.id
    else:
        user = (_by_password if method == "password" else _by_token)(call.cloud, identity[method])
        project_id, roles = _scope(call.cloud, user, auth.get("scope"))
    ends = now() + timedelta(seconds=call.cloud.knobs.token_seconds)
    if credential_id and (last := call.cloud.credentials[credential_id].expires_at):
        ends = min(ends, last)
    token = Token(
        id="gAAAAABrd" + secrets.token_urlsafe(130),
        user_id=user.id,
        project_id=project_id,
        roles=roles,
        methods=methods,
        issued_at=now(),
        expires_at=ends,
        credential_id=credential_id,
    )
    call.cloud.tokens[token.id] = token
    return Answer(201, {"token": _token_body(call, token)}, headers={"X-Subject-Token": token.id})


def _subject(call: Call) -> Token:
    wanted = call.request.headers.get("x-subject-token", "")
    token = valid_token(call.cloud, wanted)
    if token is None:
        known = wanted.startswith("gAAAA")
        raise Refusal(
            404, "Failed to validate token" if known else "Could not recognize Fernet token"
        )
    return token


def show_token(call: Call) -> Answer:
    """Tell what a token is worth."""
    token = _subject(call)
    return Answer(200, {"token": _token_body(call, token)}, headers={"X-Subject-Token": token.id})


def revoke_token(call: Call) -> Answer:
    """Make a token worth nothing."""
    del call.cloud.tokens[_subject(call).id]
    return Answer(204)


def show_catalog(call: Call) -> Answer:
    """Return the catalog alone."""
    links = {"next": None, "self": f"{call.base}/identity/v3/auth/catalog", "previous": None}
    return Answer(200, {"catalog": catalog(call), "links": links})


def _project(call: Call, project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": "default",
        "description": project.description,
        "enabled": True,
        "parent_id": "default",
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": {"self": f"{call.base}/identity/v3/projects/{project.id}"},
    }


def my_projects(call: Call) -> Answer:
    """Return the projects the caller has a role in."""
    user = call.cloud.users[call.who.user_id]
    found = [_project(call, call.cloud.projects[one]) for one in user.roles]
    return Answer(
        200,
        {
            "projects": found,
            "links": {"next": None, "self": str(call.request.url), "previous": None},
        },
    )


def show_project(call: Call) -> Answer:
    """Return a project, to those who have a role in it."""
    project = call.cloud.projects.get(call.param("id"))
    if project is None or not (call.is_admin or call.who.project_id == project.id):
        raise Refusal(
            403, "You are not authorized to perform the requested action: identity:get_project."
        )
    return Answer(200, {"project": _project(call, project)})


def show_user(call: Call) -> Answer:
    """Return a user, to who it is."""
    user = call.cloud.users.get(call.param("id"))
    if user is None or user.id != call.who.user_id:
        raise Refusal(
            403, "You are not authorized to perform the requested action: identity:get_user."
        )
    shown: dict[str, Any] = {"email": user.email} if user.email else {}
    shown |= {
        "id": user.id,
        "name": user.name,
        "domain_id": DOMAIN["id"],
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": {},
        "links": {"self": f"{call.base}/identity/v3/users/{user.id}"},
    }
    return Answer(200, {"user": shown})


SERVICE = Service("keystone", _prepare, _refuse, _mark)
TOKENS = {"GET": show_token, "HEAD": show_token, "POST": issue_token, "DELETE": revoke_token}


def _tokens(call: Call) -> Answer:
    return TOKENS[call.request.method](call)


def _checked(call: Call) -> Answer:
    check_token(call)
    return create_credential(call)


ROUTES = [
    Route("/identity", SERVICE.endpoint(versions)),
    Route("/identity/", SERVICE.endpoint(versions)),
    Route("/identity/v3", SERVICE.endpoint(version)),
    Route("/identity/v3/", SERVICE.endpoint(version)),
    Route("/identity/v3/auth/tokens", SERVICE.endpoint(_tokens), methods=list(TOKENS)),
    Route("/identity/v3/auth/catalog", SERVICE.endpoint(show_catalog)),
    Route("/identity/v3/auth/projects", SERVICE.endpoint(my_projects)),
    Route("/identity/v3/projects", SERVICE.endpoint(my_projects)),
    Route("/identity/v3/projects/{id}", SERVICE.endpoint(show_project)),
    Route("/identity/v3/users/{id}", SERVICE.endpoint(show_user)),
    Route(
        "/identity/v3/users/{user}/application_credentials",
        SERVICE.endpoint(_checked),
        methods=["POST"],
    ),
    Route(
        "/identity/v3/users/{user}/application_credentials/{id}",
        SERVICE.endpoint(one_credential),
        methods=["GET", "DELETE"],
    ),
]
