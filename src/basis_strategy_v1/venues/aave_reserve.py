"""One Aave v3 reserve: its rules, its state, how interest accrues and what the two slopes make of its usage. Pure, integers only."""

from __future__ import annotations

from msgspec import Struct

from basis_strategy_v1.venues.aave_interest import (
    HALF_RAY,
    RAY,
    YEAR_S,
    Rounding,
    ray_div,
    ray_mul,
)
from basis_strategy_v1.venues.reverted import Reverted

UNKNOWN_CASH = 2**200
MAX_UINT128 = 2**128 - 1
UNITS: tuple[int, ...] = tuple(10**decimals for decimals in range(78))


class ReserveRules(Struct, frozen=True, kw_only=True):
    """What governance set for a reserve. Percentages in basis points, rates in ray a year, caps in whole tokens (0: none).

    `liquidation_bonus_bps` is what a liquidator gets on top (500: 5 %; the contract stores 10,500). `debt_ceiling_cents` other than 0
    makes it an isolated collateral (3.0 only; 3.7 knows no isolation and no siloed borrowing).
    """

    decimals: int
    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    reserve_factor_bps: int
    optimal_usage_ray: int
    base_rate_ray: int
    slope1_ray: int
    slope2_ray: int
    supply_cap: int = 0
    borrow_cap: int = 0
    liquidation_protocol_fee_bps: int = 0
    borrowable: bool = True
    flash_loanable: bool = True
    active: bool = True
    paused: bool = False
    frozen: bool = False
    debt_ceiling_cents: int = 0
    borrowable_in_isolation: bool = False
    siloed: bool = False

    @property
    def unit(self) -> int:
        """Base units of one whole token."""
        return UNITS[self.decimals]


class Reserve(Struct, frozen=True):
    """A reserve's state. Indices and rates in ray, totals in scaled base units, `available` (cash) in base units, time in seconds.

    `observed`: indices and rates come from published data; actions leave the rates alone, and the borrow index grows even where
    the totals are not known (`scaled_debt` 0, `available` UNKNOWN_CASH).
    """

    liquidity_index_ray: int = RAY
    variable_borrow_index_ray: int = RAY
    liquidity_rate_ray: int = 0
    variable_borrow_rate_ray: int = 0
    last_update_s: int = 0
    scaled_supply: int = 0
    scaled_debt: int = 0
    available: int = 0
    accrued_to_treasury: int = 0
    isolation_debt_cents: int = 0
    deficit: int = 0
    observed: bool = False


def _elapsed_s(reserve: Reserve, now_s: int) -> int:
    elapsed_s = now_s - reserve.last_update_s
    if elapsed_s < 0:
        raise Reverted(f"the reserve was updated at {reserve.last_update_s} s, after the given {now_s} s: time runs forward only")
    return elapsed_s


def liquidity_index_at(reserve: Reserve, now_s: int) -> int:
    """The index (ray) that turns scaled supply into a balance at `now_s`."""
    if now_s == reserve.last_update_s or reserve.liquidity_rate_ray == 0:
        return reserve.liquidity_index_ray
    factor_ray = RAY + reserve.liquidity_rate_ray * _elapsed_s(reserve, now_s) // YEAR_S
    return (factor_ray * reserve.liquidity_index_ray + HALF_RAY) // RAY


def variable_borrow_index_at(reserve: Reserve, now_s: int, rounding: Rounding) -> int:
    """The index (ray) that turns scaled debt into what is owed at `now_s`."""
    if now_s == reserve.last_update_s:
        return reserve.variable_borrow_index_ray
    factor_ray = rounding.compounded(reserve.variable_borrow_rate_ray, _elapsed_s(reserve, now_s))
    return (factor_ray * reserve.variable_borrow_index_ray + HALF_RAY) // RAY


def accrue(reserve: Reserve, rules: ReserveRules, now_s: int, rounding: Rounding) -> Reserve:
    """Return the reserve with its indices and the treasury's claim brought to `now_s`, as the first step of every action does."""
    if _elapsed_s(reserve, now_s) == 0:
        return reserve
    liquidity_index_ray = liquidity_index_at(reserve, now_s)
    before_ray = after_ray = reserve.variable_borrow_index_ray
    if reserve.scaled_debt or reserve.observed:
        after_ray = variable_borrow_index_at(reserve, now_s, rounding)
    if liquidity_index_ray > MAX_UINT128 or after_ray > MAX_UINT128:
        raise Reverted(f"the indices would be {liquidity_index_ray} and {after_ray} (ray), more than 128 bits hold: the reserve is stuck")
    to_treasury = reserve.accrued_to_treasury
    if rules.reserve_factor_bps and reserve.scaled_debt:
        to_treasury += rounding.treasury_share(reserve.scaled_debt, before_ray, after_ray, rules.reserve_factor_bps, liquidity_index_ray)
    return Reserve(
        liquidity_index_ray,
        after_ray,
        reserve.liquidity_rate_ray,
        reserve.variable_borrow_rate_ray,
        now_s,
        reserve.scaled_supply,
        reserve.scaled_debt,
        reserve.available,
        to_treasury,
        reserve.isolation_debt_cents,
        reserve.deficit,
        reserve.observed,
    )


def rates_at(rules: ReserveRules, total_debt: int, available: int, rounding: Rounding, deficit: int = 0) -> tuple[int, int]:
    """Return (liquidity rate, variable borrow rate) in ray a year for a debt and the cash left, both in base units."""
    if total_debt == 0:
        return 0, rules.base_rate_ray
    liquidity = available + total_debt
    usage_ray = (total_debt * RAY + liquidity // 2) // liquidity
    if usage_ray > rules.optimal_usage_ray:
        excess_ray = ray_div(usage_ray - rules.optimal_usage_ray, RAY - rules.optimal_usage_ray)
        borrow_rate_ray = rules.base_rate_ray + rules.slope1_ray + ray_mul(rules.slope2_ray, excess_ray)
    else:
        optimal_ray = rules.optimal_usage_ray
        on_slope = (rules.slope1_ray * usage_ray + HALF_RAY) // RAY
        borrow_rate_ray = rules.base_rate_ray + (on_slope * RAY + optimal_ray // 2) // optimal_ray
    supplied_usage_ray = ray_div(total_debt, liquidity + deficit) if deficit else usage_ray
    paid_ray = (rounding.supplier_rate_base(total_debt, borrow_rate_ray) * supplied_usage_ray + HALF_RAY) // RAY
    return (paid_ray * (10_000 - rules.reserve_factor_bps) + 5_000) // 10_000, borrow_rate_ray


def settled(reserve: Reserve, rules: ReserveRules, rounding: Rounding, scaled_supply: int, scaled_debt: int, available: int) -> Reserve:
    """Return the accrued reserve with new totals and the rates that follow from them."""
    liquidity_rate_ray, borrow_rate_ray = reserve.liquidity_rate_ray, reserve.variable_borrow_rate_ray
    if not reserve.observed:
        total_debt = rounding.debt_balance(scaled_debt, reserve.variable_borrow_index_ray)
        liquidity_rate_ray, borrow_rate_ray = rates_at(rules, total_debt, available, rounding, reserve.deficit)
        if liquidity_rate_ray > MAX_UINT128:
            raise Reverted(f"the liquidity rate would be {liquidity_rate_ray} (ray), more than 128 bits hold: leave more in the pool")
    return Reserve(
        reserve.liquidity_index_ray,
        reserve.variable_borrow_index_ray,
        liquidity_rate_ray,
        borrow_rate_ray,
        reserve.last_update_s,
        scaled_supply,
        scaled_debt,
        available,
        reserve.accrued_to_treasury,
        reserve.isolation_debt_cents,
        reserve.deficit,
        reserve.observed,
    )
