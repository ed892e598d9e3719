"""Do what all of Nova's answers share: microversions, refusals, policies, finding a server."""

import re

from democloud.http import Answer, Call, Refusal, Service, check_token, keystone_error, note
from democloud.state import Server

LOWEST, HIGHEST = (2, 1), (2, 104)
KINDS = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "computeFault",
    409: "conflictingRequest",
    413: "overLimit",
    429: "overLimit",
    500: "computeFault",
    503: "serviceUnavailable",
}
UNEXPECTED = "Unexpected API Error. Please contact the administrator\n<class '{}'>"


def written(version: tuple[int, int]) -> str:
    """Write a microversion as it stands in headers."""
    return f"{version[0]}.{version[1]}"


def read_version(call: Call) -> tuple[int, int]:
    """Read the microversion that is asked for; refuse what does not exist."""
    headers = call.request.headers
    asked = headers.get("x-openstack-nova-api-version", "")
    for part in headers.get("openstack-api-version", "").split(","):
        service, _, value = part.strip().partition(" ")
        if service == "compute" and value:
            asked = value.strip()
    if not asked:
        return LOWEST
    if asked == "latest":
        return HIGHEST
    found = re.fullmatch(r"([1-9]\d*)\.([1-9]\d*|0)", asked)
    if not found:
        form = "Must be of format MajorNum.MinorNum."
        raise Refusal(400, f"API Version String {asked} is of invalid format. {form}")
    version = int(found[1]), int(found[2])
    if not LOWEST <= version <= HIGHEST:
        span = f"Minimum is {written(LOWEST)} and maximum is {written(HIGHEST)}."
        raise Refusal(406, f"Version {asked} is not supported by the API. {span}")
    return version


def _prepare(call: Call) -> None:
    path = call.request.url.path.rstrip("/")
    if path.endswith(("/compute", "/compute/v2.1")):
        return
    wait = int(call.cloud.knobs.nova_limit_seconds)
    if wait:
        raise Refusal(429, "This request was rate-limited.", {"Retry-After": str(wait)})
    check_token(call)
    call.version = read_version(call)


def _refuse(call: Call, refusal: Refusal) -> Answer:
    if refusal.status == 401:
        body = keystone_error(401, "Unauthorized", refusal.message)
    else:
        kind = refusal.kind or KINDS.get(refusal.status, "computeFault")
        body = {kind: {"code": refusal.status, "message": refusal.message}}
        if "Retry-After" in refusal.headers:
            body[kind]["retryAfter"] = refusal.headers["Retry-After"]
    return Answer(refusal.status, body, headers=refusal.headers)


def _mark(call: Call) -> dict[str, str]:
    version = written(call.version)
    return {
        "OpenStack-API-Version": f"compute {version}",
        "X-OpenStack-Nova-API-Version": version,
        "Vary": "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
        "x-openstack-request-id": call.request_id,
        "x-compute-request-id": call.request_id,
    }


SERVICE = Service("nova", _prepare, _refuse, _mark)


def not_found(server_id: str) -> Refusal:
    """Return what is said of a server that is not there, or not yours."""
    return Refusal(404, f"Instance {server_id} could not be found.")


def find_server(call: Call, *, deleted: bool = False) -> Server:
    """Find the server of the path as its project or an admin may see it."""
    wanted = call.param("server")
    server = call.region.servers.get(wanted)
    if server is None or (server.deleted and not deleted):
        raise not_found(wanted)
    note(call, server=server.id)
    if not (call.is_admin or server.project_id == call.who.project_id):
        raise not_found(wanted)
    return server


def demand(call: Call, policy: str, *, allowed: bool | None = None) -> None:
    """Refuse who the policy does not let; by default members of the project may."""
    if not (call.is_member if allowed is None else allowed):
        raise Refusal(403, f"Policy doesn't allow os_compute_api:{policy} to be performed.")


def check_lock(call: Call, server: Server) -> None:
    """Refuse a locked server to all but admins."""
    if server.locked_by and not call.is_admin:
        raise Refusal(409, f"Instance {server.id} is locked")


def wrong_state(action: str, server: Server, attribute: str, state: str | None) -> Refusal:
    """Return Nova's sentence for a server that is in the wrong state."""
    if state is None:
        return Refusal(409, f"Instance {server.id} is in an invalid state for '{action}'")
    return Refusal(
        409, f"Cannot '{action}' instance {server.id} while it is in {attribute} {state}"
    )


def invalid(where: str, value: object, why: str) -> Refusal:
    """Return Nova's sentence for a body that its schema does not allow."""
    return Refusal(400, f"Invalid input for field/attribute {where}. Value: {value}. {why}")


def invalid_query(where: str, value: str, why: str) -> Refusal:
    """Return Nova's sentence for a query its schema does not allow."""
    return Refusal(400, f"Invalid input for query parameters {where}. Value: {value}. {why}")
