"""Checks of single numbers: a price that leaves its neighbours and comes back, one that changes its level for good, a rate out of reach.

Functions of columns only; docs/data.md explains the limits.
"""

from __future__ import annotations

from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import DAY_US, iso
from basis_strategy_v1.data.columns import Found, steps_of
from basis_strategy_v1.data.layout import POSITIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.data.columns import Columns, Figures

# A price or index that is this far from both neighbouring rows is an outlier; at the ends, from the two that are nearest.
LARGEST_JUMP = {"bar": 0.20, "dex": 0.03, "staking": 0.02, "lending": 0.02, "oracle": 0.5}
# A rate beyond this is an outlier: funding a payment, lending a year, gas in gwei.
LARGEST_RATE = {
    "funding_rate": 0.01,
    "liquidity_rate": 2.0,
    "variable_borrow_rate": 2.0,
    "base_fee_gwei": 5000.0,
    "priority_fee_gwei": 5000.0,
}
# A change from one row to the next that stays, and is larger than this, is a change of level: bars by their ranges. Over a gap of n rows
# sqrt(n) times as much is allowed, up to a factor of LARGEST_STEP.
LARGEST_CHANGE = {"bar": 0.5, "dex": 0.2, "staking": 0.02, "lending": 0.05, "oracle": 1.0}
LARGEST_STEP = 10.0
SIDE, LEAST_SIDE = 3, 2  # rows on either side that must stand apart

_ROUNDING = 1e-9  # more than a product of two floats is out by


def outliers(columns: Columns) -> Iterator[Found]:
    """Prices and indices that are away from both neighbours, and rates beyond LARGEST_RATE, in the order of rows."""
    found: list[Found] = []
    for column in columns.spec.columns:
        figures = columns.figures.get(column.name)
        if figures is None:
            continue
        if column.allowed == POSITIVE:
            found.extend(_jumps(column.name, figures, LARGEST_JUMP[_limit_of(columns, column.name)]))
        if limit := LARGEST_RATE.get(column.name):
            found.extend(_beyond(column.name, figures, limit))
    yield from sorted(found, key=lambda one: one.row)


def _jumps(name: str, figures: Figures, limit: float) -> Iterator[Found]:
    last = len(figures.values) - 1
    steps = figures.steps((1 + limit) * (1 - _ROUNDING))
    for row in sorted({row for step in steps for row in (step, step + 1)}):
        neighbours = (1, 2) if row == 0 else (last - 2, last - 1) if row == last else (row - 1, row + 1)
        near = [one for one in neighbours if 0 <= one <= last]
        value = figures.at(row)
        if all(abs(value - figures.at(one)) > limit * figures.at(one) for one in near):
            where = " and ".join(map(figures.text, near))
            yield Found(row, f"column {name}: {figures.text(row)} is more than {limit:.0%} away from the neighbouring rows, {where}")


def _beyond(name: str, figures: Figures, limit: float) -> Iterator[Found]:
    if max(figures.values, default=0) / figures.per <= limit and min(figures.values, default=0) / figures.per >= -limit:
        return
    for row in range(len(figures.values)):
        if abs(figures.at(row)) > limit:
            yield Found(row, f"column {name}: {figures.text(row)} is beyond {limit:g}")


def _limit_of(columns: Columns, column: str) -> str:
    kind = columns.spec.key.kind
    if column == "oracle_price_usd" or columns.spec.interval_us == DAY_US:
        return "oracle"
    return kind if kind in LARGEST_JUMP else "bar"


def levels(columns: Columns) -> Iterator[Found]:
    """Prices, rates of redemption and indices that go to another level between two rows and stay there: a redenomination, a rate turned
    over, two tokens under one name, two files in different units joined."""
    if columns.spec.has_bars:
        high, low, close = (columns.figures[name] for name in ("high", "low", "close"))
        yield from _levels(columns, "close", close, low, high, LARGEST_CHANGE["bar"])
        return
    for column in columns.spec.columns:
        figures = columns.figures.get(column.name)
        if figures is not None and column.allowed == POSITIVE:
            limit = "oracle" if column.name == "oracle_price_usd" else columns.spec.key.kind
            yield from _levels(columns, column.name, figures, figures, figures, LARGEST_CHANGE[limit])


def _levels(columns: Columns, name: str, figures: Figures, low: Figures, high: Figures, limit: float) -> Iterator[Found]:
    candidates = figures.steps(1 + limit)
    usual = median(steps_of(columns.stamps)) if candidates else 0
    for row in candidates:
        rows_apart = max((columns.stamps[row + 1] - columns.stamps[row]) / usual, 1.0)
        allowed = min(1 + limit * sqrt(rows_apart), LARGEST_STEP)
        if _is_lasting(low, high, row + 1, allowed):
            one, other = figures.at(row), figures.at(row + 1)
            change = (
                f"by a factor of {max(one, other) / min(one, other):.4g}" if not 0.5 < other / one < 2 else f"by {other / one - 1:+.0%}"
            )
            way_out = "correct the rows, or leave the time before or after it out of the run"
            message = f"column {name}: the level changes from {figures.text(row)} to {figures.text(row + 1)}, {change}, at "
            yield Found(row + 1, f"{message}{iso(columns.stamps[row + 1])} and stays; {way_out}", len(figures.values) - row - 1)


def _is_lasting(low: Figures, high: Figures, row: int, ratio: float) -> bool:
    """Whether the rows from `row` on are apart from those before it by a factor of `ratio`, and enough of them on either side."""
    before, after = range(max(row - SIDE, 0), row), range(row, min(row + SIDE, len(low.values)))
    if min(len(before), len(after)) < LEAST_SIDE:
        return False
    return min(map(low.at, after)) >= ratio * max(map(high.at, before)) or min(map(low.at, before)) >= ratio * max(map(high.at, after))
