"""Run the benches one after the other, each in a process of its own: ``python -m tests.bench``.

Names after it choose. A bench is a module of this folder: run by itself it prints its figures and
exits with 0 where its bounds are kept, with 1 where one is broken.
"""

import subprocess
import sys

BENCHES = [
    "click_to_ready",
    "proven",
    "list_page",
    "open_pages",
    "streams",
    "browser",
    "many_at_once",
]


def main(chosen: list[str]) -> int:
    """Run them, say of each whether its bounds are kept, and count the broken ones."""
    verdicts = {}
    for name in chosen or BENCHES:
        print(f"== {name}", flush=True)
        ended = subprocess.run([sys.executable, "-m", f"tests.bench.{name}"])
        verdicts[name] = "kept" if ended.returncode == 0 else "BROKEN"
    print(*(f"{verdict:<8}{name}" for name, verdict in verdicts.items()), sep="\n")
    return list(verdicts.values()).count("BROKEN")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
