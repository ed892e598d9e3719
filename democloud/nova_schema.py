"""Check the bodies of server actions as Nova's JSON schemas do, with their sentences."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from democloud.http import Call, Refusal
from democloud.nova_base import invalid

METADATA_KEY = re.compile("^[a-zA-Z0-9-_:. ]{1,255}$")
LONGEST_VALUE = 255

Check = Callable[[Call, Any], None]
REBOOTS = ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]
BAD_NAME = (
    "An invalid 'name' value was provided. The name must be: printable characters."
    " Can not start or end with whitespace."
)


def uuid_like(value: str) -> bool:
    """Tell whether a text is an id, as oslo's is_uuid_like sees it."""
    try:
        return str(uuid.UUID(value)).replace("-", "") == _plain(value)
    except (TypeError, ValueError, AttributeError):
        return False


def _plain(value: str) -> str:
    return value.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "").lower()


def anything(_call: Call, _value: Any) -> None:
    """Allow all."""


def _object(name: str, value: Any, *, null: bool = False) -> bool:
    if isinstance(value, dict):
        return True
    if null and value is None:
        return False
    raise invalid(name, value, f"{value!r} is not of type 'object'" + (", 'null'" if null else ""))


def _only(name: str, value: dict[str, Any], *allowed: str) -> None:
    extra = [key for key in value if key not in allowed]
    if extra:
        verb = "was" if len(extra) == 1 else "were"
        listed = ", ".join(repr(key) for key in sorted(extra))
        raise invalid(
            name, value, f"Additional properties are not allowed ({listed} {verb} unexpected)"
        )


def _required(name: str, value: dict[str, Any], *keys: str) -> None:
    for key in keys:
        if key not in value:
            raise invalid(name, value, f"{key!r} is a required property")


def _string(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise invalid(name, value, f"{value!r} is not of type 'string'")


def rescue(_call: Call, value: Any) -> None:
    """Allow null, or an object with a password and an image."""
    if not _object("rescue", value, null=True):
        return
    _only("rescue", value, "adminPass", "rescue_image_ref")
    for key in value:
        _string(key, value[key])
    image = value.get("rescue_image_ref")
    if image is not None and not uuid_like(image):
        raise invalid("rescue_image_ref", image, f"{image!r} is not a 'uuid'")


def metadata(value: dict[str, Any]) -> None:
    """Check what is to be written into a server's metadata."""
    for key, one in value.items():
        if not METADATA_KEY.fullmatch(key):
            why = f"{key!r} does not match any of the regexes: {METADATA_KEY.pattern!r}"
            raise invalid("metadata", value, why)
        _string(key, one)
        if len(one) > LONGEST_VALUE:
            raise invalid(key, one, f"{one!r} is too long")


def reboot(_call: Call, value: Any) -> None:
    """Allow a type, hard or soft."""
    _object("reboot", value)
    _only("reboot", value, "type")
    _required("reboot", value, "type")
    _string("type", value["type"])
    if value["type"] not in REBOOTS:
        raise invalid("type", value["type"], f"{value['type']!r} is not one of {REBOOTS}")


def lock(call: Call, value: Any) -> None:
    """Allow a reason since 2.73."""
    if call.version < (2, 73) or not _object("lock", value, null=True):
        return
    _only("lock", value, "locked_reason")


def console(_call: Call, value: Any) -> None:
    """Allow a number of lines."""
    _object("os-getConsoleOutput", value)
    _only("os-getConsoleOutput", value, "length")


def needs(name: str, *keys: str) -> Check:
    """Return a check for an object that must have these keys."""

    def check(_call: Call, value: Any) -> None:
        _object(name, value)
        _required(name, value, *keys)

    return check


def named(action: str) -> Check:
    """Return a check for an object whose ``name`` is one that Nova takes."""
    field = "Invalid input for field/attribute name. Value: {0}. {0!r} {1}"

    def check(_call: Call, value: Any) -> None:
        _object(action, value)
        _required(action, value, "name")
        name = value["name"]
        if not isinstance(name, str):
            raise Refusal(400, field.format(name, "is not of type 'string'"))
        if not 0 < len(name) < 256:
            wrong = "is too long" if name else "should be non-empty"
            raise Refusal(400, field.format(name, wrong))
        if name != name.strip() or not name.isprintable():
            raise Refusal(400, BAD_NAME)

    return check


def read_action(call: Call) -> tuple[str, Any]:
    """Return name and value of the one action in the body."""
    body = call.json()
    if call.raw and not isinstance(body, dict | list) and _is_json(call):
        raise Refusal(404, "The resource could not be found.")
    if not isinstance(body, dict) or len(body) != 1:
        raise Refusal(400, "Malformed request body")
    return next(iter(body.items()))


def _is_json(call: Call) -> bool:
    return call.json() is not None or call.raw.strip() == b"null"
