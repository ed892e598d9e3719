"""What a chaos run takes for wrong, shown on stories that are."""

from typing import Any

import pytest

from tests.chaos import judge
from tests.chaos.owners import SETTLED

US, THEM = "us", "them"


def did(action: str, by: str = US, *, failed: bool = False) -> dict[str, Any]:
    return {"action": action, "user_id": by, "failed": failed, "request_id": "req-1"}


def wrongs(state: str, *seen: dict[str, Any]) -> set[str]:
    story = judge.Story("r", "s", "web-1", 0, {"state": state}, list(seen))
    return {wrong.kind for wrong in judge.of(story)}


TRUE = [
    ("READY", ["rescue.start", "rescue.ready", "rescue.exit_failed"]),
    ("CLOSED", ["rescue.start", "rescue.ready", "rescue.closed"]),
    ("RECOVERED", ["rescue.failed_broken", "rescue.failed_broken", "rescue.recovered"]),
    ("FAILED_BROKEN", ["rescue.failed_broken"]),
    ("CANCELLED", ["rescue.start", "rescue.cancel"]),
]
UNTRUE = [
    ("READY", ["rescue.ready", "rescue.ready"]),
    ("READY", ["rescue.ready", "rescue.lost_race"]),
    ("CLOSED", ["rescue.ready", "rescue.closed", "rescue.ended_outside"]),
    ("CLOSED", ["rescue.ready", "rescue.ended_outside", "rescue.closed"]),
    ("CLOSED", ["rescue.ready", "rescue.closed", "rescue.closed"]),
    ("CLOSED", ["rescue.ready"]),
    ("RECOVERED", ["rescue.failed_broken"]),
]


@pytest.mark.parametrize(
    ("state", "acts", "is_true"), [(*one, True) for one in TRUE] + [(*one, False) for one in UNTRUE]
)
def test_what_the_trail_tells_is_held_against_the_row(
    state: str, acts: list[str], is_true: bool
) -> None:
    assert (judge.untrue(state, acts, SETTLED) == "") is is_true


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "OURS", {US})


FAILED = did("rescue", failed=True)
RIGHT = [
    ("CLOSED", did("rescue"), did("unrescue")),
    ("CLOSED", did("rescue"), did("unrescue", THEM)),
    ("REFUSED",),
    ("EXPIRED", did("reboot", THEM)),
    ("LOST_RACE", did("rescue", THEM)),
    ("FAILED_CLEAN", FAILED),
    ("FAILED_CLEAN",),
    ("FAILED_BROKEN", FAILED),
    ("EXIT_BROKEN", did("rescue"), did("unrescue", THEM), did("rescue", THEM, failed=True)),
    ("EXIT_BROKEN", did("rescue"), did("unrescue", failed=True)),
    ("RECOVERED", FAILED, did("reboot")),
    ("RECOVERED", FAILED, did("rescue", THEM), did("unrescue", THEM)),
    ("ENDED_OUTSIDE", did("rescue"), did("unrescue", THEM)),
]
WRONG = [
    ("CLOSED", did("rescue")),
    ("CLOSED", FAILED, did("unrescue")),
    ("REFUSED", did("rescue")),
    ("EXPIRED", did("rescue")),
    ("LOST_RACE", did("rescue")),
    ("FAILED_CLEAN", did("rescue")),
    ("FAILED_BROKEN", did("rescue")),
    ("FAILED_BROKEN", did("rescue"), did("unrescue", THEM), did("rescue", THEM, failed=True)),
    ("EXIT_BROKEN", did("rescue"), did("unrescue")),
    ("RECOVERED", FAILED),
    ("ENDED_OUTSIDE", did("rescue")),
    ("ENDED_OUTSIDE", did("rescue"), did("unrescue")),
    ("ENDED_BY_CLOUD", did("rescue")),
]


@pytest.mark.parametrize("story", RIGHT, ids=lambda story: story[0])
def test_an_end_that_the_cloud_confirms(story: Any) -> None:
    assert wrongs(*story) == set()


@pytest.mark.parametrize("story", WRONG, ids=lambda story: story[0])
def test_an_end_that_it_does_not(story: Any) -> None:
    assert wrongs(*story) == {"wrong final state"}


def test_two_accepted_rescues_are_one_too_many() -> None:
    twice = wrongs("CLOSED", did("rescue"), did("unrescue"), did("rescue"))
    assert twice == {"second accepted rescue"}
