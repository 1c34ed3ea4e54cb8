"""What staking earns more than borrowing costs, and whether that is enough to borrow at all."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import DAY_US, HOUR_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from basis_strategy_v1.core.market import MarketSnapshot

BPS = Decimal(10_000)
YEAR_US = Decimal(365 * DAY_US)


class Spread:
    """Staking minus borrowing over a window that ends now, from the rows as they became visible.

    Too little makes `is_out` true; it is false again when the spread is above the limit by the hysteresis. Nothing is judged
    until the rows cover the window.
    """

    def __init__(self, protocol: str, token: str, parameters: Mapping[str, Any]) -> None:
        self.is_out = False
        self._key = ("staking", protocol, token)
        self._window_us = parameters["spread_window_hours"] * HOUR_US
        self._leave_below = parameters["min_spread_bps"] / BPS
        self._enter_above = self._leave_below + parameters["spread_hysteresis_bps"] / BPS
        self._rows: deque[tuple[int, Decimal, Decimal]] = deque()  # when, ETH per token, borrow rate

    def observe(self, snapshot: MarketSnapshot, borrow_rate: Callable[[], Decimal]) -> None:
        """Take in the last row, if it is a new one, and what borrowing costs now (a fraction a year)."""
        stamp = snapshot.row_stamp(*self._key)
        if stamp is None or (self._rows and self._rows[-1][0] == stamp):
            return
        _, protocol, token = self._key
        self._rows.append((stamp, snapshot.redemption(protocol, token), borrow_rate()))
        while len(self._rows) > 1 and self._rows[1][0] <= stamp - self._window_us:
            self._rows.popleft()
        spread = self.value()
        if spread is not None:
            self.is_out = spread < (self._enter_above if self.is_out else self._leave_below)

    def value(self) -> Decimal | None:
        """The spread, a fraction a year; None until the rows cover the window."""
        if not self._rows or self._rows[-1][0] - self._rows[0][0] < self._window_us:
            return None
        (first, then, _), (last, now, _) = self._rows[0], self._rows[-1]
        borrowing = sum((rate for _, _, rate in self._rows), Decimal(0)) / len(self._rows)
        return (now / then - 1) * YEAR_US / (last - first) - borrowing
