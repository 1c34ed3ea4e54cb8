"""One instant of the series: reads what was visible then, whenever it is asked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import HOUR_US, iso
from basis_strategy_v1.core.market import (
    DOLLAR_TOKENS,
    ONE,
    REDEEMED_BY,
    SAME_AS,
    DayTraded,
    Feed,
    MarketSnapshot,
    MissingData,
    ScaledRow,
    SeriesKey,
)

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.history import History
    from basis_strategy_v1.data.library import Library
    from basis_strategy_v1.data.series import Series

ZERO = Decimal(0)
YEAR_HOURS = 8_760


class MissingFunding:
    """What happens where a funding payment is due and has no row: an error, or 0, which is then written down in `used`."""

    __slots__ = ("is_zero", "used")

    def __init__(self, is_zero: bool) -> None:
        self.is_zero = is_zero
        self.used: list[tuple[str, datetime]] = []


def _closes_of(kind: str) -> Any:
    """`MarketSnapshot.spot` or `perp` over series: a method for each, as a call between would be a third of the whole."""

    def close(self: SeriesSnapshot, venue: str, symbol: str, *, for_trade: bool = False, as_float: bool = False) -> Decimal | float:
        key = (kind, venue, symbol)
        series, instant = self._settled.get(key) or self._library.find(key, self.instant), self.instant
        found: Decimal | None = None
        if series is not None:
            start, end, found = series.last  # the quick way of `read`, written out
            if not start <= instant < end:
                found = series.read(instant, for_trade)
        if as_float and found is not None:
            return float(found)
        return self._missing(*key) if found is None else found

    return close


class SeriesSnapshot(MarketSnapshot):
    """What the series of a library say at `instant`. Nothing is read before it is asked for; a snapshot stays valid for good."""

    __slots__ = ("_library", "_missing_funding", "_settled")

    def __init__(self, at: datetime, instant: int, library: Library, missing_funding: MissingFunding) -> None:
        self.at = at
        self.instant = instant
        self._library = library
        self._settled = library.settled
        self._missing_funding = missing_funding

    def _series(self, kind: str, venue: str, name: str) -> Series | None:
        key = (kind, venue, name)
        return self._settled.get(key) or self._library.find(key, self.instant)

    def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
        series = self._series(kind, venue, name)
        found: Decimal | None = series.read(self.instant, for_trade) if series else None
        return found

    spot, perp = _closes_of("spot"), _closes_of("perp")

    def _row(self, kind: str, venue: str, name: str) -> Any:
        series = self._series(kind, venue, name)
        return None if series is None else series.read(self.instant)

    def perp_range(self, venue: str, symbol: str, kind: str = "perp") -> tuple[Decimal, Decimal]:
        series = self._series(kind, venue, symbol)
        found = series.low_and_high(self.instant) if series else None
        return self._missing(kind, venue, symbol) if found is None else found

    def next_row(self, kind: str, venue: str, name: str) -> int | None:
        key = (kind, venue, name)
        series = self._settled.get(key) or self._library.find(key, self.instant)
        return None if series is None else series.visible_next(self.instant)

    def row_stamp(self, kind: str, venue: str, name: str) -> int | None:
        series = self._series(kind, venue, name)
        if series is None:
            return None
        if kind == "lending" and series.is_too_old(self.instant):
            series.read(self.instant)  # a deposit does not earn at a rate that is too old
        return series.visible_since(self.instant)

    def next_beyond(self, venue: str, symbol: str, price: Decimal, *, above: bool, until: int, kind: str = "perp") -> int | None:
        series = self._series(kind, venue, symbol)
        return None if series is None else series.first_beyond(price, self.instant, until, above=above)

    def next_close_beyond(self, key: SeriesKey, price: Decimal, *, above: bool, until: int) -> int | None:
        series = self._settled.get(key) or self._library.find(key, self.instant)
        return None if series is None else series.first_close_beyond(price, self.instant, until, above=above)

    def traded_before(self, kind: str, venue: str, symbol: str) -> DayTraded | None:
        series = self._series(kind, venue, symbol)
        return None if series is None else series.traded_before(self.instant)

    def last_volume(self, kind: str, venue: str, symbol: str) -> Decimal | None:
        series = self._series(kind, venue, symbol)
        return None if series is None else series.last_volume(self.instant)

    def bar_interval_us(self, kind: str, venue: str, name: str) -> int:
        series = self._series(kind, venue, name)
        return 0 if series is None else series.interval_us

    def published_closes(self, key: SeriesKey, since: int, deviation_bps: Decimal, heartbeat_us: int) -> tuple[Decimal, Decimal] | None:
        series = self._settled.get(key) or self._library.find(key, self.instant)
        return None if series is None else series.published_closes(since, self.instant, deviation_bps, heartbeat_us)

    def next_span(self, venue: str, symbol: str, until: int, kind: str = "perp") -> tuple[Decimal, Decimal] | None:
        key = (kind, venue, symbol)
        series = self._settled.get(key) or self._library.find(key, self.instant)
        return None if series is None else series.span(self.instant, until)

    def lending_scaled(self, protocol: str, token: str) -> ScaledRow | None:
        series = self._series("lending", protocol, token)
        return None if series is None else series.scaled(self.instant)

    def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
        series = self._series("funding", venue, symbol) or self._missing("funding", venue, symbol)
        found = series.sum_within(self.instant, hours * HOUR_US)
        return None if found is None else EXACT.divide(EXACT.multiply(found[0], YEAR_HOURS * HOUR_US), found[1])

    def _history(self, kind: str, venue: str, symbol: str, window_us: int) -> History | None:
        series = self._series(kind, venue, symbol) or self._missing(kind, venue, symbol)
        found: History = series.history(self.instant, window_us)
        return found

    def next_missed(self, venue: str, symbol: str, since: int) -> int | None:
        series = self._series("funding", venue, symbol)
        return None if series is None else series.next_missed(since)

    def price_series(self, token: str) -> tuple[str, str, str] | None:
        if token in SAME_AS:
            return self.price_series(SAME_AS[token])
        if token == "USDT" or token in REDEEMED_BY:
            return None
        for key, is_in_usdc in self._library.price_keys.get(token) or self._library.find_price_keys(token):
            if self._close(*key, for_trade=False) is not None:
                return None if is_in_usdc else key
        return None

    def next_expiry(self, kind: str, venue: str, name: str) -> int | None:
        series = self._series(kind, venue, name)
        since = None if series is None else series.visible_since(self.instant)
        return None if series is None or since is None else since + series.max_staleness_us + 1

    def next_repricing(self, token: str) -> int | None:
        if token in SAME_AS:
            return self.next_repricing(SAME_AS[token])
        earliest: int | None = None
        for key, _ in self._library.price_keys.get(token) or self._library.find_price_keys(token):
            series = self._series(*key)
            if series is None:
                continue
            if series.visible_since(self.instant) is not None:
                break  # the first that is visible says it
            begins = series.visible_next(self.instant)
            if begins is not None and (earliest is None or begins < earliest):
                earliest = begins
        return earliest

    def feed(self, kind: str, venue: str, name: str) -> Feed | None:
        series = self._settled.get((kind, venue, name))
        return None if series is None else series.feed()

    def funding_missing(self, venue: str, symbol: str) -> Decimal:
        series = self._series("funding", venue, symbol)
        name = f"funding/{venue}/{symbol}" if series is None else series.id
        if not self._missing_funding.is_zero:
            raise MissingData("DAT-005", f"{name} has no row at {iso(self.at)}, when a payment is due on the position held; "
                              "fill the gap, or set data.missing_funding: zero")  # fmt: skip
        if (name, self.at) not in self._missing_funding.used[-8:]:
            self._missing_funding.used.append((name, self.at))
        return ZERO

    def price(self, token: str) -> Decimal:
        for key, is_in_usdc in self._library.price_keys.get(token) or self._library.find_price_keys(token):
            series = self._settled.get(key) or self._library.find(key, self.instant)
            close: Decimal | None = series.read(self.instant) if series else None
            if close is not None:
                return close * self.price("USDC") if is_in_usdc else close
        return self._derived_price(token)

    def _derived_price(self, token: str) -> Decimal:
        """The price of what has no market of its own to be priced by."""
        if token in SAME_AS:
            return self.price(SAME_AS[token])
        if token in REDEEMED_BY:
            protocol, underlying = REDEEMED_BY[token]
            return self.redemption(protocol, token) * self.price(underlying)
        if token in DOLLAR_TOKENS:
            return ONE
        raise MissingData("DAT-001", f"no price of {token} at {iso(self.at)}: no spot series of it is visible; "
                          f"{self._library.what_there_is('spot', '')}")  # fmt: skip

    def _missing(self, kind: str, venue: str, name: str) -> Any:
        series = self._series(kind, venue, name)
        ends = series.first_and_last() if series else None
        if series and ends:
            raise MissingData("DAT-001", f"{series.id} has no row visible at {iso(self.at)}; its first is visible from {iso(ends[0])}")
        return super()._missing(kind, venue, name)

    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        return self._library.names(kind, venue)

    def _trading(self, pair: str) -> tuple[str, ...]:
        return self._library.trading(pair)

    def what_there_is(self, kind: str, venue: str) -> str:
        return self._library.what_there_is(kind, venue)
