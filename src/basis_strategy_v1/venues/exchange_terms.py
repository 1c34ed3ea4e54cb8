"""What an exchange asks of orders and positions: its figures, as they are in force at an instant."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from sys import float_info
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import ZERO
from basis_strategy_v1.venues.exchange_events import dates_of, require_tradable
from basis_strategy_v1.venues.exchanges import ExchangeRow, quote_tokens
from basis_strategy_v1.venues.venue import CEX, reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.venues.exchange_events import ExchangeEvent

BPS = Decimal(10_000)
LAST = 2**63


class Listing(NamedTuple):
    """A symbol as it trades: base and quote token, its position as a token, fee (a fraction), lot (base units), tick and smallest notional
    (quote)."""

    base: str
    quote: str
    position: str
    fee: Decimal
    lot: Decimal
    tick: Decimal
    minimum: Decimal


class Contract(NamedTuple):
    """What the exchange asks of a perp: the tiers (notional up to, maintenance as a fraction, most leverage), the most leverage of any
    notional, the time between two payments of funding."""

    tiers: tuple[tuple[Decimal, Decimal, Decimal], ...]
    leverage: Decimal
    interval: int


class MarginTerms(Struct, frozen=True, gc=False):
    """Of each tier of a perp the notional up to which it goes (settlement token), the rate of maintenance, and what is deducted from rate x
    notional, because lower tiers have lower rates; and in a unified account the share of each coin's worth that is margin too."""

    tiers: tuple[tuple[float, float, float], ...]
    counted: dict[str, float]


class TradeTerms:
    """What is known of a trade before its amount is: the symbol as it trades, the side, the factor of a price that slipped.

    `cut` is the amount that was asked for last, what its whole lots are, and their share of it.
    """

    __slots__ = ("base", "cut", "fee", "has_no_figures", "is_buy", "is_perp", "minimum", "position", "quote", "tick", "worse")

    def __init__(self, listing: Listing, worse: Decimal, *, is_perp: bool, is_buy: bool, has_no_figures: bool) -> None:
        self.base, self.quote, self.position, self.fee, _, self.tick, self.minimum = listing
        self.worse, self.is_perp, self.is_buy, self.has_no_figures = worse, is_perp, is_buy, has_no_figures
        self.cut = (ZERO, ZERO, ZERO)


class ExchangeTerms:
    """The figures of an account from the instant `since` until before `until`; those of a symbol are read when it is first asked for."""

    def __init__(self, name: str, row: ExchangeRow, instant: int, events: Sequence[ExchangeEvent] = ()) -> None:
        dates = sorted({*row.dates, *dates_of(events)})
        place = bisect_right(dates, instant)
        self.since = dates[place - 1] if place else -LAST
        self.until = dates[place] if place < len(dates) else LAST
        self.name, self.row = name, row
        self.slippage = EXACT.divide(row.slippage_bps.at(instant), BPS)
        self._worse_buy, self._worse_sell = EXACT.add(1, self.slippage), EXACT.subtract(1, self.slippage)
        self._instant, self._events = instant, events
        self._contracts: dict[str, Contract] = {}
        self._margins: dict[str, MarginTerms] = {}
        self._listings: dict[tuple[str, str], Listing] = {}
        self.trades: dict[tuple[str, str, str], TradeTerms] = {}

    def of_trade(self, trade_type: str, side: str, symbol: str) -> TradeTerms:
        require_tradable(self._events, symbol, trade_type, self._instant, self.name)
        is_buy = side == "buy"
        worse = self._worse_buy if is_buy else self._worse_sell
        is_perp = trade_type == "perp"
        unknown = is_perp and not self.row.has(symbol)
        terms = TradeTerms(self.listing(symbol, trade_type), worse, is_perp=is_perp, is_buy=is_buy, has_no_figures=unknown)
        self.trades[trade_type, side, symbol] = terms
        return terms

    def listing(self, symbol: str, trade_type: str) -> Listing:
        if (known := self._listings.get((trade_type, symbol))) is not None:
            return known
        row, is_perp = self.row, trade_type == "perp"
        base, quote = self._pair(symbol, (row.settle,) if is_perp else (row.settle, *row.quotes))
        fee, lots, minimum = (
            (row.perp_taker_fee_bps, row.perp_lots, row.perp_min_notional)
            if is_perp
            else (row.spot_taker_fee_bps, row.spot_lots, row.min_notional)
        )
        names = row.names(symbol)
        fee_bps, lot, tick, least = (figure.at(self._instant, *names) for figure in (fee, lots, row.ticks, minimum))
        listing = Listing(base, quote, perp_name(symbol), EXACT.divide(fee_bps, BPS), lot, tick, least)
        self._listings[trade_type, symbol] = listing
        return listing

    def _pair(self, symbol: str, quotes: tuple[str, ...]) -> tuple[str, str]:
        """Base and quote of a symbol."""
        for quote in quotes:
            if symbol.endswith(quote) and symbol != quote:
                return symbol.removesuffix(quote), quote
        settle = self.row.settle
        for quote in quote_tokens():
            if symbol.endswith(quote) and symbol != quote:
                reject(CEX, f"{self.name} settles in {settle}: write {symbol.removesuffix(quote)}{settle} instead of {symbol}")
        reject(CEX, f"symbol must be base and {settle} written together such as ETH{settle}, got {symbol}")

    def contract(self, symbol: str) -> Contract:
        if (known := self._contracts.get(symbol)) is not None:
            return known
        row, names, instant = self.row, self.row.names(symbol), self._instant
        tiers = tuple((tier.notional, EXACT.divide(tier.maintenance_bps, BPS), tier.leverage) for tier in row.tiers.at(instant, *names))
        contract = Contract(tiers, row.max_leverage.at(instant, *names), row.funding_interval_hours.at(instant, *names) * HOUR_US)
        self._contracts[symbol] = contract
        return contract

    def maintenance(self, symbol: str, notional: Decimal) -> Decimal:
        """Maintenance margin of a perp's notional: each tier's rate on the part of it that falls into the tier."""
        total, below = ZERO, ZERO
        for upper, rate, _ in self.contract(symbol).tiers:
            if notional <= upper:
                return total + (notional - below) * rate if below else notional * rate
            total += (upper - below) * rate
            below = upper
        return total

    def margin(self, symbol: str) -> MarginTerms:
        """By what the margin of a perp is judged, in floats for the record."""
        if (known := self._margins.get(symbol)) is not None:
            return known
        below = before = deducted = ZERO
        tiers = []
        for upper, rate, _ in self.contract(symbol).tiers:
            deducted += below * (rate - before)
            tiers.append((min(float(upper), float_info.max), float(rate), float(deducted)))  # JSON has no infinity
            below, before = upper, rate
        counted = {token: 1 - float(haircut.at(self._instant)) for token, haircut in self.row.haircuts.items()}
        self._margins[symbol] = found = MarginTerms(tuple(tiers), counted)
        return found

    def initial(self, symbol: str, notional: Decimal) -> Decimal:
        """Margin that a perp's notional needs when it is opened: at the leverage of its tier, or the account's where that is less."""
        contract = self.contract(symbol)
        most = next((leverage for upper, _, leverage in contract.tiers if notional <= upper), contract.leverage)
        return notional / min(most, contract.leverage)

    def leverage(self, symbol: str) -> Decimal:
        """The most leverage of a perp that the account may have."""
        return self.contract(symbol).leverage

    def carried(self, symbol: str, margin: Decimal) -> Decimal:
        """The largest notional of a perp whose initial margin is at most so much."""
        contract, found = self.contract(symbol), ZERO
        for upper, _, leverage in contract.tiers:
            most = min(margin * min(leverage, contract.leverage), upper)
            found = max(found, most)
            if most < upper:
                break
        return found


def without_figures(name: str, row: ExchangeRow, symbol: str) -> str:
    """Why a perp is refused of which the exchange's table has no figures."""
    like = f"assume: {{{symbol}: {{like: {row.bases[0]}{row.settle}}}}}"
    return (
        f"{name} has no margin tiers, leverage and smallest order of {symbol}, only of {', '.join(row.bases)}; write {like} in the config"
    )
