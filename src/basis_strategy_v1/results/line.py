"""Equity and the profit of perps as linear functions of integer prices, for the instants at which nothing but prices moves."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.amounts import EXACT

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from basis_strategy_v1.core.market import Feed, MarketSnapshot
    from basis_strategy_v1.venues.venue import PerpExposure

    Term = tuple[Feed, int]

DOLLAR = "USDT"  # in which all of it is counted
SCALE = 12
DIGITS = 30  # decimals of an amount on a line; more than the product of a price and a lot has
FOR_GOOD = 2**62
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
    until: int  # when another series begins to price one of the tokens

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
    """Makes lines, and remembers which series prices each token and each perp, until another series begins to price it."""

    def __init__(self) -> None:
        self._found: dict[str | tuple[str, str], tuple[Feed, int]] = {}

    def line(
        self, dollars: Decimal, priced: Sequence[tuple[str, Decimal]], perps: Sequence[PerpExposure], market: MarketSnapshot
    ) -> Line | None:
        """What is held as a line; None where a price has no feed, or an amount has more decimals than expected.

        `priced` are tokens and their amounts; a staked token stands there as what it is redeemed for.

        Raises:
            MissingData: a price is too old.
        """
        constant, until, deepest, instant = dollars, FOR_GOOD, 0, market.instant
        held = []
        for token, amount in priced:
            found = self._of_token(token, market)
            if found is None:
                return None
            feed, ends = found
            feed.close(instant)  # it has to be a price of now
            until, deepest = min(until, ends), max(deepest, feed.decimals)
            held.append((feed, amount))
        for perp in perps:
            mark = self._of_perp(perp, market)
            if mark is None:
                return None
            constant -= perp.cost
            deepest = max(deepest, mark.decimals)
            held.append((mark, perp.base))
        try:
            terms = [(feed, _whole(amount) * _power(deepest - feed.decimals)) for feed, amount in held]
            fixed = _whole(constant)
        except Inexact:
            return None
        unit = _power(DIGITS + deepest - SCALE)
        half = gained = unit // 2
        marks = terms[len(priced) :]
        for mark, base in marks:
            gained -= base * mark.close(instant)
        return Line(fixed * _power(deepest) + half, terms[: len(priced)], marks, gained, unit, until)

    def _of_token(self, token: str, market: MarketSnapshot) -> tuple[Feed, int] | None:
        """The feed that prices a token, and when another series begins to."""
        found = self._found.get(token)
        if found is None or market.instant >= found[1]:
            series = market.price_series(token)
            feed = None if series is None else market.feed(*series)
            if feed is None:
                return None
            ends = market.next_repricing(token)
            found = self._found[token] = feed, FOR_GOOD if ends is None else ends
        return found

    def _of_perp(self, perp: PerpExposure, market: MarketSnapshot) -> Feed | None:
        if perp.settle != DOLLAR:
            return None
        found = self._found.get((perp.exchange, perp.symbol))
        if found is None:
            feed = market.feed("perp", perp.exchange, perp.symbol)
            if feed is None:
                return None
            found = self._found[perp.exchange, perp.symbol] = feed, FOR_GOOD
        return found[0]


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
