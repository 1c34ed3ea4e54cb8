"""What Aave v3 requires before it lets an action through: flags, caps, cash, loan-to-value, isolation, silo. Pure, integers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.venues.aave_account import WAD, AccountData, account_data, collateral_terms, price_of, require_healthy
from basis_strategy_v1.venues.aave_interest import percent_div, percent_div_ceil
from basis_strategy_v1.venues.aave_reserve import MAX_UINT128, UNKNOWN_CASH, liquidity_index_at
from basis_strategy_v1.venues.aave_words import in_cents, in_millionths, in_percent, in_tokens, in_usd, in_usd_at_least
from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount
    from basis_strategy_v1.venues.aave_interest import Rounding
    from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules


def open_rules(pool: Pool, token: str, amount: int) -> ReserveRules:
    pool.reserve(token)
    rules = pool.rules[token]
    if amount <= 0:
        raise Reverted(f"the amount of {token} must be more than 0, got {in_tokens(amount, rules.decimals)}")
    if not rules.active or rules.paused:
        raise Reverted(f"the {token} reserve is {'paused' if rules.active else 'not active'}")
    return rules


def require_unit(scaled: int) -> None:
    if scaled == 0:
        raise Reverted("the amount is less than one scaled unit: give more")
    if scaled > MAX_UINT128:
        raise Reverted(f"the amount is {scaled} scaled units, more than 128 bits hold: give less")


def require_cash(reserve: Reserve, rules: ReserveRules, token: str, amount: int) -> None:
    if amount > reserve.available:
        raise Reverted(f"the pool has {in_tokens(reserve.available, rules.decimals)} {token} in cash; take less")


def require_supplied(reserve: Reserve, rules: ReserveRules, rounding: Rounding, token: str, amount: int, now_s: int) -> None:
    """3.7 lends no more than the aTokens there are: a premium or a gift in its cash is not lent."""
    if not rounding.directed or reserve.available == UNKNOWN_CASH:
        return
    supplied = rounding.supply_balance(reserve.scaled_supply, liquidity_index_at(reserve, now_s))
    if amount > supplied:
        raise Reverted(f"the pool lends no more than is supplied, {in_tokens(supplied, rules.decimals)} {token}; take less")


def require_supply_cap(reserve: Reserve, rules: ReserveRules, rounding: Rounding, token: str, scaled: int, amount: int) -> None:
    if not rules.supply_cap:
        return
    claims = reserve.scaled_supply + reserve.accrued_to_treasury
    if rounding.directed:
        total = rounding.supply_balance(claims + scaled, reserve.liquidity_index_ray)
    else:
        total = rounding.supply_balance(claims, reserve.liquidity_index_ray) + amount
    if total > rules.supply_cap * rules.unit:
        total_text = in_tokens(total, rules.decimals)
        raise Reverted(f"the total supplied would be {total_text} {token}, over the cap of {rules.supply_cap} {token}; supply less")


def require_borrow_cap(reserve: Reserve, rules: ReserveRules, rounding: Rounding, token: str, scaled: int, amount: int) -> None:
    if not rules.borrow_cap:
        return
    if rounding.directed:
        total = rounding.debt_balance(reserve.scaled_debt + scaled, reserve.variable_borrow_index_ray)
    else:
        total = rounding.debt_balance(reserve.scaled_debt, reserve.variable_borrow_index_ray) + amount
    if total > rules.borrow_cap * rules.unit:
        total_text = in_tokens(total, rules.decimals)
        raise Reverted(f"the total borrowed would be {total_text} {token}, over the cap of {rules.borrow_cap} {token}; borrow less")


def borrowable(pool: Pool, emode: EMode | None, token: str) -> bool:
    """Whether 3.7 lets `token` be owed: inside a category its list alone counts, outside the reserve's own switch."""
    return pool.rules[token].borrowable if emode is None else token in emode.borrowable


def require_borrowable(pool: Pool, user: UserAccount, token: str, rules: ReserveRules) -> None:
    if rules.frozen:
        raise Reverted(f"{token} is frozen, it can only be withdrawn or repaid")
    emode = pool.emodes.get(user.emode) if user.emode else None
    allowed = borrowable(pool, emode, token) and (rules.borrowable or pool.rounding.directed)
    if not allowed:
        if emode is None or token in emode.borrowable:
            raise Reverted(f"{token} cannot be borrowed")
        known = ", ".join(sorted(emode.borrowable)) or "none"
        raise Reverted(f"{token} cannot be borrowed in e-mode category {user.emode}, only {known}: take one of these or leave the category")


def cents(rules: ReserveRules, token: str, amount: int) -> int:
    if rules.decimals < 2:
        raise Reverted(f"{token} has {rules.decimals} decimals, isolation mode counts in two")
    return amount // (rules.unit // 100)


def require_isolation_allows(pool: Pool, isolated: str | None, token: str, amount: int) -> None:
    if isolated is None:
        return
    rules = pool.rules[token]
    if not rules.borrowable_in_isolation:
        raise Reverted(f"{token} cannot be borrowed against {isolated}, which is in isolation mode")
    total = pool.reserves[isolated].isolation_debt_cents + cents(rules, token, amount)
    if total > pool.rules[isolated].debt_ceiling_cents:
        ceiling = in_cents(pool.rules[isolated].debt_ceiling_cents)
        raise Reverted(f"all debt against {isolated} would be {in_cents(total)}, over the ceiling of {ceiling}; borrow less")


def require_ltv_before(pool: Pool, user: UserAccount, token: str, amount: int, prices: Mapping[str, int], now_s: int) -> None:
    """3.0 asks before the debt is recorded: the old debt plus the new one, each rounded down, against the collateral."""
    data = account_data(user, pool, prices, now_s)
    require_borrowing_power(data)
    if data.health_factor_wad <= WAD:
        raise Reverted(f"the health factor is {in_millionths(data.health_factor_wad)}, it must be above 1; repay first")
    emode = pool.emodes.get(user.emode) if user.emode else None
    price = price_of(prices, emode.price_source if emode is not None and emode.price_source else token)
    wanted = amount * price // pool.rules[token].unit
    needed = percent_div(data.debt_base + wanted, data.ltv_bps)
    require_covered(data, needed)


def require_ltv_after(pool: Pool, user: UserAccount, prices: Mapping[str, int], now_s: int) -> None:
    data = account_data(user, pool, prices, now_s)
    require_borrowing_power(data)
    if data.health_factor_wad < WAD:
        raise Reverted(f"leaves health factor {in_millionths(data.health_factor_wad)}, below 1; borrow less")
    require_covered(data, percent_div_ceil(data.debt_base, data.ltv_bps))


def require_borrowing_power(data: AccountData) -> None:
    if data.collateral_base == 0 or data.ltv_bps == 0:
        value, ltv = in_usd(data.collateral_base), in_percent(data.ltv_bps)
        raise Reverted(f"no collateral counts (value {value}, LTV {ltv}); supply some first")


def require_covered(data: AccountData, needed_base: int) -> None:
    if needed_base > data.collateral_base:
        needed, held = in_usd_at_least(needed_base), in_usd(data.collateral_base)
        raise Reverted(f"needs collateral of {needed} at LTV {in_percent(data.ltv_bps)}, there is {held}: borrow less or supply more")


def require_silo(pool: Pool, user: UserAccount, token: str) -> None:
    if not user.borrowed:
        return
    owed = tuple(user.borrowed)
    alone = owed[0] if len(owed) == 1 and pool.rules[owed[0]].siloed else None
    if alone is not None and alone != token:
        raise Reverted(f"{alone} is owed and siloed, nothing else can be borrowed with it; repay that first")
    if alone is None and pool.rules[token].siloed:
        raise Reverted(f"{token} is siloed and {', '.join(owed)} is owed already; repay that first")


def require_healthy_without(user: UserAccount, pool: Pool, token: str, prices: Mapping[str, int], now_s: int) -> None:
    data = require_healthy(user, pool, prices, now_s)
    if not data.has_zero_ltv_collateral:
        return
    emode = pool.emodes.get(user.emode) if user.emode else None
    ltv_bps = collateral_terms(pool, emode, token)[0] if pool.rounding.directed else pool.rules[token].ltv_bps
    if ltv_bps:
        raise Reverted(f"a collateral with an LTV of 0 has to be withdrawn before {token}")
