"""Figures as a bench prints them."""

import statistics
from collections.abc import Callable
from time import perf_counter


def median(times: list[float]) -> float:
    """Return the one in the middle."""
    return statistics.median(times)


def p95(times: list[float]) -> float:
    """Return what nineteen in twenty do not exceed."""
    return sorted(times)[min(len(times) - 1, int(len(times) * 0.95))]


def taken(what: Callable[[], object]) -> float:
    """Return the seconds something takes."""
    started = perf_counter()
    what()
    return perf_counter() - started


def ms(seconds: float) -> str:
    """Say a time in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def growth(name: str, small: float, large: float, times: float = 4) -> None:
    """Print how much more something takes at so many times the size."""
    print(f"  growth  {name}: {large / small:.2f} x at {times:g} times the size", flush=True)


def verdict(name: str, kept: bool, said: str) -> bool:
    """Print whether a bound was kept."""
    print(f"  {'kept  ' if kept else 'BROKEN'}  {name}: {said}", flush=True)
    return kept
