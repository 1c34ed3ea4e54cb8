"""One series of a live feed in memory: what was known of it, and from which instant on."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.clock import HOUR_US, iso

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.public_exchange import Bar, Rate

THINNED_AFTER_US = 2 * HOUR_US  # older rows stay only where they are those of a full hour
LATE_US = 1
NONE = Decimal(0)
MOST_ROWS = 5_000
_visible = attrgetter("visible")


class FeedRow(NamedTuple):
    """`visible`: from when on it could be known. `stamp`: the exchange's time of it. Of a funding rate, low and high are the rate too.
    Of a chain's series the value is a row (`core/market.py`), and low and high are 0."""

    visible: int
    stamp: int
    value: Any
    low: Decimal
    high: Decimal


class FeedSeries:
    """Rows by the instant from which on they are visible. A row is added at the end, and none is changed: what was read stays so.

    `trouble` says why the last look at the exchange brought nothing; empty where it did.
    """

    def __init__(self, kind: str, venue: str, name: str) -> None:
        self.kind, self.venue, self.name = kind, venue, name
        self.id = f"ohlcv/{venue}/{kind}/{name}" if kind in ("spot", "perp") else f"{kind}/{venue}/{name}"
        self.trouble = ""
        self.announced: Rate | None = None  # the next payment, as the exchange says it
        self.closed_until: int | None = None  # when the last closed bar that is known closed
        self._thinned = 0
        self._rows: list[FeedRow] = []

    def last(self) -> FeedRow | None:
        """The newest row."""
        return self._rows[-1] if self._rows else None

    def at(self, instant: int) -> FeedRow | None:
        """The row in force at an instant."""
        place = self._place(instant)
        return self._rows[place - 1] if place else None

    def after(self, instant: int) -> int | None:
        """When the first row after an instant becomes visible, if it is known."""
        place = self._place(instant)
        return self._rows[place].visible if place < len(self._rows) else None

    def within(self, first: int, last: int) -> list[FeedRow]:
        """The rows that became visible after one instant and up to another."""
        return self._rows[self._place(first) : self._place(last)]

    def _place(self, instant: int) -> int:
        """How many rows are visible at an instant."""
        return bisect_right(self._rows, instant, key=_visible)

    # Adding.

    def add_bars(self, bars: Iterable[Bar], length_us: int, now: int) -> None:
        """Add bars, oldest first: a closed one as of its close, one that has not closed as the price of `now`.

        One that closed before the newest row is left out: later prices have been read.
        """
        for bar in bars:
            closed, newest = bar.opened + length_us, self.last()
            if closed > now:
                self._add(FeedRow(self._next(now), now, bar.close, bar.close, bar.close))
            elif newest is None or closed > newest.stamp:
                self._add(FeedRow(self._next(closed), closed, bar.close, bar.low, bar.high))
                self.closed_until = closed
        self._thin(now)

    def add_rates(self, rates: Iterable[Rate]) -> None:
        """Add funding rates, oldest first, each visible when it is paid; one whose payment is there already is left out."""
        for rate in rates:
            newest = self.last()
            if newest is None or rate.paid_at > newest.visible:
                self._add(FeedRow(rate.paid_at, rate.paid_at, rate.rate, rate.rate, rate.rate))

    def forget_after(self, instant: int) -> None:
        """Take away what became visible after an instant that is now: it was seen by a clock that was ahead."""
        self._rows = [row for row in self._rows if row.visible <= instant]
        self._thinned = min(self._thinned, len(self._rows))
        if self.closed_until is not None:
            self.closed_until = min(self.closed_until, instant)
        self.announced = None

    def add_row(self, stamp: int, value: Any, now: int) -> None:
        """Add what a chain was like at a block, known from now on; one that is there already is left out."""
        newest = self.last()
        if newest is None or stamp > newest.stamp:
            self._add(FeedRow(self._next(now), stamp, value, NONE, NONE))
            self._thin(now)

    def _next(self, visible: int) -> int:
        return max(visible, self._rows[-1].visible + LATE_US) if self._rows else visible

    def _add(self, row: FeedRow) -> None:
        self._rows.append(row)

    def _thin(self, now: int) -> None:
        """Weeks of looks at the price are too many to keep."""
        if len(self._rows) > self._thinned + MOST_ROWS:
            old = now - THINNED_AFTER_US
            self._rows = [row for row in self._rows if row.visible > old or row.stamp % HOUR_US == 0]
            self._thinned = len(self._rows)

    def described(self, row: FeedRow, instant: int) -> str:
        """The start of a message about a row that is too old."""
        what = "price" if self.kind in ("spot", "perp", "funding") else "row"
        return f"{self.id}: the last {what} known at {iso(instant)} is of {iso(row.stamp)}, {(instant - row.stamp) / 1_000_000:,.0f} s old"
