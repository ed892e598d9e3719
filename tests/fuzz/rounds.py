"""How long to go on, and what went wrong meanwhile: ``FUZZ_SEED``, ``FUZZ_MINUTES``."""

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

SEED = os.environ.get("FUZZ_SEED", "rescue")
MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
MOST_SECONDS = 20.0  # what one step may take: a cloud's answer is waited for 15 s


def rounds(at_least: int) -> Iterator[str]:
    """Yield a seed for each round: so many, then as many as the minutes hold."""
    end, number = time.monotonic() + 60 * MINUTES, 0
    while number < at_least or time.monotonic() < end:
        yield f"{SEED}-{number}" if SEED.count("-") == 0 else SEED
        number += 1


def dice_of(seed: str) -> Random:
    return Random(seed)


class Findings:
    """Faults, each place once, with the seed and what was sent."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.steps = 0
        self.slowest = (0.0, "")

    @contextmanager
    def step(
        self, what: str, sent: Callable[[], Any], *fine: type[BaseException]
    ) -> Iterator[None]:
        """Run one step; what it raises beside what is ``fine`` is a fault, and so is dawdling."""
        self.steps += 1
        began = time.monotonic()
        try:
            yield
        except fine:
            pass
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)
            ours = [
                f for f in last if "/instances/" in f.filename or "/teams/" in f.filename
            ] or last
            file = ours[-1].filename.rpartition("/")[2]
            where = f"{type(error).__name__} at {file}:{ours[-1].lineno}"
            trace = "".join(traceback.format_exception(error))[-2500:]
            self.found.setdefault(where, f"{what}\nsent: {sent()}\n{trace}")
        took = time.monotonic() - began
        self.slowest = max(self.slowest, (took, what))
        if took > MOST_SECONDS:
            self.found.setdefault(f"slow: {what}", f"{took:.1f} s; sent: {sent()}")

    def wrong(self, what: str, sent: Any) -> None:
        """Note a fault that is no exception."""
        self.found.setdefault(what, str(sent))

    def settle(self, what: str) -> None:
        """Print the figures; fail when there were faults."""
        took, step = self.slowest
        print(
            f"\n{what}: {self.steps} steps, {len(self.found)} faults, slowest {took:.1f} s ({step})"
        )
        told = "\n\n".join(f"== {where}\n{how}" for where, how in self.found.items())
        assert not self.found, told
