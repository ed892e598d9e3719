"""Kill the worker at every point of a rescue and of an exit: nothing is lost or asked twice."""

import json
import subprocess
import sys

import pytest

from tests.chaos.harness import PATIENCE, POINTS
from tests.services import ROOT


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_worker_killed_at_any_point_loses_nothing() -> None:
    harness = [sys.executable, "-m", "tests.chaos.harness"]
    printed = subprocess.run(harness, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    result = json.loads(printed)
    leaving = result["exit"]
    print(f"\n{result}")
    for part in (result, leaving):  # the last points may lie behind the end of a quick rescue
        assert part["deaths"] >= len(POINTS) - 8, "the worker has to die where it was told to"
        assert {"before POST", "after POST"} <= part["died_at"].keys()
    assert result["states"] == {"READY": len(POINTS)}
    assert (result["lost_passwords"], result["wrong_passwords"]) == (0, 0)
    assert (result["second_posts"], leaving["second_posts"]) == (0, 0)
    assert leaving["states"] == {"CLOSED": len(POINTS)}
    assert result["passwords_left"] == 0
    assert max(result["seconds_after_last_kill"], leaving["seconds_after_last_kill"]) < PATIENCE
