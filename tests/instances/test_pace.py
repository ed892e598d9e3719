"""Looks towards the time at which something is usually done: fewer, and its end seen sooner."""

import pytest

from instances import pace

EVERY = 0.4


def looks(usual, takes):
    """Return how many looks are made and how late the end is seen."""
    waited, count = 0.0, 0
    while waited < takes:
        waited += pace.towards(usual, waited, EVERY)
        count += 1
    return count, waited - takes


@pytest.mark.parametrize("usual", [2.0, 5.0, 12.0, 60.0])
@pytest.mark.parametrize("off", [0.85, 1.0, 1.1, 1.4])
def test_what_takes_its_usual_time_is_seen_within_a_fifth_of_a_second(usual, off):
    assert looks(usual, usual * off)[1] <= 0.2 + 1e-6


def test_a_long_wait_is_looked_at_less_often():
    known, unknown = looks(60.0, 60.0)[0], looks(None, 60.0)[0]
    assert known < 0.8 * unknown


@pytest.mark.parametrize("usual", [None, 0, 3.0])
def test_without_experience_and_long_after_it_the_pace_is_even(usual):
    assert pace.towards(usual, 10.0, EVERY) == EVERY


def test_the_close_looks_begin_in_time():
    """The wait before them does not reach into them."""
    assert 3.3 + pace.towards(5.0, 3.3, EVERY) == pytest.approx(4.0)
