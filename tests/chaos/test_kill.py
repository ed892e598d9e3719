"""Kill the worker at every point of a rescue and of an exit: nothing is lost, nothing asked twice."""

from pathlib import Path

import pytest

from tests.chaos.harness import PATIENCE, run

#: commits, requests sent and answers read of a rescue up to its third look; an exit has no more
POINTS = 34


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_worker_killed_at_any_point_loses_nothing(tmp_path: Path) -> None:
    result = run(POINTS, tmp_path)
    leaving = result["exit"]
    print(f"\n{result}")
    assert result["deaths"] >= 25, "the worker has to die where it was told to"
    assert leaving["deaths"] >= 25
    assert {"before POST", "after POST"} <= result["died_at"].keys() & leaving["died_at"].keys()
    assert result["states"] == {"READY": POINTS}
    assert (result["lost_passwords"], result["wrong_passwords"]) == (0, 0)
    assert (result["second_posts"], leaving["second_posts"]) == (0, 0)
    assert leaving["states"] == {"CLOSED": POINTS}
    assert result["passwords_left"] == 0
    assert max(result["seconds_after_last_kill"], leaving["seconds_after_last_kill"]) < PATIENCE
