"""List servers: filters, order, pages, and what Nova says to a query it does not know."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial

from starlette.datastructures import QueryParams

from democloud import nova_views
from democloud.clock import parse
from democloud.http import Call, Refusal
from democloud.nova_base import demand, invalid_query
from democloud.state import Server

MOST_PER_PAGE = 1000
TRUE_WORDS = ("1", "t", "true", "on", "y", "yes")
FILTERS = (
    "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants", "ip6", "tags",
    "tags-any", "not-tags", "not-tags-any", "changes-before", "locked", "availability_zone",
    "config_drive", "key_name", "created_at", "launched_at", "terminated_at", "power_state",
    "task_state", "vm_state", "progress", "user_id", "hostname",
)  # fmt: skip
FOR_ADMINS = (
    "host",
    "hostname",
    "deleted",
    "project_id",
    "tenant_id",
    "node",
    "reservation_id",
    "uuid",
    "description",
)
PAGING = ("limit", "marker", "sort_key", "sort_dir")
SORT_KEYS = {
    "created_at": "created",
    "updated_at": "updated",
    "display_name": "name",
    "uuid": "id",
    "vm_state": "vm_state",
    "task_state": "task_state",
    "launched_at": "launched_at",
    "power_state": "power_state",
    "image_ref": "image_id",
    "key_name": "key_name",
    "user_id": "user_id",
    "project_id": "project_id",
    "host": "region",
}
EQUAL = {
    "image": "image_id",
    "task_state": "task_state",
    "vm_state": "vm_state",
    "power_state": "power_state",
    "key_name": "key_name",
    "user_id": "user_id",
    "hostname": "hostname",
}
Test = Callable[[Server], bool]


def _check_query(call: Call, query: QueryParams) -> None:
    for name, value in query.multi_items():
        if name not in (*FILTERS, *FOR_ADMINS, *PAGING) and not name.startswith("_"):
            if call.version >= (2, 75):
                raise Refusal(400, f"{name!r} does not match any of the regexes: '^_'")
        elif name == "limit" and not re.fullmatch(r"[0-9]*", value):
            raise invalid_query(name, value, f"{value!r} does not match '^[0-9]*$'")
        elif name in ("changes-since", "changes-before"):
            check_time(name, value)
        elif name == "name":
            _check_regex(name, value)
        elif name == "sort_key" and value not in SORT_KEYS:
            raise invalid_query(name, value, f"{value!r} is not one of {list(SORT_KEYS)}")
        elif name == "sort_dir" and value not in ("asc", "desc"):
            raise Refusal(
                400, "Invalid input received: Unknown sort direction, must be 'desc' or 'asc'"
            )


def check_time(name: str, value: str) -> datetime:
    """Read a time of a query."""
    try:
        return parse(value)
    except ValueError:
        raise invalid_query(name, value, f"{value!r} is not a 'date-time'") from None


def _check_regex(name: str, value: str) -> None:
    try:
        re.compile(value)
    except re.error:
        raise invalid_query(name, value, f"{value!r} is not a 'regex'") from None


def _status_test(call: Call, wanted: list[str]) -> Test:
    asked = {one.lower() for one in wanted}
    states = {state for state, status in nova_views.STATUS.items() if status.lower() in asked}
    pairs = {pair for pair, status in nova_views.BUSY_STATUS.items() if status.lower() in asked}
    if not states and not pairs:
        if call.version >= (2, 38):
            raise Refusal(400, "Invalid status value")
        return lambda _server: False
    if states == {"deleted"} and not call.is_admin:
        raise Refusal(403, "Only administrators may list deleted instances")
    return lambda server: server.vm_state in states or (server.vm_state, server.task_state) in pairs


def _tests(call: Call, query: QueryParams) -> list[Test]:
    tests: list[Test] = []
    if "status" in query:
        tests.append(_status_test(call, query.getlist("status")))
    if "name" in query:
        pattern = re.compile(query["name"], re.IGNORECASE)
        tests.append(lambda server: bool(pattern.search(server.name)))
    if "changes-since" in query:
        since = parse(query["changes-since"])
        tests.append(lambda server: server.updated >= since)
    if "changes-before" in query:
        before = parse(query["changes-before"])
        tests.append(lambda server: server.updated <= before)
    return tests + _equal_tests(call, query)


def _one_of(attribute: str, wanted: list[str]) -> Test:
    return lambda server: str(getattr(server, attribute)) in wanted


def _equal_tests(call: Call, query: QueryParams) -> list[Test]:
    tests: list[Test] = []
    for name, attribute in EQUAL.items():
        if name in query and (
            name in ("image", "user_id") or call.version >= (2, 83) or call.is_admin
        ):
            tests.append(_one_of(attribute, query.getlist(name)))
    if "flavor" in query:
        tests.append(lambda server: server.flavor.id == query["flavor"])
    if "ip" in query:
        pattern = re.compile(query["ip"])
        tests.append(lambda server: any(pattern.search(one.address) for one in server.addresses))
    if "locked" in query and call.version >= (2, 73):
        locked = query["locked"].lower() in TRUE_WORDS
        tests.append(lambda server: (server.locked_by is not None) == locked)
    return tests


def _wants_deleted(call: Call, query: QueryParams) -> bool | None:
    """Tell whether deleted servers are wanted: yes, no, or both (None)."""
    if call.is_admin and "deleted" in query:
        return query["deleted"].lower() in TRUE_WORDS
    if call.is_admin and query.getlist("status") == ["DELETED"]:
        return True
    return None if "changes-since" in query or "changes-before" in query else False


def _ordered(servers: list[Server], query: QueryParams) -> list[Server]:
    keys, directions = query.getlist("sort_key") or ["created_at"], query.getlist("sort_dir")
    default = directions[0] if directions else "desc"
    servers.sort(key=lambda server: server.id, reverse=default == "desc")
    for number in reversed(range(len(keys))):
        attribute = SORT_KEYS[keys[number]]
        direction = directions[number] if number < len(directions) else default
        servers.sort(key=partial(_sortable, attribute=attribute), reverse=direction == "desc")
    return servers


def _sortable(server: Server, attribute: str) -> tuple[bool, str]:
    value = getattr(server, attribute)
    return value is not None, str(value)


def _page(servers: list[Server], query: QueryParams) -> tuple[list[Server], bool]:
    limit = min(int(query.get("limit") or MOST_PER_PAGE), MOST_PER_PAGE)
    marker = query.get("marker")
    if marker is not None:
        at = next((number for number, server in enumerate(servers) if server.id == marker), None)
        if at is None:
            raise Refusal(400, f"marker [{marker}] not found")
        servers = servers[at + 1 :]
    page = servers[:limit]
    return page, bool(page) and len(page) == limit


def find(call: Call, *, policy: str) -> tuple[list[Server], bool]:
    """Return one page of the servers that are asked for, and whether there may be more."""
    query = call.request.query_params
    _check_query(call, query)
    tests = _tests(call, query)
    everybody = query.get("all_tenants", "0").lower() in TRUE_WORDS
    if everybody:
        demand(call, f"servers:{policy}:get_all_tenants", allowed=call.is_admin)
    deleted, project = _wants_deleted(call, query), call.who.project_id
    found = [
        server
        for server in call.region.servers.values()
        if (everybody or server.project_id == project)
        and (deleted is None or server.deleted == deleted)
        and all(test(server) for test in tests)
    ]
    return _page(_ordered(found, query), query)


def next_link(call: Call, path: str, marker: str) -> list[dict[str, str]]:
    """Return the link to the page after this marker."""
    query = [(k, v) for k, v in call.request.query_params.multi_items() if k != "marker"]
    written = "&".join(f"{key}={value}" for key, value in [*query, ("marker", marker)])
    href = f"{call.base}/{call.region.slug}/compute/v2.1/{path}?{written}"
    return [{"rel": "next", "href": href}]
