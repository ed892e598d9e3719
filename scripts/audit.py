"""Ask for known vulnerabilities of every locked library; say plainly when nobody can tell.

pip-audit ends well when it could not ask, or when the index it reached knows no vulnerabilities:
so what counts is how many libraries were really looked up. Ends with 0 when all were and none has
any, 1 when one has, 2 when not all could be looked up.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements-observe.lock", "requirements-dev.lock")


def asked(lock: str) -> "list[dict[str, Any]] | None":
    """Return what pip-audit says of each library of a lock; None when it got no answer at all."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += ["--progress-spinner", "off", "--format", "json", "--requirement", lock]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        sys.stdout.write(f"{lock}: pip-audit gave no answer.\n  {done.stderr.strip()[-300:]}\n")
        return None


def verdict(lock: str, found: "list[dict[str, Any]] | None") -> tuple[int, str]:
    """Return the exit status for a lock, and the sentence that says why."""
    if found is None:
        return 2, f"{lock}: NOT audited: the vulnerability service could not be asked."
    hurt = [
        f"  {one['name']} {one['version']}: {flaw['id']}"
        f" (mended in {', '.join(flaw.get('fix_versions') or ['no version yet'])})"
        for one in found
        for flaw in one.get("vulns", ())
    ]
    passed_over = [one for one in found if "skip_reason" in one]
    if hurt:
        return 1, "\n".join([f"{lock}: known vulnerabilities:", *hurt])
    if passed_over or not found:
        known = f"{len(found) - len(passed_over)} of {len(found)} libraries could be looked up"
        return 2, f"{lock}: NOT audited: {known}. Run it with the network."
    return 0, f"{lock}: {len(found)} libraries, no known vulnerability."


def main() -> int:
    """Ask for every lock; return the exit status."""
    worst = 0
    for lock in LOCKS:
        status, sentence = verdict(lock, asked(lock))
        sys.stdout.write(sentence + "\n")
        worst = 1 if 1 in (status, worst) else max(worst, status)
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
