"""The chain of the audit trail: each entry's hash covers its fields and the hash before it. Pure.

A changed, inserted, deleted or moved entry breaks the chain at its place. A cut tail, or a chain
written anew, shows only against a head that was kept elsewhere.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: the fields that a hash covers, all that an entry has
FIELDS = ("id", "at", "team", "actor", "acting_by", "act", "target", "details")


@dataclass(frozen=True)
class Link:
    """An entry as the chain sees it; team, actor and acting_by are numbers of rows."""

    id: int
    at: datetime
    team: int | None
    actor: int | None
    acting_by: int | None
    act: str
    target: str
    details: Mapping[str, Any]
    hash: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a walk along the chain found; ``problem`` is empty for a whole one."""

    count: int
    head: str
    problem: str = ""


def digest(previous: str, link: Link) -> str:
    """Return the hash of an entry that follows the one with the hash ``previous``."""
    fields = {name: getattr(link, name) for name in FIELDS}
    fields["at"] = link.at.astimezone(UTC).isoformat(timespec="microseconds")
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{previous}\n{canonical}".encode("ascii")).hexdigest()


def plain(value: Any) -> Any:
    """Bring a value into a form that every database gives back as it was."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(kept) for key, kept in value.items()}
    if isinstance(value, list | tuple):
        return [plain(kept) for kept in value]
    return value


def verify(links: Iterable[Link], *, head: str = "") -> Verdict:
    """Walk along the chain, in the order of the numbers, to its end or its first broken entry.

    ``head`` is the hash of an entry that has to be in it.
    """
    previous, last, count, met = "", 0, 0, not head
    for link in links:
        if link.hash != digest(previous, link):
            return Verdict(count, previous, _broken(last, link))
        previous, last, count = link.hash, link.id, count + 1
        met = met or link.hash == head
    problem = "" if met else (
        "The given head is not in the trail: entries at its end were deleted, "
        "or the trail was written anew."
    )  # fmt: skip
    return Verdict(count, previous, problem)


def _broken(last: int, link: Link) -> str:
    if link.id > last + 1:
        gap = f"{last + 1}" if link.id == last + 2 else f"{last + 1} to {link.id - 1}"
        return f"Entry {link.id} does not follow entry {last}: {gap} missing, or it was changed."
    return (
        f"Entry {link.id} is not as it was written: it was changed, forged, "
        "or stands in another place."
    )
