"""Fuzz for a while: ``python -m tests.fuzz`` (``FUZZ_SEED=``, ``FUZZ_MINUTES=`` for each part)."""

import os
import subprocess
import sys

PARTS = ["tests/fuzz/test_clouds.py", "tests/fuzz/test_machines.py", "tests/fuzz/test_pages.py",
         "tests/journeys/test_hostile_cloud.py"]  # fmt: skip


def main(chosen: list[str]) -> int:
    """Run the parts one after the other; return how many found faults."""
    os.environ.setdefault("FUZZ_MINUTES", "5")
    print(f"FUZZ_SEED={os.environ.setdefault('FUZZ_SEED', os.urandom(4).hex())}", flush=True)
    failed = 0
    for part in chosen or PARTS:
        command = ["-m", "pytest", "-q", "-n", "0", "-s", "-m", "", part]
        failed += subprocess.call([sys.executable, *command]) not in (0, 5)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
