"""One instant of outside data: what the exchanges, the protocols and the chain were like at `at`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, overload

from msgspec import Struct

from basis_strategy_v1.core.amounts import exact_number, shown
from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.history import History, no_history, require_history
from basis_strategy_v1.core.state_rows import StateRow, series_name
from basis_strategy_v1.core.tokens import STAKED, WETH

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

ONE = Decimal(1)
YEAR_HOURS, USUAL_FUNDING_HOURS = 8_760, 8
MOST_LISTED = 10
STATES = ("pool", "market")
# Worth one dollar where no series says otherwise. What an exchange quotes in is in its row (venues/exchanges.py).
DOLLAR_TOKENS = ("USDT", "USDC", "USD")
# What a token is worth comes from this one, 1:1 or through the redemption rate that its protocol publishes.
SAME_AS = {"WETH": "ETH", "WBTC": "BTC", **{row.rebasing: row.underlying for row in STAKED if row.rebasing is not None}}
REDEEMED_BY = {row.wrapped: (row.protocol, row.underlying) for row in STAKED}


class MissingData(ComponentError):
    """A series has no visible row (DAT-001) or only one that is too old (DAT-002)."""


class StaleSeries(MissingData):
    """The last row still values positions, but no trade is opened on it."""


SeriesKey = tuple[str, str, str]  # kind, venue, name


class DayTraded(NamedTuple):
    """A day of a market: its volume (base units), the daily volatility of its price (bps), its last close."""

    volume: Decimal
    volatility_bps: Decimal
    close: Decimal


class Feed(Protocol):
    """Closes of one series as integers: `close(instant)` is the close then, in 10**-decimals; `closes` those of instants that rise.
    Raises what `perp` and `spot` raise."""

    decimals: int

    def close(self, instant: int) -> int: ...

    def closes(self, instants: array[int]) -> Sequence[int]: ...


class LendingRow(NamedTuple):
    """A lending market as its protocol published it at `stamp` (microseconds since 1970). Indices are fractions of 1,
    rates fractions a year, totals token units, the oracle price USD."""

    stamp: int
    liquidity_index: Decimal
    liquidity_rate: Decimal
    variable_borrow_index: Decimal
    variable_borrow_rate: Decimal
    total_supplied: Decimal
    total_borrowed: Decimal
    oracle_price_usd: Decimal


class ScaledRow(NamedTuple):
    """The numbers of a row as integers: each is `values[i] * 10**-decimals[i]`. In the order of LendingRow, without the stamp."""

    stamp: int
    values: Sequence[int]
    decimals: tuple[int, ...]


class GasRow(NamedTuple):
    base_fee_gwei: Decimal
    priority_fee_gwei: Decimal


class MarketSnapshot(ABC):
    """What could be known at `at`, exact.

    Every reader raises MissingData, naming the series and the time, where nothing is visible: never a silent 0.
    Prices are in quote units per base unit.
    """

    __slots__ = ("at", "instant")
    has_rows: ClassVar[bool] = True  # whether the source knows when its rows came; otherwise what it says holds at any instant

    def __init__(self, at: datetime, instant: int | None = None) -> None:
        self.at = at
        self.instant = to_instant(at) if instant is None else instant

    # What a source of data answers. `kind` is spot, perp, funding, lending, staking, dex, gas, pool or market.

    @abstractmethod
    def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
        """The last visible close of a spot, perp or dex series. Raises StaleSeries where `for_trade` and it is old."""

    @abstractmethod
    def _row(self, kind: str, venue: str, name: str) -> Any:
        """The last visible row: Decimal (funding, staking, queue), LendingRow, GasRow or StateRow; None where there is none."""

    @abstractmethod
    def perp_range(self, venue: str, symbol: str, kind: str = "perp") -> tuple[Decimal, Decimal]:
        """(low, high) of the last visible bar of a perp's `kind` (perp or mark); both the close where the data have no bars."""

    @abstractmethod
    def next_row(self, kind: str, venue: str, name: str) -> int | None:
        """When the next row after this instant becomes visible (microseconds since 1970), if the source knows."""

    @abstractmethod
    def row_stamp(self, kind: str, venue: str, name: str) -> int | None:
        """When the last visible row became visible (microseconds since 1970)."""

    def next_beyond(self, venue: str, symbol: str, price: Decimal, *, above: bool, until: int, kind: str = "perp") -> int | None:
        """When, after this instant and up to `until`, the first bar of a perp's `kind` (perp or mark) becomes visible whose high reaches
        `price` (its low, where not `above`): microseconds since 1970. Where the source has no bars, the next row, whatever its price."""
        following = self.next_row(kind, venue, symbol)
        return following if following is not None and following <= until else None

    def next_span(self, venue: str, symbol: str, until: int, kind: str = "perp") -> tuple[Decimal, Decimal] | None:
        """(lowest low, highest high) of every bar of a perp's `kind` (perp or mark) that becomes visible after this instant and up to
        `until`, and perhaps of more bars; None where there is none, or the source has no bars."""
        return None

    def next_close_beyond(self, key: SeriesKey, price: Decimal, *, above: bool, until: int) -> int | None:
        """When, after this instant and up to `until`, the first row of a series becomes visible whose close is at least `price` (at most,
        where not `above`); None where there is none, or the source has no bars."""
        return None

    def traded_before(self, kind: str, venue: str, symbol: str) -> DayTraded | None:
        """What was traded of a spot or perp symbol in the day before today's (UTC); None where the source has no bars that show it."""
        return None

    def last_volume(self, kind: str, venue: str, symbol: str) -> Decimal | None:
        """The volume (base units) of the last visible bar; None where the source has none."""
        return None

    def bar_interval_us(self, kind: str, venue: str, name: str) -> int:
        """How long a bar of a series is; 0 where the source has no bars."""
        return 0

    def published_closes(self, key: SeriesKey, since: int, deviation_bps: Decimal, heartbeat_us: int) -> tuple[Decimal, Decimal] | None:
        """The close in force at `since`, and what an oracle that published it then has published by now: a close that differs by so many
        bps from the last published one, or the first after the heartbeat. None where no close was in force."""
        return None

    @abstractmethod
    def funding_missing(self, venue: str, symbol: str) -> Decimal:
        """The rate to use at this instant, where a payment is due and there is no row for it.

        Raises:
            MissingData: DAT-005, unless the config says to take 0.
        """

    @abstractmethod
    def price(self, token: str) -> Decimal:
        """USD per token, for valuation."""

    # What the package asks for.

    @overload
    def spot(self, venue: str, symbol: str, *, for_trade: bool = ..., as_float: Literal[False] = ...) -> Decimal: ...
    @overload
    def spot(self, venue: str, symbol: str, *, for_trade: bool = ..., as_float: bool) -> Any: ...
    def spot(self, venue: str, symbol: str, *, for_trade: bool = False, as_float: bool = False) -> Any:
        """The last visible close, exact; `as_float` gives it as a float."""
        found = self._close("spot", venue, symbol, for_trade=for_trade)
        found = self._missing("spot", venue, symbol) if found is None else found
        return float(found) if as_float else found

    @overload
    def perp(self, venue: str, symbol: str, *, for_trade: bool = ..., as_float: Literal[False] = ...) -> Decimal: ...
    @overload
    def perp(self, venue: str, symbol: str, *, for_trade: bool = ..., as_float: bool) -> Any: ...
    def perp(self, venue: str, symbol: str, *, for_trade: bool = False, as_float: bool = False) -> Any:
        """The last visible close, exact; `as_float` gives it as a float."""
        found = self._close("perp", venue, symbol, for_trade=for_trade)
        found = self._missing("perp", venue, symbol) if found is None else found
        return float(found) if as_float else found

    def kind_of_price(self, wanted: str, venue: str, symbol: str) -> str:
        """`wanted` (mark or index), where the source has such a series of a perp; else `perp`: its last price stands for it."""
        return wanted if symbol in self.names(wanted, venue) else "perp"

    def perp_price(self, wanted: str, venue: str, symbol: str) -> Decimal:
        """The last visible close of a perp's mark or index series, where the source has one, else of its own."""
        kind = self.kind_of_price(wanted, venue, symbol)
        if kind == "perp":
            return self.perp(venue, symbol)
        found = self._close(kind, venue, symbol, for_trade=False)
        return self._missing(kind, venue, symbol) if found is None else found

    def funding(self, venue: str, symbol: str) -> Decimal:
        """The last visible funding rate, a fraction of the notional per payment; positive: longs pay."""
        found: Decimal | None = self._row("funding", venue, symbol)
        return self._missing("funding", venue, symbol) if found is None else found

    def lending(self, protocol: str, token: str) -> LendingRow:
        found: LendingRow | None = self._row("lending", protocol, token)
        return self._missing("lending", protocol, token) if found is None else found

    def lending_scaled(self, protocol: str, token: str) -> ScaledRow | None:
        """The row of `lending` as integers, one object as long as it is in force; None where the source has no such form of it.

        Raises:
            MissingData: as `lending`.
        """
        return None

    def redemption(self, protocol: str, token: str) -> Decimal:
        """ETH per token, as the protocol redeems it."""
        found: Decimal | None = self._row("staking", protocol, token)
        return self._missing("staking", protocol, token) if found is None else found

    def dex_rate(self, protocol: str, pair: str, *, for_trade: bool = False) -> Decimal:
        """The market price of a pair such as `weETH_WETH`, second token per first."""
        found = self._close("dex", protocol, pair, for_trade=for_trade)
        return self._missing("dex", protocol, pair) if found is None else found

    def pool(self, protocol: str, name: str) -> StateRow:
        """The state of a pool, as `dex/<protocol>/<POOL>.state.csv` has it."""
        found: StateRow | None = self._row("pool", protocol, series_name(name))
        return self._missing("pool", protocol, series_name(name)) if found is None else found

    def lending_market(self, protocol: str, name: str) -> StateRow:
        """The state of a market such as `wstETH/WETH`, as `lending/morpho/<MARKET>.csv` has it."""
        found: StateRow | None = self._row("market", protocol, series_name(name))
        return self._missing("market", protocol, series_name(name)) if found is None else found

    @abstractmethod
    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        """The names of a kind of series (pool, market, mark, index) that the source has, as in their paths, sorted."""

    @abstractmethod
    def _trading(self, pair: str) -> Iterable[str]:
        """The DEXes, in the order of their names, that the source has prices of a pair of."""

    @abstractmethod
    def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
        """The mean funding rate of the last `hours`, as a fraction of the notional a year: what was paid, over the time that it was paid
        for. None where the data do not reach back so far, or have no payment in that time.

        Raises:
            MissingData: DAT-001, there are no funding rates of that name at all.
        """

    def history(self, kind: str, venue: str, symbol: str, hours: float) -> History:
        """What the series said in the last `hours`: `kind` is spot, perp (closes), funding, staking or dex. Nothing later, no bar that has
        not closed. Empty before the first row.

        Raises:
            MissingData: DAT-001, the source has no series of that name.
            ComponentError: STR-001, there is no history of this kind, or `hours` is not above 0.
        """
        window_us = require_history(kind, hours)
        found = self._history(kind, venue, symbol, window_us)
        return no_history(self.instant - window_us, self.instant) if found is None else found

    def _history(self, kind: str, venue: str, symbol: str, window_us: int) -> History | None:
        """None where the source keeps no rows of the past."""
        return None

    def next_missed(self, venue: str, symbol: str, since: int) -> int | None:
        """The first funding payment from `since` on (microseconds since 1970) that the rows around it ask for and that has no row; None
        where the source does not know."""
        return None

    def price_series(self, token: str) -> tuple[str, str, str] | None:
        """The one series whose close is `price(token)` now; None where the price is made in another way."""
        return None

    def next_expiry(self, kind: str, venue: str, name: str) -> int | None:
        """The first instant at which the last visible row is too old, if no other comes before; None where nothing grows old."""
        return None

    def next_repricing(self, token: str) -> int | None:
        """When another series than now begins to say what `price(token)` is; None where none does."""
        return None

    def feed(self, kind: str, venue: str, name: str) -> Feed | None:
        """A faster reader of one series' closes, for this and later instants; None where the source has none to offer."""
        return None

    def market_rate(self, token: str) -> Decimal | None:
        """ETH per staked token as it trades, at the first DEX by name that has a price of it; None where none has."""
        pair = f"{token}_{WETH}"
        for protocol in self._trading(pair):
            try:
                found = self._close("dex", protocol, pair, for_trade=False)
            except MissingData as missing:
                if missing.error_code != "DAT-002":
                    raise
                continue  # too old to say anything
            if found is not None:
                return found
        return None

    def gas(self, chain: str = "ethereum") -> GasRow:
        found: GasRow | None = self._row("gas", chain, chain)
        return self._missing("gas", chain, chain) if found is None else found

    def queue_days(self, protocol: str) -> Decimal | None:
        """Days from a withdrawal request made now until it can be claimed; None where the source does not say."""
        found: Decimal | None = self._row("queue", protocol, protocol)
        return found

    def _missing(self, kind: str, venue: str, name: str) -> Any:
        raise MissingData("DAT-001", f"no {kind} data of {venue} for {name} at {iso(self.at)}; {self.what_there_is(kind, venue)}")

    def what_there_is(self, kind: str, venue: str) -> str:
        """The end of the message about a miss: what the source does have."""
        return "the data have none"


class DictSnapshot(MarketSnapshot):
    """A snapshot over the nested dict of any `get_data(timestamp)`; floats become the Decimals that they print as.

    Where `market_data` has only `prices`, spot and perp trade at the base token's price.
    """

    __slots__ = ("_execution", "_market", "_protocols", "_quotes")
    has_rows: ClassVar[bool] = False

    def __init__(self, at: datetime, data: Mapping[str, Any], quotes: Sequence[str] = DOLLAR_TOKENS) -> None:
        super().__init__(at)
        self._quotes = quotes
        self._market = _dig(data, "market_data")
        self._protocols = _dig(data, "protocol_data")
        self._execution = _dig(data, "execution_data")

    def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
        if kind == "dex":
            return self._price(_dig(self._protocols, venue, name), "dex price", name, venue)
        table = _dig(self._market, f"{kind}_prices")
        if table is None:
            base = base_of(name, self._quotes)
            return self._price(_dig(self._market, "prices", base), "price", base)
        return self._price(_dig(table, venue, name), f"{kind} price", name, venue)

    def _row(self, kind: str, venue: str, name: str) -> Any:
        if kind == "funding":
            return self._number(_dig(self._market, "funding_rates", venue, name), "funding rate", name, venue)
        if kind == "queue":
            return self._number(_dig(self._protocols, venue, "queue_days"), "queue length", name, venue)
        if kind == "gas":
            gas = _dig(self._execution, "gas")
            return GasRow(*self._fields(gas, GasRow._fields, "gas")) if gas else None
        if kind in STATES:
            texts = _dig(self._protocols, venue, f"{kind}s", name)
            return None if texts is None else StateRow(self.instant, {str(column): str(texts[column]) for column in _names(texts)})
        found = _dig(self._protocols, venue, name)
        if kind == "staking":
            return self._price(_dig(found, "eth_per_token"), "eth_per_token", name, venue)
        return LendingRow(self.instant, *self._fields(found, LendingRow._fields[1:], name, venue)) if found else None

    def _fields(self, row: Any, fields: tuple[str, ...], name: str, venue: str = "") -> list[Decimal]:
        numbers = []
        for field in fields:
            number = self._number(_dig(row, field), field, name, venue)
            if number is None:
                raise self._wrong(field, name, venue, f"is missing; a row has {', '.join(fields)}")
            numbers.append(number)
        return numbers

    def _price(self, value: Any, what: str, name: str, venue: str = "") -> Decimal | None:
        number = self._number(value, what, name, venue)
        if number is not None and number <= 0:
            raise self._wrong(what, name, venue, f"must be greater than 0, got {shown(value)}")
        return number

    def _number(self, value: Any, what: str, name: str, venue: str) -> Decimal | None:
        if value is None:
            return None
        try:
            return exact_number(value if isinstance(value, float | int | str | Decimal) else str(value))
        except ValueError as fault:
            raise self._wrong(what, name, venue, str(fault)) from None

    def _wrong(self, what: str, name: str, venue: str, fault: str) -> MissingData:
        return MissingData("DAT-001", f"the {what} of {name}{venue and f' on {venue}'} at {iso(self.at)} {fault}")

    def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
        """The last rate, as if it had been paid each 8 hours: a dict holds no others."""
        return self.funding(venue, symbol) * YEAR_HOURS / USUAL_FUNDING_HOURS

    def perp_range(self, venue: str, symbol: str, kind: str = "perp") -> tuple[Decimal, Decimal]:
        close = self.perp_price(kind, venue, symbol)
        return close, close

    def next_row(self, kind: str, venue: str, name: str) -> int | None:
        return None

    def row_stamp(self, kind: str, venue: str, name: str) -> int | None:
        return self.instant

    def funding_missing(self, venue: str, symbol: str) -> Decimal:
        return self.funding(venue, symbol)

    def price(self, token: str) -> Decimal:
        found = self._price(_dig(self._market, "prices", token), "price", token)
        if found is not None:
            return found
        if token in SAME_AS:
            return self.price(SAME_AS[token])
        if token in REDEEMED_BY:
            protocol, underlying = REDEEMED_BY[token]
            return self.redemption(protocol, token) * self.price(underlying)
        if token in DOLLAR_TOKENS:
            return ONE
        return self._spot_price(token)

    def _spot_price(self, token: str) -> Decimal:
        """The price at the first venue that has one."""
        symbol = f"{token}USDT"
        for venue in _names(_dig(self._market, "spot_prices")):
            if _dig(self._market, "spot_prices", venue, symbol) is not None:
                return self.spot(venue, symbol)
        raise MissingData(
            "DAT-001", f"no price of {token} at {iso(self.at)}; {_listed(_dig(self._market, 'prices'), 'the data have prices of')}"
        )

    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        return tuple(sorted(_names(_dig(self._protocols, venue, f"{kind}s") or _dig(self._market, f"{kind}_prices", venue))))

    def _trading(self, pair: str) -> Iterable[str]:
        return sorted(venue for venue in _names(self._protocols) if _dig(self._protocols, venue, pair) is not None)

    def what_there_is(self, kind: str, venue: str) -> str:
        if kind in STATES:
            return _listed(_dig(self._protocols, venue, f"{kind}s"), f"{venue} has")
        place = {"spot": "spot_prices", "perp": "perp_prices", "funding": "funding_rates"}.get(kind)
        if place is None:
            return _listed(_dig(self._protocols, venue), f"{venue} has")
        table = _dig(self._market, place)
        if table is None and kind != "funding":
            return _listed(_dig(self._market, "prices"), "the data have prices of")
        return _listed(_dig(table, venue), f"{venue} has")


def base_of(symbol: str, quotes: Sequence[str] = DOLLAR_TOKENS) -> str:
    """`ETHUSDT` -> `ETH`: a symbol is base and quote written together."""
    for quote in quotes:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)]
    return symbol


def _dig(table: Any, *path: str) -> Any:
    try:
        for name in path:
            table = table.get(name)
    except AttributeError:  # what is no table holds nothing
        return None
    return table


def _names(table: Any) -> list[str]:
    return list(map(str, table)) if hasattr(table, "keys") else []


def _listed(table: Any, have: str) -> str:
    names = _names(table)
    if not names:
        return "the data have none"
    left_out = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{have} {', '.join(names[:MOST_LISTED])}{left_out}"


# Nothing that a strategy has a use for.
INTERNAL = (
    "bar_interval_us", "funding_missing", "has_rows", "last_volume", "lending_scaled",
    "kind_of_price", "perp_price", "price_series", "published_closes", "traded_before", "what_there_is",
)  # fmt: skip


class Seen(Struct, frozen=True, gc=False, eq=False):
    """A snapshot as a strategy is given it: all that could be known, and nothing of when the next rows come."""

    _market: MarketSnapshot

    def __getattr__(self, name: str) -> Any:
        if _is_hidden(name):
            raise AttributeError(f"a strategy's snapshot has no {name}: it has what was known at its time")
        try:
            return getattr(self._market, name)
        except AttributeError:
            if name in dir(self):
                raise
            raise AttributeError(f"a strategy's snapshot has no {name}; it has {', '.join(dir(self))}") from None

    def __dir__(self) -> list[str]:
        return [name for name in dir(MarketSnapshot) if not _is_hidden(name) and name not in INTERNAL]


def _is_hidden(name: str) -> bool:
    return name.startswith(("next_", "_")) or name == "feed"
