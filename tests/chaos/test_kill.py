"""Kill the worker at every point of a rescue and of an exit: nothing is lost or asked twice.

``make slow`` runs it: a chaos run dies at most of these points, too, with more going on beside.
"""

import json
import subprocess
import sys

import pytest

from tests.chaos.harness import PATIENCE, chosen_of
from tests.services import ROOT


@pytest.mark.chaos
@pytest.mark.long
@pytest.mark.apart
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", ["0::2", "1::2"], ids=["before", "after"])
def test_a_worker_killed_at_any_point_loses_nothing(part: str) -> None:
    points = chosen_of(part)
    harness = [sys.executable, "-m", "tests.chaos.harness", "--points", part]
    printed = subprocess.run(harness, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    result = json.loads(printed)
    leaving = result["exit"]
    print(f"\n{result}")
    # The last points lie behind the end of a rescue that needs few looks: eight were died at.
    for way in (result, leaving):
        assert way["deaths"] >= len(points) - 6, "the worker has to die where it was told to"
        assert points[0].split("#")[0] in way["died_at"]  # the POST itself
    assert result["states"] == {"READY": len(points)}
    assert (result["lost_passwords"], result["wrong_passwords"]) == (0, 0)
    assert (result["second_posts"], leaving["second_posts"]) == (0, 0)
    assert leaving["states"] == {"CLOSED": len(points)}
    assert result["passwords_left"] == 0
    assert max(result["seconds_after_last_kill"], leaving["seconds_after_last_kill"]) < PATIENCE
