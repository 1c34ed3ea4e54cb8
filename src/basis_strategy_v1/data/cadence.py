"""How often a series has a row, from the rows around an instant: a symbol may pay each 8 hours and later each hour."""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.data.check_cadence import GAP_STEPS, NEIGHBOURS, long_steps, usual_step
from basis_strategy_v1.data.columns import steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MINUTE_US = 60 * SECOND_US  # rows are stamped up to a minute late


def time_paid_for(stamps: Sequence[int], first: int) -> int:
    """The time that the rows from `first` on (1 at least) were paid for: from the row before each to the row, gaps left out.

    Whether the last step is a gap is not known yet: it counts whole.
    """
    whole: int = stamps[-1] - stamps[first - 1]
    begin = max(first - 1 - NEIGHBOURS, 0)
    steps = steps_of(stamps[begin:])
    bound = GAP_STEPS * min(steps)
    for place in range(first - 1 - begin, len(steps) - 1):
        if steps[place] > bound and steps[place] > GAP_STEPS * (usual := usual_step(steps, place)):
            whole -= steps[place] - usual
    return whole


def missed_payments(stamps: Sequence[int], until: int) -> Iterator[int]:
    """When a row should have come and did not, by the rows around: within the series, and from its last row to `until`."""
    if len(stamps) < 2:
        return
    for row, step in long_steps(stamps):
        usual = _in_minutes(step)
        yield from range(stamps[row] + usual, stamps[row + 1] - usual // 2, usual)
    steps = steps_of(stamps[-NEIGHBOURS - 1 :])
    usual = _in_minutes(median_low(steps))
    yield from range(stamps[-1] + usual, until + 1, usual)


def _in_minutes(step: int) -> int:
    """The step without what single rows are late."""
    return max(round(step / MINUTE_US), 1) * MINUTE_US
