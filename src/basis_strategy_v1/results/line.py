"""Equity and the profit of perps as linear functions of integer prices, for the instants at which nothing but prices moves."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.amounts import EXACT

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    from basis_strategy_v1.core.market import Feed, MarketSnapshot
    from basis_strategy_v1.venues.venue import PerpExposure

    Term = tuple[Feed, int]

DOLLAR = "USDT"  # in which all of it is counted
SCALE = 12
DIGITS = 30  # decimals of an amount on a line; more than the product of a price and a lot has
FOR_GOOD = 2**62
ZERO = Decimal(0)
_DIGITS = Decimal(DIGITS)
_scaled = EXACT.scaleb
_as_integer = Context(prec=EXACT.prec, traps=[Inexact]).to_integral_exact


class Line(Struct, frozen=True, gc=False):
    """A term is a feed of closes as integers, and the factor that makes 10**-digits of the currency of them."""

    constant: int  # and half a unit
    prices: list[Term]
    perps: list[Term]
    gained: int  # half a unit, less what the perps were worth when they were taken over
    unit: int  # 10**digits / 10**12

    def mark(self, instant: int) -> tuple[int, int]:
        """(equity, what the marks of the perps did since they were taken over) in units of 1e-12.

        Raises:
            MissingData: a price is too old.
        """
        total, gained = self.constant, self.gained
        for feed, factor in self.prices:
            total += factor * feed.close(instant)
        for feed, factor in self.perps:
            worth = factor * feed.close(instant)
            total += worth
            gained += worth
        return _rounded(total, self.unit), _rounded(gained, self.unit)

    def marks(self, instants: array[int]) -> tuple[list[int], list[int]]:
        """The two columns of `mark` at instants that rise."""
        totals = _sums(self.constant, self.prices, instants)
        if not self.perps:
            return [_rounded(total, self.unit) for total in totals], [0] * len(instants)
        worths = _sums(0, self.perps, instants)
        equities = [_rounded(total + worth, self.unit) for total, worth in zip(totals, worths, strict=True)]
        return equities, [_rounded(self.gained + worth, self.unit) for worth in worths]

    def perps_gained(self, instant: int) -> int:
        """What the marks of the perps did since they were taken over, in units of 1e-12."""
        gained = self.gained
        for feed, factor in self.perps:
            gained += factor * feed.close(instant)
        return _rounded(gained, self.unit)


class Feeds:
    """Finds the feeds of the positions, and remembers them: those of some tokens until other tokens are held, or another series begins to
    price one of them; that of a perp for good."""

    def __init__(self) -> None:
        self._tokens: tuple[str, ...] = ()
        self._prices: list[Feed] = []
        self._until = 0
        self._perps: dict[tuple[str, str], Feed] = {}

    def find(self, tokens: tuple[str, ...], perps: Iterable[PerpExposure], market: MarketSnapshot) -> tuple[list[Feed], int] | None:
        """The feed of each token and then of each perp, and when another series begins to price one of the tokens; None where one has no
        feed."""
        if tokens != self._tokens or market.instant >= self._until:
            self._tokens, self._until, self._prices = tokens, 0, []
            ends = [self._add_price(token, market) for token in tokens]
            if None in ends:
                return None
            self._until = min([FOR_GOOD, *(end for end in ends if end is not None)])
        marks = []
        for perp in perps:
            mark = self._perps.get((perp.exchange, perp.symbol)) or self._add_perp(perp, market)
            if mark is None or perp.settle != DOLLAR:
                return None
            marks.append(mark)
        return [*self._prices, *marks], self._until

    def _add_price(self, token: str, market: MarketSnapshot) -> int | None:
        series = market.price_series(token)
        feed = None if series is None else market.feed(*series)
        if feed is None:
            return None
        self._prices.append(feed)
        return market.next_repricing(token) or FOR_GOOD

    def _add_perp(self, perp: PerpExposure, market: MarketSnapshot) -> Feed | None:
        feed = market.feed("perp", perp.exchange, perp.symbol)
        if feed is not None:
            self._perps[perp.exchange, perp.symbol] = feed
        return feed


def line_of(
    dollars: Decimal, amounts: Sequence[Decimal], perps: Sequence[PerpExposure], feeds: Sequence[Feed], instant: int
) -> Line | None:
    """The positions as a line, in units that hold every product exactly; None where an amount has more decimals than expected.

    `feeds` are those of what there are `amounts` of, then those of the perps, which were taken over at `instant`.
    """
    deepest, constant, prices, marks = 0, dollars, [], []
    for feed in feeds:
        deepest = max(deepest, feed.decimals)
    unit = _power(DIGITS + deepest - SCALE)
    half = gained = unit // 2
    try:
        for amount, feed in zip(amounts, feeds, strict=False):
            prices.append((feed, _whole(amount) * _power(deepest - feed.decimals)))
        for perp, feed in zip(perps, feeds[len(amounts) :], strict=True):
            factor = _whole(perp.base) * _power(deepest - feed.decimals)
            constant -= perp.cost
            gained -= factor * feed.close(instant)
            marks.append((feed, factor))
        return Line(_whole(constant) * _power(deepest) + half, prices, marks, gained, unit)
    except Inexact:
        return None


@cache
def _power(digits: int) -> int:
    return int(10**digits)


def _whole(amount: Decimal) -> int:
    """The amount in 10**-DIGITS.

    Raises:
        Inexact: it is no whole number of them.
    """
    return int(_as_integer(_scaled(amount, _DIGITS)))


def _sums(start: int, terms: Sequence[Term], instants: array[int]) -> list[int]:
    """The sum of the terms at each instant, from `start`."""
    totals = [start] * len(instants)
    for feed, factor in terms:
        totals = [total + factor * close for total, close in zip(totals, feed.closes(instants), strict=True)]
    return totals


def _rounded(total: int, unit: int) -> int:
    """The total over the unit, rounded half to even. It holds half a unit more, so that the division downwards rounds half up; a rest
    of 0 then was a half."""
    whole, rest = divmod(total, unit)
    return whole if rest or not whole & 1 else whole - 1
