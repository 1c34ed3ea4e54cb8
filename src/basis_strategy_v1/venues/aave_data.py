"""A reserve as data show it, and the same reserve with us in it. Integers inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.market import ScaledRow
from basis_strategy_v1.core.tokens import decimals_of, to_units
from basis_strategy_v1.venues.aave_interest import RAY, ray_div
from basis_strategy_v1.venues.aave_reserve import (
    UNITS,
    UNKNOWN_CASH,
    Reserve,
    ReserveRules,
    liquidity_index_at,
    rates_at,
    variable_borrow_index_at,
)

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import LendingRow
    from basis_strategy_v1.venues.aave_interest import Rounding

ORACLE_UNIT = 10**8
_FACTORS: dict[tuple[str, tuple[int, ...]], tuple[tuple[int, int], ...]] = {}  # by token and the decimals of its rows


class Published(NamedTuple):
    """A row of a lending series in the contract's own units: the reserve as of the row's second, the oracle's USD price, 8 decimals."""

    row: LendingRow | ScaledRow
    reserve: Reserve
    price: int


def published(row: LendingRow | ScaledRow, token: str) -> Published:
    """The row's indices and rates, and from its totals what there is to borrow. Totals of 0 are not known: nothing is short then."""
    if isinstance(row, ScaledRow):
        factors = _FACTORS.get((token, row.decimals)) or _factors_of(token, row.decimals)
        numbers = [value * factor if factor else value // divisor for value, (factor, divisor) in zip(row.values, factors, strict=True)]
    else:
        numbers = [int(number * RAY) for number in row[1:5]]
        numbers += [to_units(token, row.total_supplied), to_units(token, row.total_borrowed), int(row.oracle_price_usd * ORACLE_UNIT)]
    liquidity_index_ray, liquidity_rate_ray, borrow_index_ray, borrow_rate_ray, supplied, borrowed, price = numbers
    reserve = Reserve(
        liquidity_index_ray,
        borrow_index_ray,
        liquidity_rate_ray,
        borrow_rate_ray,
        row.stamp // SECOND_US,
        supplied * RAY // liquidity_index_ray,
        borrowed * RAY // borrow_index_ray,
        max(supplied - borrowed, 0) if supplied else UNKNOWN_CASH,
        observed=True,
    )
    return Published(row, reserve, price)


def _factors_of(token: str, scales: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(factor, 1) of each of a row's numbers to the contract's units, or (0, divisor) where the row has more decimals."""
    decimals = decimals_of(token)
    apart = [place - scale for place, scale in zip((27, 27, 27, 27, decimals, decimals, 8), scales, strict=True)]
    _FACTORS[token, scales] = found = tuple((UNITS[more], 1) if more >= 0 else (0, UNITS[-more]) for more in apart)
    return found


def cash_with(row: Reserve, rounding: Rounding, scaled: tuple[int, int], now_s: int) -> int:
    """The cash (base units) of a row with our part in it: published cash + our balance - our debt, both at `now_s`, and never below 0."""
    cash = row.available
    if scaled[0]:
        cash += rounding.supply_balance(scaled[0], liquidity_index_at(row, now_s))
    if scaled[1]:
        cash -= rounding.debt_balance(scaled[1], variable_borrow_index_at(row, now_s, rounding))
    return max(cash, 0)


def counted(row: Reserve, scaled: tuple[int, int], cash: int) -> Reserve:
    """The reserve of a row, the market without us, with our part (scaled supply, scaled debt) in its totals and so much in cash.

    Indices and rates stay as published, and so do totals that are not known.
    """
    if row.available == UNKNOWN_CASH:
        return row
    return Reserve(
        row.liquidity_index_ray,
        row.variable_borrow_index_ray,
        row.liquidity_rate_ray,
        row.variable_borrow_rate_ray,
        row.last_update_s,
        row.scaled_supply + scaled[0],
        row.scaled_debt + scaled[1],
        cash,
        observed=True,
    )


def carried(row: Reserve, ours: Reserve, before: Reserve, rounding: Rounding) -> tuple[int, int]:
    """Our indices (liquidity, variable borrow; ray) at a new row: as far from the published ones as our own rates have brought them.

    `ours` and `before` are the reserve with us and without us since the last row: index = row x ours / before, both at the row's second.
    """
    at_s = max(row.last_update_s, ours.last_update_s)
    liquidity_index_ray = row.liquidity_index_ray * liquidity_index_at(ours, at_s) // liquidity_index_at(before, at_s)
    ours_ray, before_ray = (variable_borrow_index_at(reserve, at_s, rounding) for reserve in (ours, before))
    return liquidity_index_ray, row.variable_borrow_index_ray * ours_ray // before_ray


def joined(row: Reserve, rules: ReserveRules, rounding: Rounding, scaled: tuple[int, int], indices_ray: tuple[int, int]) -> Reserve:
    """The reserve of a row with our part (scaled supply, scaled debt) in it, at our own indices (liquidity, variable borrow).

    The row is the market without us. Each rate is the published one, and what the two slopes say that our part adds:
    rate = published + slopes(debt + our debt, cash + our supply - our debt) - slopes(debt, cash), and never below 0.
    """
    liquidity_index_ray, borrow_index_ray = indices_ray
    if row.available == UNKNOWN_CASH:
        return replace(row, liquidity_index_ray=liquidity_index_ray, variable_borrow_index_ray=borrow_index_ray)
    ours, owed = rounding.supply_balance(scaled[0], liquidity_index_ray), rounding.debt_balance(scaled[1], borrow_index_ray)
    supply = rounding.supply_balance(row.scaled_supply, row.liquidity_index_ray)
    debt = rounding.debt_balance(row.scaled_debt, row.variable_borrow_index_ray)
    cash = max(row.available + ours - owed, 0)
    without, with_us = rates_at(rules, debt, max(row.available, 0), rounding), rates_at(rules, debt + owed, cash, rounding)
    return replace(
        row,
        liquidity_index_ray=liquidity_index_ray,
        variable_borrow_index_ray=borrow_index_ray,
        liquidity_rate_ray=max(row.liquidity_rate_ray + with_us[0] - without[0], 0),
        variable_borrow_rate_ray=max(row.variable_borrow_rate_ray + with_us[1] - without[1], 0),
        scaled_supply=ray_div(supply, liquidity_index_ray) + scaled[0],
        scaled_debt=ray_div(debt, borrow_index_ray) + scaled[1],
        available=cash,
    )
