"""The spread: what staking earns minus what borrowing costs, and whether it is enough to borrow at all."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from basis_strategy_v1.core.clock import DAY_US, HOUR_US
from basis_strategy_v1.core.settings import number, whole
from basis_strategy_v1.strategies.parameters import SpreadParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.venue_facts import Loan

BPS = Decimal(10_000)
YEAR_US = Decimal(365 * DAY_US)

# A row of the staking rate, and what borrowing had come to when it was read: when it became visible (microseconds since 1970), ETH per
# token, when it was read, what a debt of 1 had grown to, what our debt pays beyond the rate in that growth (a fraction a year).
Row = tuple[int, Decimal, int, Decimal, Decimal]


_HUNDRED = "100 is 1 %"
LeastSpread = Annotated[
    Decimal, number(_HUNDRED, at_least=-10_000, at_most=10_000), "the loop is unwound when staking minus borrowing earns less a year"
]
Hysteresis = Annotated[
    Decimal, number(_HUNDRED, at_least=0, at_most=10_000), "the loop is built again when the spread is above min_spread_bps by this much"
]
SpreadWindow = Annotated[int, whole(at_least=24, at_most=8760), "hours of rates that the spread is the mean of"]


class SpreadMemory(Struct, frozen=True, gc=False):
    """The rows of the window, oldest first, and whether the spread was too small when the last of them came."""

    is_out: bool = False
    rows: tuple[Row, ...] = ()


class Spread:
    """Staking minus borrowing over a window that ends now, from the rows as they became visible.

    Too little makes `is_out` true; it is false again when the spread is above the limit by the hysteresis. Nothing is judged
    until the rows cover the window.
    """

    def __init__(self, series: str, token: str, parameters: SpreadParameters) -> None:
        self._key = ("staking", series, token)
        self.hours = parameters.spread_window_hours
        self._window_us = parameters.spread_window_hours * HOUR_US
        self._leave_below = parameters.min_spread_bps / BPS
        self._enter_above = self._leave_below + parameters.spread_hysteresis_bps / BPS

    def update_to(self, memory: SpreadMemory, snapshot: MarketSnapshot, loan: Loan, own_rate: Callable[[], Decimal]) -> SpreadMemory:
        """The memory with the last row, if it is a new one; `own_rate` is what our debt pays now (a fraction a year)."""
        stamp = snapshot.row_stamp(*self._key)
        if stamp is None or (memory.rows and memory.rows[-1][0] == stamp):
            return memory
        index, rate = loan.growth(snapshot) if loan.growth and snapshot.has_rows else (Decimal(1), Decimal(0))
        rows = (*memory.rows, (stamp, snapshot.redemption(*self._key[1:]), snapshot.instant, index, own_rate() - rate))
        first = 0
        while first + 1 < len(rows) and rows[first + 1][0] <= stamp - self._window_us:
            first += 1
        rows = rows[first:]
        spread = self.value(rows)
        if spread is None:
            return SpreadMemory(memory.is_out, rows)
        return SpreadMemory(spread < (self._enter_above if memory.is_out else self._leave_below), rows)

    def value(self, rows: tuple[Row, ...]) -> Decimal | None:
        """The spread, a fraction a year; None until the rows cover the window. Both rates are means over time, not over rows: what a token
        and a debt have grown by, and what our own debt adds, from one reading of it to the next."""
        if not rows or rows[-1][0] - rows[0][0] < self._window_us:
            return None
        (first, token_then, begin, debt_then, _), (last, token_now, end, debt_now, _) = rows[0], rows[-1]
        added = sum(((row[4] + after[4]) / 2 * (after[2] - row[2]) for row, after in pairwise(rows)), Decimal(0))
        staking = (token_now / token_then - 1) * YEAR_US / (last - first)
        return staking - ((debt_now / debt_then - 1) * YEAR_US + added) / (end - begin)
