"""Do what POST /servers/{id}/action asks, or refuse it in Nova's words."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from democloud import nova_host, nova_schema, nova_views
from democloud.console import boot_text
from democloud.http import Answer, Call, Refusal, note
from democloud.nova_base import UNEXPECTED, check_lock, demand, find_server, wrong_state
from democloud.nova_host import Job, record, settle_in
from democloud.nova_rescue import rescue, unrescue
from democloud.state import Image, Server, fixed_hex, fixed_uuid

Run = Callable[[Call, Server, Any], Answer]
ACCEPTED = 202
SOMEONE_ELSE = fixed_hex("user", "someone else")


@dataclass(frozen=True)
class Action:
    """One action: who may, from which states, and what it does."""

    policy: str
    run: Run
    method: str
    states: tuple[str, ...] | None = None
    tasks: tuple[str | None, ...] | None = (None,)
    locked_too: bool = False
    admins_only: bool = False
    check: nova_schema.Check = field(default=nova_schema.anything)


def busy(task: str, event: str, name: str, end: str) -> Run:
    """Return an action that keeps the server busy for a while and ends in a state."""

    def run(call: Call, server: Server, _value: Any) -> Answer:
        server.save(task_state=task)
        action = record(call, server, name)
        nova_host.start(call, server, action, event, call.cloud.knobs.other_seconds, settle_in(end))
        return Answer(ACCEPTED)

    return run


def _reboot(call: Call, server: Server, value: Any) -> Answer:
    hard = value["type"].upper() == "HARD"
    allowed = ("active", "stopped", "paused", "suspended", "error") if hard else ("active",)
    tasks = (None, "rebooting_hard", "resuming", "unpausing", "suspending") if hard else (None,)
    check_state("reboot", server, allowed, tasks)
    task = "rebooting_hard" if hard else "rebooting"
    return busy(task, "compute_reboot_instance", "reboot", "active")(call, server, value)


def _lock(call: Call, server: Server, value: Any) -> Answer:
    owner = server.project_id == call.who.project_id
    if server.locked_by and owner:
        return Answer(ACCEPTED)
    record(call, server, "lock")
    reason = (value or {}).get("locked_reason") if call.version >= (2, 73) else None
    server.save(locked_by="owner" if owner else "admin", locked_reason=reason)
    return Answer(ACCEPTED)


def _unlock(call: Call, server: Server, _value: Any) -> Answer:
    expected = "owner" if server.project_id == call.who.project_id else "admin"
    if server.locked_by and server.locked_by != expected:
        demand(call, "os-lock-server:unlock:unlock_override", allowed=call.is_admin)
    record(call, server, "unlock")
    server.save(locked_by=None, locked_reason=None)
    return Answer(ACCEPTED)


def _resize(call: Call, server: Server, value: Any) -> Answer:
    flavor = call.region.flavors.get(value["flavorRef"])
    if flavor is None:
        raise Refusal(400, f"Flavor {value['flavorRef']} could not be found.")
    before = server.flavor

    def finish(job: Job) -> None:
        job.server.save(vm_state="resized", task_state=None, flavor=flavor, flavor_before=before)

    server.save(task_state="resize_prep")
    action = record(call, server, "resize")
    nova_host.start(
        call, server, action, "compute_finish_resize", call.cloud.knobs.other_seconds, finish
    )
    return Answer(ACCEPTED)


def _revert_resize(call: Call, server: Server, _value: Any) -> Answer:
    server.save(flavor=server.flavor_before or server.flavor)
    return busy("resize_reverting", "compute_revert_resize", "revertResize", "active")(
        call, server, None
    )


def _create_image(call: Call, server: Server, value: Any) -> Answer:
    action = record(call, server, "createImage")
    image = fixed_uuid("snapshot", call.request_id)
    origin = {"image_type": "snapshot", "base_image_ref": server.image_id}
    properties = {**server.image_properties, **origin, "instance_uuid": server.id}
    owner = call.who.project_id
    call.region.images[image] = Image(
        image, value["name"], owner, "private", status="queued",
        properties=properties, min_disk=server.flavor.disk,
    )  # fmt: skip

    def finish(job: Job) -> None:
        job.server.save(task_state=None)
        if job.cloud.knobs.fault("driver_error", server.id, server.name):
            call.region.images.pop(image, None)  # nova-compute deletes what it could not fill
            job.fail("The image could not be stored.")
        elif image in call.region.images:
            call.region.images[image].status = "active"

    server.save(task_state="image_snapshot")
    nova_host.start(
        call, server, action, "compute_snapshot_instance", call.cloud.knobs.other_seconds, finish
    )
    location = {"Location": f"{call.base}/{call.region.slug}/compute/v2.1/images/{image}"}
    return Answer(
        ACCEPTED, {"image_id": image} if call.version >= (2, 45) else None, headers=location
    )


def _rebuild(call: Call, server: Server, value: Any) -> Answer:
    server.save(image_id=value["imageRef"], disk="sound", own_disk=None)
    busy("rebuilding", "compute_rebuild_instance", "rebuild", "active")(call, server, value)
    body = nova_views.detail(call, server) | {"adminPass": secrets.token_urlsafe(9)}
    return Answer(ACCEPTED, {"server": body})


def _reset_state(call: Call, server: Server, value: Any) -> Answer:
    record(call, server, "resetState")
    server.save(vm_state=value["state"], task_state=None)
    return Answer(ACCEPTED)


def _console_output(call: Call, server: Server, value: Any) -> Answer:
    lines = boot_text(server, call.region).splitlines()
    length = value.get("length")
    count = len(lines) if length is None or int(length) < 0 else int(length)
    return Answer(
        200, {"output": "\n".join(lines[len(lines) - count :] if count < len(lines) else lines)}
    )


def _add_group(call: Call, server: Server, value: Any) -> Answer:
    if value["name"] not in server.security_groups:
        server.save(security_groups=[*server.security_groups, value["name"]])
    return Answer(ACCEPTED)


def _remove_group(call: Call, server: Server, value: Any) -> Answer:
    server.save(security_groups=[one for one in server.security_groups if one != value["name"]])
    return Answer(ACCEPTED)


def check_state(
    method: str,
    server: Server,
    states: tuple[str, ...] | None,
    tasks: tuple[str | None, ...] | None,
) -> None:
    """Refuse a server that is not in one of these states, or never was active."""
    if states is not None and server.vm_state not in states:
        raise wrong_state(method, server, "vm_state", server.vm_state)
    if tasks is not None and server.task_state not in tasks:
        raise wrong_state(method, server, "task_state", server.task_state)
    if server.launched_at is None:
        raise wrong_state(method, server, "launched_at", None)


UP_OR_OFF = ("active", "stopped", "paused", "suspended")
needs = nova_schema.needs
ACTIONS = {
    "rescue": Action(
        "os-rescue", rescue, "rescue", ("active", "stopped", "error"), check=nova_schema.rescue
    ),
    "unrescue": Action("os-unrescue", unrescue, "unrescue", ("rescued",)),
    "reboot": Action("servers:reboot", _reboot, "reboot", tasks=None, check=nova_schema.reboot),
    "os-start": Action(
        "servers:start",
        busy("powering-on", "compute_start_instance", "start", "active"),
        "start",
        ("stopped",),
    ),
    "os-stop": Action(
        "servers:stop",
        busy("powering-off", "compute_stop_instance", "stop", "stopped"),
        "stop",
        ("active", "error"),
    ),
    "pause": Action(
        "os-pause-server:pause",
        busy("pausing", "compute_pause_instance", "pause", "paused"),
        "pause",
        ("active",),
    ),
    "unpause": Action(
        "os-pause-server:unpause",
        busy("unpausing", "compute_unpause_instance", "unpause", "active"),
        "unpause",
        ("paused",),
    ),
    "suspend": Action(
        "os-suspend-server:suspend",
        busy("suspending", "compute_suspend_instance", "suspend", "suspended"),
        "suspend",
        ("active",),
    ),
    "resume": Action(
        "os-suspend-server:resume",
        busy("resuming", "compute_resume_instance", "resume", "active"),
        "resume",
        ("suspended",),
    ),
    "shelve": Action(
        "os-shelve:shelve",
        busy("shelving", "compute_shelve_instance", "shelve", "shelved_offloaded"),
        "shelve",
        UP_OR_OFF,
    ),
    "unshelve": Action(
        "os-shelve:unshelve",
        busy("unshelving", "compute_unshelve_instance", "unshelve", "active"),
        "unshelve",
        ("shelved", "shelved_offloaded"),
    ),
    "resize": Action(
        "servers:resize",
        _resize,
        "resize",
        ("active", "stopped"),
        check=needs("resize", "flavorRef"),
    ),
    "revertResize": Action("servers:revert_resize", _revert_resize, "revertResize", ("resized",)),
    "confirmResize": Action(
        "servers:confirm_resize",
        busy("resize_confirming", "compute_confirm_resize", "confirmResize", "active"),
        "confirmResize",
        ("resized",),
    ),
    "createImage": Action(
        "servers:create_image",
        _create_image,
        "createImage",
        UP_OR_OFF,
        locked_too=True,
        check=nova_schema.named("createImage"),
    ),
    "changePassword": Action(
        "os-admin-password",
        busy("updating_password", "compute_set_admin_password", "changePassword", "active"),
        "changePassword",
        ("active",),
        check=needs("changePassword", "adminPass"),
    ),
    "rebuild": Action(
        "servers:rebuild",
        _rebuild,
        "rebuild",
        ("active", "stopped", "error"),
        check=needs("rebuild", "imageRef"),
    ),
    "lock": Action(
        "os-lock-server:lock", _lock, "lock", tasks=None, locked_too=True, check=nova_schema.lock
    ),
    "unlock": Action("os-lock-server:unlock", _unlock, "unlock", tasks=None, locked_too=True),
    "os-getConsoleOutput": Action(
        "os-console-output",
        _console_output,
        "os-getConsoleOutput",
        tasks=None,
        locked_too=True,
        check=nova_schema.console,
    ),
    "os-resetState": Action(
        "os-admin-actions:reset_state",
        _reset_state,
        "os-resetState",
        tasks=None,
        locked_too=True,
        admins_only=True,
        check=needs("os-resetState", "state"),
    ),
    "addSecurityGroup": Action(
        "os-security-groups:add",
        _add_group,
        "addSecurityGroup",
        tasks=None,
        locked_too=True,
        check=needs("addSecurityGroup", "name"),
    ),
    "removeSecurityGroup": Action(
        "os-security-groups:remove",
        _remove_group,
        "removeSecurityGroup",
        tasks=None,
        locked_too=True,
        check=needs("removeSecurityGroup", "name"),
    ),
}
ANY_STATE = (
    "lock",
    "unlock",
    "os-resetState",
    "os-getConsoleOutput",
    "addSecurityGroup",
    "removeSecurityGroup",
)


def act(call: Call) -> Answer:
    """Answer POST /servers/{id}/action: body, then server, then policy, lock and state."""
    name, value = nova_schema.read_action(call)
    note(call, action=name)
    action = ACTIONS.get(name)
    if action is None:
        raise Refusal(400, f"There is no such action: {name}")
    action.check(call, value)
    server = find_server(call)
    demand(call, action.policy, allowed=call.is_admin if action.admins_only else None)
    _may_fail_first(call, server)
    if not action.locked_too:
        check_lock(call, server)
    if name == "os-getConsoleOutput" and server.launched_at is None:
        raise Refusal(409, f"Instance {server.id} is not ready")
    if name not in ANY_STATE and name != "reboot":
        check_state(action.method, server, action.states, action.tasks)
    # Where any state will do, nobody races: it would relabel what was done before.
    if name not in ANY_STATE and call.cloud.knobs.take("race_500", server.id, server.name):
        _someone_else_first(call, server, action, value)
    return _maybe_lost(call, server, action.run(call, server, value))


def _may_fail_first(call: Call, server: Server) -> None:
    knobs = call.cloud.knobs
    wait = knobs.take("429", server.id, server.name)
    if wait:
        raise Refusal(429, "This request was rate-limited.", {"Retry-After": str(int(wait))})
    if knobs.take("refuse_500", server.id, server.name):
        raise Refusal(500, UNEXPECTED.format("oslo_messaging.exceptions.MessagingTimeout"))


def _someone_else_first(call: Call, server: Server, action: Action, value: Any) -> None:
    mine, call.request_id = call.request_id, f"req-{fixed_uuid('race', call.request_id)}"
    action.run(call, server, value)
    server.actions[0].user_id = SOMEONE_ELSE
    call.request_id = mine
    raise Refusal(500, UNEXPECTED.format("nova.exception.UnexpectedTaskStateError"))


def _maybe_lost(call: Call, server: Server, answer: Answer) -> Answer:
    knobs = call.cloud.knobs
    answer.delay = float(knobs.fault("slow_reply", server.id, server.name) or 0)
    answer.lost = bool(knobs.take("lost_reply", server.id, server.name))
    return answer
