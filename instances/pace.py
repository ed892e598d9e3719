"""When to ask again: not in step with others, and ever more rarely while nothing answers."""

import random

#: Seconds between tries at a cloud that fails: what costs it little is tried again soon, for one
#: lost answer must not leave all pages a quarter of a minute behind.
SOON, FIRST, LONGEST = 2.0, 15.0, 120.0
SPREAD = 0.2  # of the time

_dice = random.SystemRandom()


def towards(usual: float | None, waited: float, otherwise: float) -> float:
    """Return the wait until the next look at what usually takes so many seconds.

    Before its time there is little to see, around it a look each 0.2 s shows the end at once: the
    looks are fewer than with one pace for all, and the end is seen sooner.
    """
    if not usual or waited > 1.5 * usual:
        return otherwise
    return 0.2 if waited > 0.8 * usual else min(2 * otherwise, max(0.2, 0.8 * usual - waited))


def spread(seconds: float) -> float:
    """Return somewhat less, each time another: a thousand accounts must not ask at once."""
    return seconds * _dice.uniform(1 - SPREAD, 1)


def no_sooner(seconds: float) -> float:
    """Return somewhat more than a cloud told us to wait."""
    return seconds * _dice.uniform(1, 1 + SPREAD)


def back_off(failures: int, *, retry_after: float = 0.0, first: float = FIRST) -> float:
    """Return the wait after so many failures in a row: each time twice as long, up to minutes."""
    grown = first * 2 ** min(max(failures, 1) - 1, 10)
    return max(spread(min(grown, LONGEST)), no_sooner(retry_after))
