"""What a series said over the last hours, as a strategy may look back at it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from collections.abc import Sequence

# A row is one number: the close of a bar, a funding rate, ETH per token.
WITH_HISTORY = ("spot", "perp", "funding", "staking", "dex")
_YEAR_US = 8_760 * HOUR_US
_NOTHING = memoryview(array("q")).toreadonly()


class History:
    """Rows that became visible within a window up to now, oldest first: `times` (microseconds since 1970, when each became visible) and
    `values` (floats), of equal length. Both are views: nothing is copied, and rows that come later do not appear in them.

    `before` is the (time, value) of the row before the first, where there is one. `since` and `until` are the ends of the window.
    """

    __slots__ = ("before", "is_paid", "since", "times", "until", "values")

    def __init__(
        self, times: Sequence[int], values: Sequence[float], before: tuple[int, float] | None, since: int, until: int, is_paid: bool = False
    ) -> None:
        self.times, self.values, self.before = times, values, before
        self.since, self.until, self.is_paid = since, until, is_paid

    def __len__(self) -> int:
        return len(self.times)

    def mean(self) -> float | None:
        """The mean over the time that each value stood for; None where that is not known.

        A price stands from its row until the next. A funding rate was paid for the time since the row before it, and the mean is a year's:
        8 hours at 0.0008 and 8 times an hour at 0.0001 are the same.
        """
        if self.is_paid:
            if not len(self.times) or self.before is None:
                return None
            return sum(self.values) * _YEAR_US / (self.times[-1] - self.before[0])
        if self.before is None and not len(self.times):
            return None
        at, value = (self.times[0], self.values[0]) if self.before is None else (self.since, self.before[1])
        begin, total = at, 0.0
        for next_at, next_value in zip(self.times, self.values, strict=True):
            total += value * (next_at - at)
            at, value = next_at, next_value
        total += value * (self.until - at)
        return total / (self.until - begin) if self.until > begin else value


def no_history(since: int, until: int) -> History:
    """That of a series of which nothing is known."""
    return History(_NOTHING, _NOTHING, None, since, until)


def require_history(kind: str, hours: object) -> int:
    """The window in microseconds.

    Raises:
        ComponentError: STR-001, there is no history of this kind, or the window is none.
    """
    if kind not in WITH_HISTORY:
        raise ComponentError("STR-001", f"history: kind {shown(kind)} has none; there is one of {', '.join(WITH_HISTORY)}")
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= 1e6:
        raise ComponentError("STR-001", f"history: hours {shown(hours)} is no window; write a number above 0 and at most 1e6, such as 24")
    return round(hours * HOUR_US)
