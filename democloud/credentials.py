"""Keystone's application credentials: made, shown, deleted."""

import secrets
from datetime import datetime
from typing import Any

from democloud.clock import now, parse, precise_iso
from democloud.http import Answer, Call, Refusal
from democloud.state import Credential, fixed_hex

CLIENT_ERROR = (
    " The server could not comply with the request since it is either malformed or otherwise"
    " incorrect. The client is assumed to be in error."
)


def _forbidden(what: str) -> Refusal:
    message = f"You are not authorized to perform the requested action: identity:{what}."
    return Refusal(403, message)


def create_credential(call: Call) -> Answer:
    """Make an application credential, with the roles of the token or fewer."""
    wanted = (call.json() or {}).get("application_credential", {})
    if call.param("user") != call.who.user_id:
        raise _forbidden("create_application_credential")
    asked = [role["name"] for role in wanted.get("roles") or ()]
    rules = wanted.get("access_rules") or None  # none at all and an empty list are the same
    made = Credential(
        secrets.token_hex(16),
        wanted["name"],
        wanted.get("secret") or secrets.token_urlsafe(64),
        call.who.user_id,
        call.who.project_id,
        tuple(role for role in call.who.roles if not asked or role in asked),
        _ending(wanted.get("expires_at")),
        wanted.get("unrestricted"),
        rules and tuple({"id": secrets.token_hex(16), **rule} for rule in rules),
    )
    call.cloud.credentials[made.id] = made
    shown = _credential(call, made) | {"secret": made.secret}
    return Answer(201, {"application_credential": shown})


def _ending(text: str | None) -> datetime | None:
    if not text:
        return None
    ending = parse(text)
    if ending <= now():
        raise Refusal(400, "The 'expires_at' must not be before now." + CLIENT_ERROR)
    return ending


def _credential(call: Call, one: Credential) -> dict[str, Any]:
    roles = [
        {
            "id": fixed_hex("role", role),
            "name": role,
            "domain_id": None,
            "description": None,
            "options": {"immutable": True},
        }
        for role in one.roles
    ]
    shown: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "description": None,
        "user_id": one.user_id,
        "project_id": one.project_id,
        "system": None,
        "expires_at": precise_iso(one.expires_at).removesuffix("Z") if one.expires_at else None,
        "unrestricted": one.unrestricted,
        "roles": roles,
        "links": {"self": f"{call.base}/identity/v3/application_credentials/{one.id}"},
    }
    return shown if one.access_rules is None else shown | {"access_rules": list(one.access_rules)}


def show_credential(call: Call) -> Answer:
    """Tell what an application credential is; its secret never again."""
    found = call.cloud.credentials.get(call.param("id"))
    if found is None:
        raise Refusal(404, f"Could not find Application Credential: {call.param('id')}.")
    if not (call.is_admin or call.who.user_id == found.user_id == call.param("user")):
        raise _forbidden("get_application_credential")
    return Answer(200, {"application_credential": _credential(call, found)})


def delete_credential(call: Call) -> Answer:
    """Delete an application credential; tokens made with it live on, as Nova caches them."""
    if call.cloud.credentials.pop(call.param("id"), None) is None:
        raise Refusal(404, f"Could not find Application Credential: {call.param('id')}.")
    return Answer(204)


def one_credential(call: Call) -> Answer:
    """Answer about one of them."""
    return (show_credential if call.request.method == "GET" else delete_credential)(call)
