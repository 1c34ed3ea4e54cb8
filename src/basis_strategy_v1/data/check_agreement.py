"""Checks of series against each other: what has one price must be written in one unit. Functions of columns only."""

from __future__ import annotations

from bisect import bisect_right
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import HOUR_US, iso
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS, base_of
from basis_strategy_v1.data.check_units import ROWS_TOGETHER, rows_together, severity_of
from basis_strategy_v1.data.columns import WARNING, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from basis_strategy_v1.data.columns import Columns

# Prices of one coin are apart by less than this factor, whatever the basis; a market and its protocol's redemption by less than this.
PRICES_APART, REDEMPTIONS_APART = 1.5, 1.25
DOLLAR_APART = 0.02
LARGEST_AGE_US = 36 * HOUR_US  # an older row of the other series says nothing
MOST_COMPARED, FEWEST_ROWS = 1_000, 2  # rows of a pair of series


class PriceSeries(NamedTuple):
    """A series as a price: its columns, what it calls itself in a message, and the price at an instant; None where there is none."""

    columns: Columns
    label: str
    at: Callable[[int], float | None]


class Disagreement(NamedTuple):
    columns: Columns
    found: Found


def disagreements(series: Sequence[Columns]) -> Iterator[Disagreement]:
    """Each series whose prices or rates are at odds with those of another for the same token."""
    redemptions = {one.spec.key.name: one for one in series if one.spec.key.kind == "staking" and len(one.stamps)}
    for quotes in _prices_by_token(series, redemptions).values():
        yield from _compared(quotes, PRICES_APART)
    for one in series:
        token, _, quote = one.spec.key.name.partition("_")
        if one.spec.key.kind == "dex" and token in redemptions and SAME_AS.get(quote, quote) == "ETH" and len(one.stamps):
            other = redemptions[token]
            yield from _compared([_quote(one, "eth_per_token"), _quote(other, "eth_per_token")], REDEMPTIONS_APART)


def _prices_by_token(series: Sequence[Columns], redemptions: Mapping[str, Columns]) -> dict[str, list[PriceSeries]]:
    """The series that price a token in dollars, those of its other forms too, the most frequent rows first."""
    found: dict[str, list[PriceSeries]] = {}
    for one in sorted(series, key=lambda one: (one.spec.key.kind == "lending", one.spec.interval_us, one.spec.id)):
        column = {"spot": "close", "perp": "close", "lending": "oracle_price_usd"}.get(one.spec.key.kind)
        if column is None or not len(one.stamps):
            continue
        name = one.spec.key.name
        token, quote = _underlying(base_of(name) if column == "close" else name, _quote(one, column), redemptions)
        found.setdefault(token, []).append(quote)
    return found


def _underlying(token: str, quote: PriceSeries, redemptions: Mapping[str, Columns]) -> tuple[str, PriceSeries]:
    """The token that the series prices in the end, and its price of that."""
    token = SAME_AS.get(token, token)
    if token not in REDEEMED_BY or token not in redemptions:
        return token, quote
    rate = _quote(redemptions[token], "eth_per_token")

    def at(instant: int) -> float | None:
        price, redeemed = quote.at(instant), rate.at(instant)
        return None if price is None or redeemed is None else price / redeemed

    underlying = REDEEMED_BY[token][1]
    return SAME_AS.get(underlying, underlying), PriceSeries(quote.columns, f"{quote.label} by {rate.columns.spec.id}", at)


def _quote(columns: Columns, column: str) -> PriceSeries:
    """The column's number in force at an instant; None before the first row, and where the row is old."""
    figures, delay, stamps = columns.figures[column], columns.spec.interval_us, columns.stamps
    allowed = 2 * delay if columns.spec.has_bars else LARGEST_AGE_US

    def at(instant: int) -> float | None:
        row = bisect_right(stamps, instant - delay) - 1
        return figures.at(row) if row >= 0 and instant - delay - stamps[row] < allowed else None

    return PriceSeries(columns, columns.spec.id, at)


def _compared(quotes: Sequence[PriceSeries], limit: float) -> Iterator[Disagreement]:
    """What is at odds with the first; where more than one of them is, and nothing agrees with it, it is the first that is at odds."""
    found = [(other, _apart(other, quotes[0], limit)) for other in quotes[1:]]
    at_odds = [(other, one) for other, one in found if one is not None]
    if len(at_odds) > 1 and len(at_odds) == len(found):
        others = [(other, _apart(other, quotes[1], limit)) for other in quotes[2:]]
        at_odds = [at_odds[0], *((other, one) for other, one in others if one is not None)]
    for other, one in at_odds:
        yield Disagreement(other.columns, one)


def _apart(one: PriceSeries, other: PriceSeries, limit: float) -> Found | None:
    """Whether two prices of one thing are apart by a factor of `limit` or more, for several rows in a row."""
    stamps, delay = one.columns.stamps, one.columns.spec.interval_us
    compared = list(_ratios(one, other, range(0, len(stamps), max(len(stamps) // MOST_COMPARED, 1))))
    least = max(min(ROWS_TOGETHER, len(compared)), FEWEST_ROWS)
    together = rows_together([not 1 / limit < ratio < limit for _, ratio in compared], least)
    if together is None:
        return None
    place, times = together
    first = _first_apart(one, other, limit, compared[place - 1][0] + 1 if place else 0, compared[place][0])
    instant = stamps[first] + delay
    ratio = median(ratio for _, ratio in compared if not 1 / limit < ratio < limit)
    values = f"{one.at(instant):.10g} and {other.at(instant):.10g}"
    share = f"in {times} of {len(compared)} rows compared"
    message = f"{one.label} and {other.label} contradict each other: {values} from {iso(stamps[first])} on"
    return Found(first, f"{message}, apart by a factor of {max(ratio, 1 / ratio):.4g} {share}; bring both in one unit", times,
                 severity_of(times, len(compared)))  # fmt: skip


def _ratios(one: PriceSeries, other: PriceSeries, rows: Iterable[int]) -> Iterator[tuple[int, float]]:
    """(row, price of one / price of the other) where both have one."""
    for row in rows:
        instant = one.columns.visible(row)
        price, other_price = one.at(instant), other.at(instant)
        if price is not None and other_price is not None:
            yield row, price / other_price


def _first_apart(one: PriceSeries, other: PriceSeries, limit: float, since: int, until: int) -> int:
    """The first of the rows between two that were compared."""
    return next((row for row, ratio in _ratios(one, other, range(since, until + 1)) if not 1 / limit < ratio < limit), until)


def dollars(series: Sequence[Columns]) -> Iterator[Disagreement]:
    """Tokens that count as a dollar because no series says otherwise, where their own lending market prices them differently."""
    priced = {base_of(one.spec.key.name) for one in series if one.spec.key.kind == "spot"} - {"USDT"}
    for one in series:
        name = one.spec.key.name
        if one.spec.key.kind != "lending" or name not in DOLLAR_TOKENS or name in priced:
            continue
        prices = one.figures["oracle_price_usd"]
        if off := [row for row in range(len(prices.values)) if abs(prices.at(row) - 1) > DOLLAR_APART]:
            first, usual = off[0], median(map(prices.at, off))
            message = f"{name} counts as 1 USDT, and column oracle_price_usd says {prices.text(first)} at {iso(one.stamps[first])}"
            way_out = "" if name == "USDT" else f"; bring a spot series {name}USDT to value it by its price"
            is_other_unit = not 1 / PRICES_APART < usual < PRICES_APART
            severity = severity_of(len(off), len(prices.values)) if is_other_unit else WARNING
            yield Disagreement(one, Found(first, message + way_out, len(off), severity))
