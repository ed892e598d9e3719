"""Say how much of instances and teams the last test run covered; fail below the house's bar."""

import json
import subprocess
import sys
from typing import Any

LINES = 95.0
FULL_BRANCHES = "instances/lifecycle.py"


def measured() -> dict[str, Any]:
    """Return coverage's own figures of the last run."""
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def main() -> int:
    """Print both figures; return the exit status."""
    figures = measured()
    total = figures["totals"]
    lines = 100.0 * total["covered_lines"] / total["num_statements"]
    core = figures["files"][FULL_BRANCHES]["summary"]
    missing = core["num_branches"] - core["covered_branches"]
    sys.stdout.write(
        f"Lines of instances and teams: {lines:.1f} % covered (bar: {LINES:.0f} %). "
        f"Branches of {FULL_BRANCHES}: {core['covered_branches']} of {core['num_branches']}.\n"
    )
    return 1 if lines < LINES or missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
