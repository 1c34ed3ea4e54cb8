"""The clock of a replay whose venues are real servers: it stands at the step, and a wait moves it on at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.execution.timing import REAL_TIME, Timing


class WaitedClock(SimulatedClock):
    """Where waits have carried it beyond the next step, it stays there."""

    __slots__ = ()

    def move_to(self, at: datetime) -> None:
        super().move_to(max(at, self.now()))

    def timing(self) -> Timing:
        """Waits that move this clock. A call to a venue has the machine's time."""
        return REAL_TIME._replace(sleep=self._wait, monotonic=lambda: self.now().timestamp())

    def _wait(self, seconds: float) -> None:
        self.move_to(self.now() + timedelta(seconds=seconds))
