"""Hold what the panel says of a rescue against what the cloud saw; and its zeros in the end."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

OUTSIDER, SOMEONE_ELSE = f"{0xC11:032x}", ""


@dataclass
class Story:
    """One rescue: its row, and all that was done to its server from its start to its end."""

    rescue_id: str
    server_id: str
    name: str
    before: int
    row: dict[str, Any] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ours(self) -> list[dict[str, Any]]:
        return [one for one in self.seen if one["action"] == "rescue" and one["user_id"] in OURS]

    @property
    def theirs(self) -> list[dict[str, Any]]:
        return [one for one in self.seen if one["user_id"] not in OURS]

    def has(self, action: str, *, failed: bool | None = None) -> bool:
        found = [one for one in self.seen if one["action"] == action]
        return any(failed is None or one["failed"] is failed for one in found)


@dataclass
class Wrong:
    kind: str
    text: str
    story: Story | None = None


#: the ids of the users whose credentials the panel has
OURS: set[str] = set()
#: may be told of again and again: it broke, was rebooted in vain, broke
BREAKABLE = ("FAILED_BROKEN", "EXIT_BROKEN", "RECOVERED")
NEVER_ASKED = ("REFUSED", "EXPIRED", "DENIED", "CANCELLED")


def of(story: Story) -> list[Wrong]:
    """Return what is wrong with a rescue that has settled."""
    found = []
    if len(story.ours) > 1:
        found.append(Wrong("second accepted rescue", f"{len(story.ours)} were accepted", story))
    if problem := _wrong_end(story):
        found.append(Wrong("wrong final state", problem, story))
    return found


def _wrong_end(story: Story) -> str:
    state, ours = story.row["state"], story.ours
    good = any(not one["failed"] for one in ours)
    if state in NEVER_ASKED:
        return "the cloud accepted a rescue of it" if ours else ""
    if state == "LOST_RACE":
        lost = any(one["action"] == "rescue" for one in story.theirs)
        return "" if lost else "nobody else rescued it"
    if state == "FAILED_CLEAN":
        return "its rescue did not fail" if good else ""
    if state == "FAILED_BROKEN":
        return "" if ours and not good else "its rescue did not fail"
    if state == "EXIT_BROKEN":
        # Somebody else may have left it well, and then broken the machine by a rescue of their own.
        after = story.has("unrescue", failed=False) and story.has("rescue", failed=True)
        return "" if after or story.has("unrescue", failed=True) else "no exit failed"
    if state == "RECOVERED":
        # Or somebody else rescued the broken machine and left it well.
        back = story.has("reboot") or story.has("unrescue", failed=False)
        return "" if back else "nobody rebooted it"
    if state == "CLOSED":
        return "" if good and story.has("unrescue", failed=False) else "there was no rescue or exit"
    if state == "ENDED_OUTSIDE":
        marks = [one for one in story.theirs if one["action"] in ("rescue", "unrescue", "reboot")]
        return "" if marks else "nobody else did anything"
    return f"nothing in this run ends in {state}"


def untrue(state: str, acts: list[str], settled: Iterable[str]) -> str:
    """Say how the audit trail's acts on a rescue, oldest first, contradict its row; "" if not.

    Who goes on although somebody else wrote the row meanwhile tells of an end that never was.
    """
    ends = [act for act in acts if act in {f"rescue.{one.lower()}" for one in settled}]
    last = f"rescue.{state.lower()}"
    if acts.count("rescue.ready") > 1:
        return "ready twice"
    if last != "rescue.cancelled" and state in settled and ends[-1:] != [last]:
        return f"the row is {state}, the last entry {ends[-1:]}"
    if state not in BREAKABLE and len(ends) > (state in settled):
        return f"the row is {state}, the entries {ends}"
    return ""
