"""Break the code in small ways and see whether a test notices: ``python -m tests.mutants``.

Names after it choose modules. ``MUTANT_LINES=200-240`` tries those lines alone. Prints each mutant
that no test noticed; ends with 1 when there are any. A mutator of our own: mutmut and cosmic-ray
start a process for each mutant, which here means a Redis, a database and a cloud each time.
"""

import os
import sys

import pytest

from tests.mutants.hunt import OPTIONS, Hunt, quick_models
from tests.services import ROOT

#: a module and the tests that are quick and about it
MODULES = {
    "lifecycle": (
        "instances/lifecycle.py",
        "instances/test_lifecycle.py instances/test_lifecycle_model.py",
    ),
    "driver": ("instances/driver.py", "instances/test_driver.py instances/test_driver_model.py"),
    "rescue": ("instances/rescue.py", "instances/test_rescue.py instances/test_views_rescue.py"),
    "permissions": ("teams/permissions.py", "teams/test_teams.py instances/test_team_decides.py"),
    "gates": ("teams/gates.py", "teams/test_views.py teams/test_teams.py"),
}


def hunt(name: str) -> int:
    """Try a module's mutants; return how many survived."""
    path, tests = MODULES[name]
    files = [f"tests/{one}" for one in tests.split()]
    plugin = Hunt(ROOT / path, files)
    ended = pytest.main([*OPTIONS, "-m", "not journey", *files], plugins=[plugin])
    print(f"\n{path}: {plugin.tried} mutants, {len(plugin.survivors)} survived", flush=True)
    return len(plugin.survivors) + (ended not in (0, 5))


if __name__ == "__main__":
    os.environ.setdefault("MODEL_EXAMPLES", "60")
    quick_models()
    chosen = sys.argv[1:] or list(MODULES)
    if len(chosen) == 1:
        sys.exit(min(hunt(chosen[0]), 1))
    import subprocess

    sys.exit(max(subprocess.call([sys.executable, "-m", "tests.mutants", name]) for name in chosen))
