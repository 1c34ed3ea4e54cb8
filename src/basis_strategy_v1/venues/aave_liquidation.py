"""An Aave v3 liquidation to the wei: how much debt may be covered, what collateral goes, what the protocol keeps. Pure, integers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from basis_strategy_v1.venues.aave_account import (
    WAD,
    AccountData,
    Pool,
    UserAccount,
    account_data,
    balance_of,
    debt_of,
    isolated_collateral,
    price_of,
)
from basis_strategy_v1.venues.aave_interest import (
    PERCENT_BPS,
    Rounding,
    mul_div_ceil,
    percent_div,
    percent_div_ceil,
    percent_div_floor,
    percent_mul,
    percent_mul_ceil,
    percent_mul_floor,
)
from basis_strategy_v1.venues.aave_limits import cents, open_rules, require_cash, require_unit
from basis_strategy_v1.venues.aave_pool import add_isolation_debt, with_debt, with_scaled
from basis_strategy_v1.venues.aave_reserve import accrue, settled
from basis_strategy_v1.venues.aave_words import in_millionths, in_usd
from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from collections.abc import Mapping

HALF_BPS = 5_000
CLOSE_FACTOR_HEALTH_WAD = 95 * 10**16
# 3.7, in the base currency of 8 decimals: positions below it are closed whole, and half of it is the least that may be left.
SMALL_POSITION_BASE = 2_000 * 10**8


class AaveLiquidation(NamedTuple):
    """What a liquidation leaves, in base units: debt repaid, collateral paid out, collateral kept by the treasury as aTokens."""

    pool: Pool
    user: UserAccount
    debt_repaid: int
    collateral_paid: int
    protocol_fee: int


class _Seizure(NamedTuple):
    collateral: int
    debt: int
    fee: int


class _Case(NamedTuple):
    """The two tokens of a liquidation with their prices and units, and what the borrower has of them."""

    collateral_token: str
    debt_token: str
    collateral_price: int
    debt_price: int
    collateral_unit: int
    debt_unit: int
    balance: int
    owed: int
    bonus_bps: int
    fee_bps: int


def liquidation_call(
    pool: Pool, user: UserAccount, collateral_token: str, debt_token: str, amount: int, now_s: int, prices: Mapping[str, int]
) -> AaveLiquidation:
    """Cover up to `amount` (base units of the debt token, or ALL) of an unhealthy user's debt against `collateral_token`."""
    rounding = pool.rounding
    for token in (collateral_token, debt_token):
        open_rules(pool, token, amount)
    accrued = _accrued(pool, (debt_token, collateral_token) if rounding.directed else (debt_token,), now_s)
    data = account_data(user, accrued, prices, now_s)
    case = _case(accrued, user, collateral_token, debt_token, now_s, prices)
    _require_liquidatable(accrued, user, data, case)
    seizure = _seizure(rounding, case, min(amount, _most_debt(rounding, case, data)))
    if rounding.directed:
        _require_no_dust(case, seizure)
        return _settle_directed(accrued, user, data, case, seizure, now_s)
    return _settle_half_up(accrued, user, case, seizure, now_s)


def _accrued(pool: Pool, tokens: tuple[str, ...], now_s: int) -> Pool:
    for token in tokens:
        pool = pool.with_reserve(token, accrue(pool.reserves[token], pool.rules[token], now_s, pool.rounding))
    return pool


def _case(pool: Pool, user: UserAccount, collateral_token: str, debt_token: str, now_s: int, prices: Mapping[str, int]) -> _Case:
    emode = pool.emodes.get(user.emode) if user.emode else None
    source = emode.price_source if emode is not None else ""
    in_category = emode is not None and collateral_token in emode.collateral
    bonus_bps = emode.liquidation_bonus_bps if emode is not None and in_category else pool.rules[collateral_token].liquidation_bonus_bps
    return _Case(
        collateral_token,
        debt_token,
        price_of(prices, source if source and in_category else collateral_token),
        price_of(prices, source or debt_token),
        pool.rules[collateral_token].unit,
        pool.rules[debt_token].unit,
        balance_of(user, pool, collateral_token, now_s),
        debt_of(user, pool, debt_token, now_s),
        PERCENT_BPS + bonus_bps,
        pool.rules[collateral_token].liquidation_protocol_fee_bps,
    )


def _require_liquidatable(pool: Pool, user: UserAccount, data: AccountData, case: _Case) -> None:
    if data.health_factor_wad >= WAD:
        raise Reverted(f"liquidation: the health factor is {in_millionths(data.health_factor_wad)}, it must be below 1")
    # 3.0 asks for the reserve's own threshold, whatever the category gives.
    secures = pool.rounding.directed or pool.rules[case.collateral_token].liquidation_threshold_bps != 0
    if not secures or case.collateral_token not in user.collateral:
        raise Reverted(f"liquidation: {case.collateral_token} is not the user's collateral")
    if case.owed == 0:
        raise Reverted(f"liquidation: no {case.debt_token} is owed")


def _most_debt(rounding: Rounding, case: _Case, data: AccountData) -> int:
    """The debt (base units) that one call may cover."""
    if not rounding.directed:
        return percent_mul(case.owed, HALF_BPS if data.health_factor_wad > CLOSE_FACTOR_HEALTH_WAD else PERCENT_BPS)
    owed_base = mul_div_ceil(case.owed, case.debt_price, case.debt_unit)
    held_base = case.balance * case.collateral_price // case.collateral_unit
    half_base = percent_mul(data.debt_base, HALF_BPS)
    small = min(owed_base, held_base) < SMALL_POSITION_BASE
    if small or data.health_factor_wad <= CLOSE_FACTOR_HEALTH_WAD or owed_base <= half_base:
        return case.owed
    return half_base * case.debt_unit // case.debt_price


def _seizure(rounding: Rounding, case: _Case, debt: int) -> _Seizure:
    """What is paid out, repaid and kept when `debt` is to be covered; less debt where the collateral does not reach."""
    directed = rounding.directed
    same_value = case.debt_price * debt * case.collateral_unit // (case.collateral_price * case.debt_unit)
    wanted = (percent_mul_floor if directed else percent_mul)(same_value, case.bonus_bps)
    if wanted > case.balance:
        value = case.collateral_price * case.balance * case.debt_unit // (case.debt_price * case.collateral_unit)
        wanted, debt = case.balance, (percent_div_ceil if directed else percent_div)(value, case.bonus_bps)
    bonus = wanted - (percent_div_floor if directed else percent_div)(wanted, case.bonus_bps)
    fee = (percent_mul_ceil if directed else percent_mul)(bonus, case.fee_bps) if case.fee_bps else 0
    return _Seizure(wanted - fee, debt, fee)


def _settle_half_up(pool: Pool, user: UserAccount, case: _Case, seizure: _Seizure, now_s: int) -> AaveLiquidation:
    rounding, debt_token = pool.rounding, case.debt_token
    emptied = seizure.collateral + seizure.fee == case.balance
    collateral = user.collateral - {case.collateral_token} if emptied else user.collateral
    held = user.borrowed.get(debt_token, 0)
    reserve, rules = pool.reserves[debt_token], pool.rules[debt_token]
    burned = rounding.repay_scaled(seizure.debt, reserve.variable_borrow_index_ray)
    require_unit(burned)
    borrowed = with_debt(user.borrowed, debt_token, held - burned, seizure.debt == case.owed)
    user = UserAccount(user.supplied, borrowed, collateral, user.emode)
    # The rates count the repayment at once, the cash arrives at the end: it matters where both tokens are the same.
    counted = settled(reserve, rules, rounding, reserve.scaled_supply, reserve.scaled_debt - burned, reserve.available + seizure.debt)
    pool = pool.with_reserve(debt_token, replace(counted, available=reserve.available))
    isolated = isolated_collateral(user, pool)
    if isolated is not None:
        pool = add_isolation_debt(pool, isolated, -cents(rules, debt_token, seizure.debt))
    pool, user, fee = _pay_out(pool, user, case, seizure, now_s)
    back = pool.reserves[debt_token]
    pool = pool.with_reserve(debt_token, replace(back, available=back.available + seizure.debt))
    return AaveLiquidation(pool, user, seizure.debt, seizure.collateral, fee)


def _pay_out(
    pool: Pool, user: UserAccount, case: _Case, seizure: _Seizure, now_s: int, not_arrived: int = 0
) -> tuple[Pool, UserAccount, int]:
    """Burn the liquidator's part of the collateral and hand the fee to the treasury; the fee is cut to what is left of the balance.

    `not_arrived` is what counts as cash of the collateral already, and is paid in only after this: a repayment of the same token.
    """
    token, rounding = case.collateral_token, pool.rounding
    rules = pool.rules[token]
    reserve = accrue(pool.reserves[token], rules, now_s, rounding)
    index_ray, held = reserve.liquidity_index_ray, user.supplied.get(token, 0)
    burned = rounding.withdraw_scaled(seizure.collateral, index_ray)
    require_unit(burned)
    require_cash(replace(reserve, available=reserve.available - not_arrived), rules, token, seizure.collateral)
    if burned > held:
        raise Reverted(f"liquidation: {burned} scaled {token} would go, the user has {held}")
    left, fee = held - burned, seizure.fee
    moved = rounding.withdraw_scaled(fee, index_ray)
    if moved > left:
        fee = rounding.supply_balance(left, index_ray)
        moved = left if rounding.directed else rounding.withdraw_scaled(fee, index_ray)
    after = settled(reserve, rules, rounding, reserve.scaled_supply - burned, reserve.scaled_debt, reserve.available - seizure.collateral)
    user = UserAccount(with_scaled(user.supplied, token, left - moved), user.borrowed, user.collateral, user.emode)
    return pool.with_reserve(token, after), user, fee


def _require_no_dust(case: _Case, seizure: _Seizure) -> None:
    debt_left, held_left = case.owed - seizure.debt, case.balance - seizure.collateral - seizure.fee
    if debt_left <= 0 or held_left <= 0:
        return
    debt_base = mul_div_ceil(debt_left, case.debt_price, case.debt_unit)
    held_base = held_left * case.collateral_price // case.collateral_unit
    if min(debt_base, held_base) < SMALL_POSITION_BASE // 2:
        raise Reverted(
            f"liquidation leaves debt of {in_usd(debt_base)} and collateral of {in_usd(held_base)}: "
            f"leave at least {in_usd(SMALL_POSITION_BASE // 2)} of both, or clear one of them"
        )


def _settle_directed(pool: Pool, user: UserAccount, data: AccountData, case: _Case, seizure: _Seizure, now_s: int) -> AaveLiquidation:
    token, rounding, index_ray = case.collateral_token, pool.rounding, pool.reserves[case.collateral_token].liquidity_index_ray
    held = user.supplied.get(token, 0)
    consumed = rounding.withdraw_scaled(seizure.collateral, index_ray) + rounding.withdraw_scaled(seizure.fee, index_ray)
    consumed = min(consumed, held)
    consumed_base = rounding.supply_balance(consumed, index_ray) * case.collateral_price // case.collateral_unit
    nothing_left = consumed_base == data.collateral_base
    if consumed == held or nothing_left:
        user = replace(user, collateral=user.collateral - {token})
    pool, user = _burn_debt(pool, user, case.debt_token, case.owed, seizure.debt, nothing_left)
    pool, user, fee = _pay_out(pool, user, case, seizure, now_s, seizure.debt if token == case.debt_token else 0)
    if nothing_left:
        for other in tuple(user.borrowed):
            pool = _accrued(pool, (other,), now_s)
            index_ray = pool.reserves[other].variable_borrow_index_ray
            pool, user = _burn_debt(pool, user, other, rounding.debt_balance(user.borrowed[other], index_ray), 0, True)
    return AaveLiquidation(pool, user, seizure.debt, seizure.collateral, fee)


def _burn_debt(pool: Pool, user: UserAccount, token: str, owed: int, paid: int, nothing_left: bool) -> tuple[Pool, UserAccount]:
    """Take `paid` off the debt, or all of it where no collateral is left: what is not paid then becomes the reserve's deficit (3.7)."""
    rounding, reserve = pool.rounding, pool.reserves[token]
    held = user.borrowed.get(token, 0)
    burned = rounding.repay_scaled(owed if nothing_left else paid, reserve.variable_borrow_index_ray)
    require_unit(burned)
    if nothing_left:
        reserve = replace(reserve, deficit=reserve.deficit + owed - paid)
    after = settled(reserve, pool.rules[token], rounding, reserve.scaled_supply, reserve.scaled_debt - burned, reserve.available + paid)
    borrowed = with_debt(user.borrowed, token, held - burned, burned == held)
    return pool.with_reserve(token, after), UserAccount(user.supplied, borrowed, user.collateral, user.emode)
