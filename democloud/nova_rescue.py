"""Take a server into rescue mode and back, with all the rules Nova has for it."""

import json
import secrets
from typing import Any

from democloud import nova_host
from democloud.glance import visible_to
from democloud.http import Answer, Call, Refusal
from democloud.nova_base import UNEXPECTED
from democloud.nova_host import record
from democloud.state import Image, Server

LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"
VOLUME_BACKED_SINCE = (2, 87)


def rescue(call: Call, server: Server, value: Any) -> Answer:
    """Accept a rescue: answer the password now, be in RESCUE later."""
    wanted = value or {}
    ref = wanted.get("rescue_image_ref")
    properties = _suitable(call, ref).properties if ref else server.image_properties
    _check_volume_backed(call, server, properties)
    password = wanted.get("adminPass")
    made = "".join(secrets.choice(LETTERS) for _ in range(12)) if password is None else password
    server.save(
        task_state="rescuing",
        rescue_image_id=ref or server.image_id,
        rescue_password=made,
    )
    action = record(call, server, "rescue")
    seconds = _seconds(call, server, call.cloud.knobs.rescue_seconds)
    nova_host.start(
        call, server, action, "compute_rescue_instance", seconds, nova_host.finish_rescue
    )
    if not call.cloud.knobs.instance_password:
        return Answer(200, {})
    return Answer(200, {"adminPass": made})


def unrescue(call: Call, server: Server, _value: Any) -> Answer:
    """Accept to leave rescue mode."""
    server.save(task_state="unrescuing")
    action = record(call, server, "unrescue")
    seconds = _seconds(call, server, call.cloud.knobs.unrescue_seconds)
    nova_host.start(
        call, server, action, "compute_unrescue_instance", seconds, nova_host.finish_unrescue
    )
    return Answer(202)


def _seconds(call: Call, server: Server, usual: float) -> float:
    return call.cloud.knobs.slow_seconds if "slow" in server.name else usual


def _suitable(call: Call, ref: str) -> Image:
    if call.cloud.knobs.is_away("glance"):
        raise Refusal(500, UNEXPECTED.format("nova.exception.GlanceConnectionFailed"))
    image = call.region.images.get(ref)
    if image is None or not (call.is_admin or visible_to(image, call.who.project_id)):
        raise Refusal(400, f"Requested rescue image '{ref}' is not supported")
    if "img_block_device_mapping" in image.properties:
        raise Refusal(500, UNEXPECTED.format("ValueError"))
    if json.loads(image.properties.get("block_device_mapping", "[]")):
        raise Refusal(400, f"Requested rescue image '{ref}' is not supported")
    return image


def _check_volume_backed(call: Call, server: Server, properties: dict[str, str]) -> None:
    kept = "hw_rescue_bus" in properties and "hw_rescue_device" in properties
    if server.volume_backed and not (kept and call.version >= VOLUME_BACKED_SINCE):
        raise Refusal(
            400, f"Instance {server.id} cannot be rescued: Cannot rescue a volume-backed instance"
        )
