"""A hundred kills, and every other kind of trouble, in two minutes."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.chaos.doom import COMES_TO
from tests.services import ROOT, postgres_programs

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.apart, pytest.mark.timeout(400)]
needs_postgres = pytest.mark.skipif(not postgres_programs(), reason="PostgreSQL is not installed")


@needs_postgres
def test_a_hundred_kills_lose_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:  # PostgreSQL's user may enter it
        _run(Path(folder))


def _run(folder: Path) -> None:
    wanted = {"CHAOS_MINUTES": "1.25", "CHAOS_KILLS": "80", "CHAOS_SERVERS": "14+3"}
    settings = {name: value for name, value in os.environ.items() if name not in OURS}
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env=settings | wanted | {"CHAOS_KEEP": str(folder)},
    )  # fmt: skip
    print(f"\n{run.stdout}")
    result = json.loads((folder / "figures.json").read_text())
    assert result["wrongs"] == [] and run.returncode == 0
    assert result["kills"] >= 100
    assert result["rescue and exit pairs"] >= 10
    died_at = {name.removeprefix("worker, ") for name in result["killed"]}
    assert len(set(COMES_TO["worker"]) - died_at) <= 3, "most points are died at"
    assert result["other faults"]["deploy"] == 1


#: what pytest has set for itself, and the run makes anew
OURS = ("DJANGO_SETTINGS_MODULE", "DEBUG", "DATABASE_URL", "REDIS_URL", "DEMO_DIR", "SECRET_KEY")
