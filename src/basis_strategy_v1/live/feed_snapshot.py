"""One instant of a live feed."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import HOUR_US, SECOND_US, iso
from basis_strategy_v1.core.history import History
from basis_strategy_v1.core.market import (
    DOLLAR_TOKENS,
    ONE,
    REDEEMED_BY,
    SAME_AS,
    YEAR_HOURS,
    MarketSnapshot,
    MissingData,
    StaleSeries,
)

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.live.feed_series import FeedRow, FeedSeries

TRADED_US = 60 * SECOND_US  # no trade is opened on an older price


class FeedContent(Protocol):
    """What a snapshot asks its feed (`MarketFeed`)."""

    takes_zero_funding: bool
    missing_funding_used: list[tuple[str, datetime]]

    def series(self, kind: str, venue: str, name: str) -> FeedSeries | None: ...
    def max_staleness_us(self, series: FeedSeries) -> int: ...
    def price_key(self, token: str) -> tuple[tuple[str, str, str], bool] | None: ...
    def names(self, kind: str, venue: str) -> tuple[str, ...]: ...
    def what_there_is(self, kind: str, venue: str) -> str: ...


class FeedSnapshot(MarketSnapshot):
    """What a feed knew at an instant. The age of a price is the time since the exchange's own stamp of it."""

    __slots__ = ("_feed",)

    def __init__(self, at: datetime, instant: int, feed: FeedContent) -> None:
        super().__init__(at, instant)
        self._feed = feed

    def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
        series = self._feed.series(kind, venue, name)
        row = None if series is None else self._young(series)
        if series is None or row is None:
            return None
        if for_trade:
            self._require_fresh(series, row)
        value: Decimal = row.value
        return value

    def _row(self, kind: str, venue: str, name: str) -> Any:
        series = self._feed.series(kind, venue, name)
        row = None if series is None else self._young(series)
        return None if row is None else row.value

    def _young(self, series: FeedSeries) -> FeedRow | None:
        """The row in force, unless it is too old to be used at all."""
        row = series.at(self.instant)
        if row is not None and self.instant - row.stamp > (most_us := self._feed.max_staleness_us(series)):
            allowed = f"older than the {most_us / HOUR_US:g} h allowed"
            raise MissingData(
                "DAT-002", f"{series.described(row, self.instant)}, {allowed}{_why(series)}; raise data.max_staleness, or wait"
            )
        return row

    def _require_fresh(self, series: FeedSeries, row: FeedRow) -> None:
        if series.trouble or self.instant - row.stamp > TRADED_US:
            kept = "it values positions, but no trade is opened on it"
            raise StaleSeries("DAT-002", f"{series.described(row, self.instant)}{_why(series)}: {kept}")

    def perp_range(self, venue: str, symbol: str, kind: str = "perp") -> tuple[Decimal, Decimal]:
        series = self._feed.series(kind, venue, symbol)
        row = None if series is None else self._young(series)
        return self._missing(kind, venue, symbol) if row is None else (row.low, row.high)

    def next_row(self, kind: str, venue: str, name: str) -> int | None:
        series = self._feed.series(kind, venue, name)
        return None if series is None else series.after(self.instant)

    def row_stamp(self, kind: str, venue: str, name: str) -> int | None:
        series = self._feed.series(kind, venue, name)
        row = None if series is None else series.at(self.instant)
        return None if row is None else row.visible

    def next_beyond(self, venue: str, symbol: str, price: Decimal, *, above: bool, until: int, kind: str = "perp") -> int | None:
        series = self._feed.series(kind, venue, symbol)
        rows = [] if series is None else series.within(self.instant, until)
        return next((row.visible for row in rows if (row.high >= price if above else row.low <= price)), None)

    def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
        """What was paid, over the time that it was paid for: each payment is for the time since the one before."""
        series: FeedSeries = self._feed.series("funding", venue, symbol) or self._missing("funding", venue, symbol)
        rows = series.within(self.instant - hours * HOUR_US, self.instant)
        before = series.at(rows[0].visible - 1) if rows else None
        if before is None:
            return None
        paid = sum((row.value for row in rows), Decimal(0))
        return EXACT.divide(EXACT.multiply(paid, YEAR_HOURS * HOUR_US), rows[-1].visible - before.visible)

    def _history(self, kind: str, venue: str, symbol: str, window_us: int) -> History | None:
        """Of bars those that have closed: their stamp is a full minute."""
        series: FeedSeries = self._feed.series(kind, venue, symbol) or self._missing(kind, venue, symbol)
        since = self.instant - window_us
        rows = [row for row in series.within(-1, self.instant) if kind not in ("spot", "perp") or row.stamp % TRADED_US == 0]
        first = bisect_right(rows, since, key=attrgetter("visible"))
        before = (rows[first - 1].visible, float(rows[first - 1].value)) if first else None
        rows = rows[first:]
        times, values = array("q", [row.visible for row in rows]), array("d", [float(row.value) for row in rows])
        return History(
            memoryview(times).toreadonly(), memoryview(values).toreadonly(), before, since, self.instant, is_paid=kind == "funding"
        )

    def funding_missing(self, venue: str, symbol: str) -> Decimal:
        name = f"funding/{venue}/{symbol}"
        if not self._feed.takes_zero_funding:
            way_out = "start again in a minute, or set data.missing_funding: zero"
            raise MissingData("DAT-005", f"{venue} has no rate of {name} yet for the payment of {iso(self.at)}; {way_out}")
        self._feed.missing_funding_used.append((name, self.at))
        return Decimal(0)

    def price(self, token: str) -> Decimal:
        if token == "USDT":
            return ONE
        if token in SAME_AS:
            return self.price(SAME_AS[token])
        if token in REDEEMED_BY:
            protocol, underlying = REDEEMED_BY[token]
            return self.redemption(protocol, token) * self.price(underlying)
        found = self._feed.price_key(token)
        if found is not None:
            (kind, venue, name), is_in_usdc = found
            close = self._close(kind, venue, name, for_trade=False)
            if close is not None:
                return close * self.price("USDC") if is_in_usdc else close
        if token in DOLLAR_TOKENS:
            return ONE
        raise MissingData("DAT-001", f"no price of {token} at {iso(self.at)}: {self._feed.what_there_is('spot', '')}")

    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        return self._feed.names(kind, venue)

    def _trading(self, pair: str) -> tuple[str, ...]:
        return ()

    def what_there_is(self, kind: str, venue: str) -> str:
        return self._feed.what_there_is(kind, venue)


def _why(series: FeedSeries) -> str:
    return f" ({series.trouble})" if series.trouble else ""
