"""Checks of a whole series' unit: rates in percent, a rate that its own index contradicts, a redemption that is turned over.

Functions of columns only. What holds for half of the rows or more is an error, what holds for some of them a warning.
"""

from __future__ import annotations

from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import DAY_US, iso
from basis_strategy_v1.core.market import REDEEMED_BY
from basis_strategy_v1.data.columns import ERROR, WARNING, Found, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.data.columns import Columns

YEAR_US = 365 * DAY_US
# The median rate of so many payments in a row is not beyond this, a fraction a year; and never beyond the second for so long a time.
PAYMENTS = 21
LARGEST_MEDIAN, NEVER_MEDIAN, LONG_US = 3.0, 5.0, 10 * DAY_US
# A lending rate and the growth of its index are at odds where they are apart by this factor, and by this fraction a year.
RATE_FACTOR, RATE_APART = 5.0, 0.02
# So many rows in a row are no chance.
ROWS_TOGETHER = 5
INDEX_OF = {"liquidity_rate": "liquidity_index", "variable_borrow_rate": "variable_borrow_index"}
# A share that earns is redeemed for more than it was made for.
LEAST_REDEMPTION = 0.9


def funding_unit(columns: Columns) -> Iterator[Found]:
    """Funding whose usual rate no market has had: a file in percent, or in basis points."""
    rates = columns.figures.get("funding_rate")
    if rates is None or len(columns.stamps) <= PAYMENTS // 2:
        return
    a_year = YEAR_US / median(steps_of(columns.stamps))
    sizes = [abs(rates.at(row)) * a_year for row in range(len(columns.stamps))]
    if max(sizes) <= LARGEST_MEDIAN:
        return
    parts = [(first, sizes[first : first + PAYMENTS]) for first in range(0, len(sizes), PAYMENTS)]
    high = [(first, part) for first, part in parts if median(part) > LARGEST_MEDIAN and len(part) >= PAYMENTS // 2]
    if not high:
        return
    rows, usual = sum(len(part) for _, part in high), median(size for _, part in high for size in part)
    is_whole = 2 * rows >= len(sizes) and usual > NEVER_MEDIAN and columns.stamps[-1] - columns.stamps[0] >= LONG_US
    first = next(row for row in range(high[0][0], len(sizes)) if sizes[row] > LARGEST_MEDIAN)
    since = f"the usual rate of {rows} payments from {iso(columns.stamps[first])} on is {usual / a_year:.4g}, {usual:.0%} a year"
    way_out = "rates are fractions of a payment: 0.0001 is 0.01 %"
    message = f"column funding_rate: {since}, which no market has had for long; {way_out}"
    yield Found(first, message, rows, ERROR if is_whole else WARNING)


def rates_against_indices(columns: Columns) -> Iterator[Found]:
    """Lending rates that are at odds with the growth of their own index, and indices that fall."""
    for rate, index in INDEX_OF.items():
        if rate in columns.figures and len(columns.stamps) > 1:
            yield from _rate_against_index(columns, rate, index)


def _rate_against_index(columns: Columns, name: str, index_name: str) -> Iterator[Found]:
    rates, indices = columns.figures[name], columns.figures[index_name]
    values = [indices.at(row) for row in range(len(columns.stamps))]
    grown = [
        (after / before - 1) * YEAR_US / step for before, after, step in zip(values, values[1:], steps_of(columns.stamps), strict=False)
    ]
    at_odds = [_is_at_odds(rates.at(row), growth) for row, growth in enumerate(grown)]
    if found := rows_together(at_odds):
        first, rows = found
        usual = median(growth for growth, is_at_odds in zip(grown, at_odds, strict=True) if is_at_odds)
        message = f"column {name}: {rates.text(first)} is {rates.at(first):.4g} a year where {index_name} grows by {usual:.4g} a year"
        where = f"in {rows} of {len(grown)} rows from {iso(columns.stamps[first])} on; rates are fractions a year: 0.02 is 2 %"
        yield Found(first, f"{message}, {where}", rows, severity_of(rows, len(grown)))


def _is_at_odds(rate: float, growth: float) -> bool:
    larger, smaller = max(rate, growth), min(rate, growth)
    return larger - smaller > RATE_APART and larger > RATE_FACTOR * smaller


def redemption_unit(columns: Columns) -> Iterator[Found]:
    """What a wrapped share redeems for, where it is less than it was made for: the rate is turned over."""
    if columns.spec.key.name not in REDEEMED_BY or columns.spec.key.kind != "staking":
        return
    rates = columns.figures["eth_per_token"]
    low = [row for row in range(len(rates.values)) if rates.at(row) < LEAST_REDEMPTION]
    if low:
        message = (
            f"column eth_per_token: {rates.text(low[0])} at {iso(columns.stamps[low[0]])}: a share of {columns.spec.key.name} is worth more"
        )
        way_out = f"than 1; the rate may be turned over (1 / {rates.text(low[0])} is {1 / rates.at(low[0]):.6g})"
        yield Found(low[0], f"{message} {way_out}", len(low), severity_of(len(low), len(rates.values)))


def rows_together(flags: Sequence[bool], least: int = ROWS_TOGETHER) -> tuple[int, int] | None:
    """(first row, how many rows) of what is set in `least` rows or more that follow each other."""
    groups = [(value, list(rows)) for value, rows in groupby(range(len(flags)), lambda row: flags[row])]
    long = [rows for value, rows in groups if value and len(rows) >= least]
    return (long[0][0], sum(map(len, long))) if long else None


def severity_of(rows: int, of: int) -> str:
    """An error where it holds for half of them or more."""
    return ERROR if 2 * rows >= of else WARNING
