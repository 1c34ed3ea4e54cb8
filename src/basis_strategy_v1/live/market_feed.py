"""Market data as they come: prices and funding rates of the exchanges, read when they are asked for and kept with their history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import DAY_US, HOUR_US, MICROSECOND, SECOND_US, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.core.market import DOLLAR_TOKENS
from basis_strategy_v1.live.feed_series import FeedSeries
from basis_strategy_v1.live.feed_snapshot import FeedSnapshot
from basis_strategy_v1.live.public_exchange import BARS_US

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.live.chain_feed import ChainRows
    from basis_strategy_v1.live.public_exchange import PublicExchange


Key = tuple[str, str, str]  # kind (spot, perp, funding), exchange, symbol

KINDS = ("spot", "perp", "funding")
COMPONENT = "MarketFeed"
FRESH_US = SECOND_US  # a look at the exchanges is good for so long
ANNOUNCED_US = 60 * SECOND_US  # the next funding is asked for so often
MOST_MINUTES_US = 3 * HOUR_US  # a longer time is filled with bars of an hour
MINUTE_US = BARS_US["1m"]
OLDEST = timedelta(hours=36)


def _nobody(message: str) -> None:
    """Nobody listens."""


class MarketFeed:
    """The series of some exchanges, on the wall clock.

    `snapshot(at)` looks at the exchanges unless a look not older than a second is there; a time before the last look is read from what was
    known then. `fresh()` is the snapshot of now. A series that nobody named is read from the first time on that it is asked for.
    An exchange that does not answer leaves its series as they are: they value positions for `max_staleness`, and no trade is opened.

    Args:
        exchanges: by the name that the series have.
        series: those that are read at each look.
        spot_venues: where prices come from, in order.
        max_staleness: how old the last row of a series may be, by the beginning of its id and for `default`.
        missing_funding: `error`, or `zero` where a payment is due and has no rate.
        chain: what gives the series of a chain: gas and lending.

    `on_silence` is called with a line when an exchange ceases to answer, once until it answers again.
    """

    generated = False

    def __init__(
        self,
        exchanges: Mapping[str, PublicExchange],
        series: Iterable[Key],
        clock: Clock,
        *,
        spot_venues: Sequence[str] = (),
        max_staleness: Mapping[str, timedelta] | None = None,
        missing_funding: str = "error",
        chain: ChainRows | None = None,
    ) -> None:
        self.clock = clock
        self.takes_zero_funding = missing_funding == "zero"
        self.missing_funding_used: list[tuple[str, datetime]] = []
        self._exchanges = dict(exchanges)
        self._chain = chain
        self._wanted = tuple(dict.fromkeys(series))
        self._spot_venues = tuple(dict.fromkeys((*spot_venues, *exchanges)))
        self._staleness = {"default": OLDEST, **(max_staleness or {})}
        self._series: dict[Key, FeedSeries] = {}
        self._price_keys: dict[str, tuple[Key, bool] | None] = {}
        self._lock = RLock()
        self._since = self._looked_at = self._announced_at = 0
        self._silent: frozenset[str] = frozenset()  # the exchanges that did not answer at the last look
        self.on_silence: Callable[[str], None] = _nobody

    # Reading.

    def load(self, since: datetime) -> None:
        """Read the history from a time on, and what is known now.

        Raises:
            VenueUnreachable: CEX-002, an exchange does not answer. MissingData: DAT-001, an exchange does not list a symbol.
        """
        with self._lock:
            self._since, self._looked_at = to_instant(since), to_instant(self.clock.now())
            for key in self._wanted:
                self.series(*key)

    def snapshot(self, at: datetime, instant: int | None = None) -> FeedSnapshot:
        """What is known at a time."""
        if instant is None:
            instant = to_instant(at)
        with self._lock:
            self._notice_the_clock()
            if instant - self._looked_at >= FRESH_US or self._is_payment_due(instant):
                self._look(instant)
        return FeedSnapshot(at, instant, self)

    def _notice_the_clock(self) -> None:
        """A clock that was ahead, and was set back, has seen prices at times that are still to come: they are forgotten, and read again."""
        now = to_instant(self.clock.now())
        if now <= self._looked_at - FRESH_US:
            for series in self._series.values():
                series.forget_after(now)
            self._looked_at, self._announced_at = now - FRESH_US, 0

    def fresh(self) -> FeedSnapshot:
        """What is known now."""
        return self.snapshot(self.clock.now())

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        """The nested dict of the series that are read, in floats."""
        snapshot = self.snapshot(timestamp)
        market: dict[str, Any] = {"prices": {}, "spot_prices": {}, "perp_prices": {}, "funding_rates": {}}
        for kind, venue, name in (key for key in self._series if key[0] in KINDS):
            with suppress(ComponentError):
                place = "funding_rates" if kind == "funding" else f"{kind}_prices"
                market[place].setdefault(venue, {})[name] = float(getattr(snapshot, kind)(venue, name))
        return {"timestamp": timestamp, "market_data": market, "protocol_data": {}, "execution_data": {}}

    # What the snapshots ask.

    def series(self, kind: str, venue: str, name: str) -> FeedSeries | None:
        """A series; None of a kind, or of a venue, that the feed does not have.

        Raises:
            MissingData: DAT-001, the exchange does not list the symbol. VenueUnreachable: CEX-002, it cannot be asked.
        """
        key = (kind, venue, name)
        with self._lock:
            if key not in self._series and self._chain is not None and self._chain.has(*key):
                self._series[key] = series = FeedSeries(*key)
                self._read_chain([series], to_instant(self.clock.now()))
            elif key not in self._series:
                exchange = self._exchanges.get(venue) if kind in KINDS else None
                if exchange is None:
                    return None
                now = to_instant(self.clock.now())
                series = FeedSeries(*key)
                self._read(exchange, series, now)
                self._series[key] = series
            return self._series[key]

    def price_key(self, token: str) -> tuple[Key, bool] | None:
        """The spot series that prices a token in dollars, and whether in USDC; None where no exchange lists one."""
        with self._lock:
            if token not in self._price_keys:
                self._price_keys[token] = self._find_price_key(token)
            return self._price_keys[token]

    def _find_price_key(self, token: str) -> tuple[Key, bool] | None:
        symbols = [(f"{token}{quote}", quote == "USDC") for quote in DOLLAR_TOKENS if quote != token]
        for venue in self._spot_venues:
            for symbol, is_in_usdc in symbols:
                if ("spot", venue, symbol) in self._series or self._exchanges[venue].lists("spot", symbol):
                    return ("spot", venue, symbol), is_in_usdc
        return None

    def max_staleness_us(self, series: FeedSeries) -> int:
        """How old its last row may be."""
        fitting = [name for name in self._staleness if series.id.startswith(name)]
        return self._staleness[max(fitting, key=len, default="default")] // MICROSECOND

    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        """The symbols that are read of an exchange."""
        return tuple(sorted(name for of, at, name in self._series if (of, at) == (kind, venue)))

    def what_there_is(self, kind: str, venue: str) -> str:
        """The end of a message about what is not there."""
        if kind not in KINDS:
            more = (
                "what a chain knows" if self._chain is None else "of the chain it has gas and the lending rates of Aave; what else it knows"
            )
            return f"a live feed has prices and funding rates of exchanges; {more} is in recorded data: add --data DIR --speed max"
        return f"the exchanges that are read are {', '.join(self._exchanges) or 'none'}"

    @property
    def series_used(self) -> tuple[str, ...]:
        """The ids of the series that are read."""
        return tuple(sorted(series.id for series in self._series.values()))

    # Health.

    def check_health(self) -> dict[str, Any]:
        """The answer to the health manager: degraded while an exchange does not answer."""
        with self._lock:
            troubles = dict.fromkeys(series.trouble for series in self._series.values() if series.trouble)
        return {
            "status": "degraded" if troubles else "healthy",
            "last_update": None,
            "errors": [{"error_code": "CEX-002", "error_message": trouble} for trouble in troubles],
            "metrics": {"series": len(self._series)},
        }

    # Looking at the exchanges.

    def _is_payment_due(self, instant: int) -> bool:
        """Whether a payment that was announced fell due after the last look."""
        announced = [series.announced for series in self._series.values() if series.announced is not None]
        return any(self._looked_at < rate.paid_at <= instant for rate in announced)

    def _look(self, now: int) -> None:
        """Read every series again. An exchange that does not answer once is not asked for its other series."""
        silent: dict[str, str] = {}
        asks_for_next = now - self._announced_at >= ANNOUNCED_US
        of_chain = [series for key, series in self._series.items() if self._chain is not None and self._chain.has(*key)]
        try:
            self._read_chain(of_chain, now)
        except ComponentError as error:
            silent["the chain"] = error.message
            for series in of_chain:
                series.trouble = error.message
        for series in self._series.values():
            if series in of_chain:
                continue
            if series.venue in silent:
                series.trouble = silent[series.venue]
                continue
            try:
                self._read(self._exchanges[series.venue], series, now, asks_for_next=asks_for_next)
                series.trouble = ""
            except ComponentError as error:
                silent[series.venue] = series.trouble = error.message
            self._add_announced(series, now)
        for venue in silent.keys() - self._silent:
            self.on_silence(silent[venue])
        self._silent = frozenset(silent)
        self._looked_at = max(self._looked_at, now)
        if asks_for_next:
            self._announced_at = now

    def _read(self, exchange: PublicExchange, series: FeedSeries, now: int, *, asks_for_next: bool = True) -> None:
        """Bring a series up to now."""
        if series.kind == "funding":
            self._read_funding(exchange, series, now, asks_for_next=asks_for_next)
        else:
            self._read_bars(exchange, series, now)

    def _read_chain(self, series: Sequence[FeedSeries], now: int) -> None:
        """What the chain is like at its newest block, for all of its series at once."""
        if self._chain is None or not series:
            return
        stamp, rows = self._chain.read([(each.kind, each.venue, each.name) for each in series])
        for each in series:
            each.trouble = ""
            if (row := rows.get((each.kind, each.venue, each.name))) is not None:
                each.add_row(stamp, row, now)

    def _read_bars(self, exchange: PublicExchange, series: FeedSeries, now: int) -> None:
        """The bars since the last that has closed: of hours where that is long ago, of minutes up to now.

        The last one is asked for again, so that an exchange which works always gives one.
        """
        since = series.closed_until or self._since or now - MOST_MINUTES_US
        hour = now // HOUR_US * HOUR_US
        if now - since > MOST_MINUTES_US:
            hours = exchange.bars(series.kind, series.name, "1h", since // HOUR_US * HOUR_US, hour - 1)
            series.add_bars([bar for bar in hours if bar.opened + HOUR_US <= now], HOUR_US, now)
            since = hour
        minutes = exchange.bars(series.kind, series.name, "1m", since // MINUTE_US * MINUTE_US - MINUTE_US, now + MINUTE_US)
        if not minutes:
            raise VenueUnreachable("CEX-002", f"{exchange.name} cannot be asked for {series.kind} bars of {series.name}: it gives none")
        series.add_bars(minutes, MINUTE_US, now)

    def _read_funding(self, exchange: PublicExchange, series: FeedSeries, now: int, *, asks_for_next: bool) -> None:
        newest, announced = series.last(), series.announced
        if newest is None:
            series.add_rates(exchange.funding_rates(series.name, (self._since or now) - DAY_US, now))
        elif announced is not None and newest.stamp < announced.paid_at <= now:
            series.add_rates(exchange.funding_rates(series.name, newest.stamp + 1, now))
            self._add_announced(series, now)
            asks_for_next = True
        if asks_for_next or announced is None:
            series.announced = exchange.next_funding(series.name)

    def _add_announced(self, series: FeedSeries, now: int) -> None:
        """A payment that has fallen due and is not in the exchange's history yet is of the rate that was announced."""
        if series.announced is not None and series.announced.paid_at <= now:
            series.add_rates([series.announced])
