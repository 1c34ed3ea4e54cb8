"""Prints measured figures next to their targets and next to a floor measured in the same run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def best_of(rounds: int, call: Callable[[], object], per: int = 1, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the quickest of some rounds, for one of `per` repetitions: what the code costs when nothing disturbs it."""
    found = float("inf")
    for _ in range(rounds):
        started = clock()
        call()
        found = min(found, clock() - started)
    return found / per


def show(title: str, measured: float, target: float | None, unit: str, floor: float | None = None, floor_of: str = "") -> None:
    """One line: what, measured, target, and the floor."""
    against = "" if target is None else f"  target {target:g} {unit}  {'met' if measured <= target else 'MISSED'}"
    below = "" if floor is None else f"  floor {floor:.3g} {unit} ({floor_of}): {measured / floor:.1f} x"
    print(f"{title:<58} {measured:>10.3f} {unit}{against}{below}")
