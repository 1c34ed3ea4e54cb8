"""Waiting on the wall clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.clock import Clock


class WallClockWaits:
    """Waits until a clock shows a time, however it is moved meanwhile.

    `wait` waits for some seconds and ends early when the run is to stop, which `is_stopping` says.
    """

    def __init__(self, clock: Clock, wait: Callable[[float], object], is_stopping: Callable[[], bool]) -> None:
        self._clock = clock
        self._wait = wait
        self._is_stopping = is_stopping

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        """Wait until a time; yields about every `each_s` meanwhile."""
        while not self._is_stopping() and (left_s := (at - self._clock.now()).total_seconds()) > 0:
            self._wait(min(left_s, each_s))
            if left_s > each_s and not self._is_stopping():
                yield
