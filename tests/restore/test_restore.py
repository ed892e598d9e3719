"""A back-up made while rescues are under way, restored, upgraded, its keys changed: all settles."""

import json
import subprocess
import sys

import pytest

from tests.services import ROOT, postgres_programs


@pytest.mark.long
@pytest.mark.apart
@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_lost_database_comes_back_with_everything_in_flight(database: str) -> None:
    if database == "postgres" and not postgres_programs():
        pytest.skip("PostgreSQL is not installed")
    harness = [sys.executable, "-m", "tests.restore.harness", database]
    printed = subprocess.run(harness, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(printed)
    print(f"\n{found}")
    in_flight = ["CALLING", "EXIT_REQUESTED", "REQUESTED", "WAITING"]
    assert found["in_flight"] == in_flight, "nothing was under way: this tries nothing"
    assert found["written_meanwhile"] >= 5, "nobody wrote while the backup was made"
    assert found["older_schema"] and found["rows_kept"]
    assert found["states"] == {
        "asked": "READY",
        "called": "READY",
        "waiting": "READY",
        "ready": "READY",
        "leaving": "CLOSED",
        "ends_after": "ENDED_OUTSIDE",
        "begins_after": "EXTERNAL",
    }
    assert found["wrong_passwords"] == []
    assert found["most_posts_for_a_server"] == {"rescue": 1, "unrescue": 1}
    assert found["sealed_anew"] >= 4, "keys were changed while nothing was sealed"
    assert found["opens_cloud"] == "v3applicationcredential"
    assert found["audit"] == "whole" and found["entries"] > 10
    assert found["trail_still_refuses"], "the restored trail can be changed"
