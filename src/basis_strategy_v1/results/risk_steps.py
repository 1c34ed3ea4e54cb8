"""The positions of a run as risk.csv needs them, and the prices of each of its steps as floats."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, chain, repeat
from math import isfinite, isnan, nan
from operator import add, mul
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS
from basis_strategy_v1.results.funding_aprs import FundingLook
from basis_strategy_v1.venues.exchange_terms import MarginTerms
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.market import MarketSnapshot

    MarketAt = Callable[[datetime, int], MarketSnapshot]

Cells = dict[str, list[str]]  # column -> its cell at each step
PerpKey = tuple[str, str, str, str]  # venue, exchange, symbol, settlement token


class LoanRisk(NamedTuple):
    """A lender's view of us: debt / collateral, and the health factor; None without a debt."""

    ltv: float | None
    health_factor: float | None


NO_LOANS: Mapping[str, LoanRisk] = {}


class RiskPoint(Struct, frozen=True, gc=False):
    """The positions from an instant on, until they change: what has a price, the perps, and the terms of each one's margin; by lender its
    view; and the last look at funding."""

    instant: int
    exposures: tuple[Exposure, ...]
    perps: tuple[PerpExposure, ...]
    margins: tuple[MarginTerms, ...]
    loans: Mapping[str, LoanRisk] = NO_LOANS
    funding: FundingLook | None = None

    @property
    def accounts(self) -> set[str]:
        return {perp.venue for perp in self.perps}


class Steps:
    """Points, spread over the steps at which they are the positions.

    At each point: `held` by (venue, position, token), and of each perp the base amount, `perps`, and its `terms`. At each step, in the
    settlement token: what the base amount is worth, `worths`, and its size, `sizes`.
    """

    def __init__(self, points: Sequence[RiskPoint], widths: Sequence[int], prices: Prices) -> None:
        self.points, self.prices = points, prices
        self._widths = widths
        self._count = sum(widths)
        # The first step of each point; of one that was replaced in its own step, that step.
        self.firsts = [min(first, self._count - 1) for first in accumulate(widths[:-1], initial=0)]
        self.held: dict[tuple[str, str, str], list[float]] = {}
        self.perps: dict[PerpKey, list[float]] = {}
        self.terms: dict[PerpKey, dict[int, MarginTerms]] = {}
        for place, point in enumerate(points):
            for held in point.exposures:
                if held.amount:
                    self._row(self.held, (held.venue, held.held_as, held.token))[place] += float(held.amount)
            for perp, terms in zip(point.perps, point.margins, strict=True):
                key = (perp.venue, perp.exchange, perp.symbol, perp.settle)
                self._row(self.perps, key)[place] = float(perp.base)
                self.terms.setdefault(key, {})[place] = terms
        self.worths = {key: self.times(bases, prices.of_perp(*key[1:3])) for key, bases in self.perps.items()}
        self.sizes = {key: list(map(abs, worths)) for key, worths in self.worths.items()}

    def spread(self, values: Sequence[Any]) -> list[Any]:
        """A value of each point at each of its steps."""
        return list(chain.from_iterable(map(repeat, values, self._widths)))

    def times(self, amounts: Sequence[float], prices: Sequence[float]) -> list[float]:
        """Amounts (one a point) times prices (one a step). What is not held needs no price."""
        if all(amounts):
            return list(map(mul, self.spread(amounts), prices))
        return [amount and amount * price for amount, price in zip(self.spread(amounts), prices, strict=True)]

    def sum(self, columns: Iterable[Iterable[float]]) -> list[float]:
        """The sum of columns, step by step."""
        found, *others = [*columns] or [[0.0] * self._count]
        for column in others:
            found = list(map(add, found, column))
        return list(found)

    def _row(self, rows: dict[Any, list[float]], key: Any) -> list[float]:
        if (row := rows.get(key)) is None:
            row = rows[key] = [0.0] * len(self.points)
        return row


class Prices:
    """Prices at every step as floats, nan where one is not known: read as a column where the data have them as one."""

    def __init__(self, instants: array[int], market_at: MarketAt, currency: str) -> None:
        self._instants = instants
        self._market_at = market_at
        self._currency = currency
        self._tokens: dict[str, list[float]] = {}
        self._perps: dict[tuple[str, str], list[float]] = {}

    def of(self, token: str) -> list[float]:
        """What 1 of a token is worth in the currency."""
        return self.per(token, self._currency)

    def per(self, token: str, other: str) -> list[float]:
        """What 1 of a token is worth in another."""
        if token == other:
            return [1.0] * len(self._instants)
        if other in DOLLAR_TOKENS and other == self._currency:
            return self._dollars(token)
        return [price / of for price, of in zip(self._dollars(token), self._dollars(other), strict=True)]

    def of_perp(self, exchange: str, symbol: str) -> list[float]:
        """The mark of a perp."""
        key = (exchange, symbol)
        if key not in self._perps:
            self._perps[key] = self._column(
                lambda market: (market.kind_of_price("mark", *key), *key), lambda market: market.perp_price("mark", *key)
            )
        return self._perps[key]

    def _dollars(self, token: str) -> list[float]:
        if token not in self._tokens:
            self._tokens[token] = self._column(lambda market: market.price_series(token), lambda market: market.price(token))
        return self._tokens[token]

    def _column(self, series_of: Callable[[MarketSnapshot], Any], read: Callable[[MarketSnapshot], Any]) -> list[float]:
        first = self._instants[0]
        try:
            market = self._market_at(from_instant(first), first)
            series = series_of(market)
            feed = None if series is None else market.feed(*series)
            if feed is not None:
                scale = 10**feed.decimals
                return [value / scale for value in (feed.close(first), *feed.closes(self._instants[1:]))]
        except ComponentError:  # there is none at some step: each is read by itself
            pass
        return [self._read(instant, read) for instant in self._instants]

    def _read(self, instant: int, read: Callable[[MarketSnapshot], Any]) -> float:
        try:
            return float(read(self._market_at(from_instant(instant), instant)))
        except ComponentError:
            return nan


def texts_of(values: Sequence[float], form: str = "%.6f") -> list[str]:
    """The values as text; empty where there is no number."""
    if not any(values):
        return ["0"] * len(values)
    if isfinite(sum(values)):
        return [form % value if value else "0" for value in values]
    return ["" if isnan(value) else form % value if value else "0" for value in values]
