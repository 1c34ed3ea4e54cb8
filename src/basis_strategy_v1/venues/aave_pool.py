"""Aave v3's actions to the wei: (pool, user, token, amount, time) -> the pool and user afterwards. Pure, integers only.

Amounts are base units of the token (10**decimals make one), times whole seconds, prices the oracle's per whole token in its base
currency. Every action accrues the reserve first, as the contract does, and raises Reverted where the contract would revert; what it
was given stays as it was. The caller's own token balance is the wallet's matter and not looked at here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from basis_strategy_v1.venues.aave_account import (
    Pool,
    UserAccount,
    collateral_terms,
    isolated_collateral,
    may_be_collateral,
    require_healthy,
)
from basis_strategy_v1.venues.aave_interest import RAY, WAD_TO_RAY, Rounding, percent_mul, ray_div, ray_mul
from basis_strategy_v1.venues.aave_limits import (
    borrowable,
    cents,
    open_rules,
    require_borrow_cap,
    require_borrowable,
    require_cash,
    require_healthy_without,
    require_isolation_allows,
    require_ltv_after,
    require_ltv_before,
    require_silo,
    require_supplied,
    require_supply_cap,
    require_unit,
)
from basis_strategy_v1.venues.aave_reserve import Reserve, accrue, settled
from basis_strategy_v1.venues.aave_words import in_tokens
from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = 2**256 - 1


class PoolChange(NamedTuple):
    """What an action leaves, and the amount (base units) of the token that it moved."""

    pool: Pool
    user: UserAccount
    amount: int


def supply(pool: Pool, user: UserAccount, token: str, amount: int, now_s: int) -> PoolChange:
    """Put `amount` in; the first supply of a token makes it collateral where that is allowed."""
    rounding, rules = pool.rounding, open_rules(pool, token, amount)
    if rules.frozen:
        raise Reverted(f"{token} is frozen, it can only be withdrawn or repaid")
    reserve = accrue(pool.reserves[token], rules, now_s, rounding)
    scaled = rounding.supply_scaled(amount, reserve.liquidity_index_ray)
    require_unit(scaled)
    require_supply_cap(reserve, rules, rounding, token, scaled, amount)
    held = user.supplied.get(token, 0)
    after = settled(reserve, rules, rounding, reserve.scaled_supply + scaled, reserve.scaled_debt, reserve.available + amount)
    automatic = held == 0 and not (rules.debt_ceiling_cents and not rounding.directed) and may_be_collateral(user, pool, token)
    collateral = user.collateral | {token} if automatic else user.collateral
    moved = UserAccount({**user.supplied, token: held + scaled}, user.borrowed, collateral, user.emode)
    return PoolChange(pool.with_reserve(token, after), moved, amount)


def withdraw(pool: Pool, user: UserAccount, token: str, amount: int, now_s: int, prices: Mapping[str, int]) -> PoolChange:
    """Take `amount` (or ALL) out, where the cash is there and what remains still secures the debt."""
    rounding, rules = pool.rounding, open_rules(pool, token, amount)
    reserve = accrue(pool.reserves[token], rules, now_s, rounding)
    held = user.supplied.get(token, 0)
    balance = rounding.supply_balance(held, reserve.liquidity_index_ray)
    paid = balance if amount == ALL else amount
    burned = held if amount == ALL else rounding.withdraw_scaled(paid, reserve.liquidity_index_ray)
    if paid > balance or burned > held:
        if not held:
            raise Reverted(f"no {token} is supplied")
        raise Reverted(f'{in_tokens(balance, rules.decimals)} are supplied; withdraw less, or write amount "all"')
    require_unit(burned)
    require_cash(reserve, rules, token, paid)
    after = settled(reserve, rules, rounding, reserve.scaled_supply - burned, reserve.scaled_debt, reserve.available - paid)
    emptied = burned == held if rounding.directed else paid == balance
    collateral = user.collateral - {token} if emptied else user.collateral
    moved = UserAccount(with_scaled(user.supplied, token, held - burned), user.borrowed, collateral, user.emode)
    pool_after = pool.with_reserve(token, after)
    if token in user.collateral and user.borrowed:
        require_healthy_without(moved, pool_after, token, prices, now_s)
    return PoolChange(pool_after, moved, paid)


def borrow(pool: Pool, user: UserAccount, token: str, amount: int, now_s: int, prices: Mapping[str, int]) -> PoolChange:
    """Borrow `amount` at the variable rate, within cash, caps and the loan-to-value of the collateral."""
    rounding, rules = pool.rounding, open_rules(pool, token, amount)
    reserve = accrue(pool.reserves[token], rules, now_s, rounding)
    scaled = rounding.borrow_scaled(amount, reserve.variable_borrow_index_ray)
    require_borrowable(pool, user, token, rules)
    require_borrow_cap(reserve, rules, rounding, token, scaled, amount)
    isolated = isolated_collateral(user, pool)
    if not rounding.directed:
        require_isolation_allows(pool, isolated, token, amount)
        require_ltv_before(pool, user, token, amount, prices, now_s)
        require_silo(pool, user, token)
    require_unit(scaled)
    require_supplied(reserve, rules, rounding, token, amount, now_s)
    require_cash(reserve, rules, token, amount)
    after = settled(reserve, rules, rounding, reserve.scaled_supply, reserve.scaled_debt + scaled, reserve.available - amount)
    owed = {**user.borrowed, token: user.borrowed.get(token, 0) + scaled}
    moved = UserAccount(user.supplied, owed, user.collateral, user.emode)
    pool_after = pool.with_reserve(token, after)
    if isolated is not None:
        pool_after = add_isolation_debt(pool_after, isolated, cents(rules, token, amount))
    if rounding.directed:
        require_ltv_after(pool_after, moved, prices, now_s)
    return PoolChange(pool_after, moved, amount)


def repay(pool: Pool, user: UserAccount, token: str, amount: int, now_s: int) -> PoolChange:
    """Pay back `amount` (or ALL); never more than is owed is taken."""
    rounding, rules = pool.rounding, open_rules(pool, token, amount)
    reserve = accrue(pool.reserves[token], rules, now_s, rounding)
    held = user.borrowed.get(token, 0)
    owed = rounding.debt_balance(held, reserve.variable_borrow_index_ray)
    if owed == 0:
        raise Reverted(f"no {token} is owed")
    paid = min(amount, owed)
    burned = rounding.repay_scaled(paid, reserve.variable_borrow_index_ray)
    require_unit(burned)
    after = settled(reserve, rules, rounding, reserve.scaled_supply, reserve.scaled_debt - burned, reserve.available + paid)
    cleared = burned == held if rounding.directed else paid == owed
    moved = UserAccount(user.supplied, with_debt(user.borrowed, token, held - burned, cleared), user.collateral, user.emode)
    pool_after = pool.with_reserve(token, after)
    isolated = isolated_collateral(user, pool)
    if isolated is not None:
        pool_after = add_isolation_debt(pool_after, isolated, -cents(rules, token, paid))
    return PoolChange(pool_after, moved, paid)


def set_emode(pool: Pool, user: UserAccount, category: int, now_s: int, prices: Mapping[str, int]) -> UserAccount:
    """Return the user in e-mode `category` (0: none), where all that is owed may be owed there and the health factor stays at 1 or more."""
    emode = pool.emodes.get(category)
    if category and emode is None:
        raise Reverted(f"there is no e-mode category {category}, only {', '.join(map(str, sorted(pool.emodes))) or 'none'}")
    directed = pool.rounding.directed
    if directed and category == user.emode:
        return user
    for token in user.borrowed:
        if not (borrowable(pool, emode, token) if directed else emode is None or token in emode.borrowable):
            raise Reverted(f"{token} is owed and cannot be borrowed in category {category}; repay it first")
    for token in user.collateral if directed else ():
        if collateral_terms(pool, emode, token)[0] == 0:
            raise Reverted(f"{token} is collateral and would have an LTV of 0 in category {category}; withdraw it first")
    moved = replace(user, emode=category)
    if directed or user.emode:
        require_healthy(moved, pool, prices, now_s)
    return moved


def set_collateral(pool: Pool, user: UserAccount, token: str, enabled: bool, now_s: int, prices: Mapping[str, int]) -> UserAccount:
    """Return the user with `token` switched on or off as collateral."""
    open_rules(pool, token, 1)
    held = user.supplied.get(token, 0)
    if held == 0 and (enabled or not pool.rounding.directed):
        raise Reverted(f"no {token} is supplied")
    if enabled == (token in user.collateral):
        return user
    if enabled:
        if not may_be_collateral(user, pool, token):
            raise Reverted(f"{token} has an LTV of 0 here, or isolation mode keeps it from being collateral")
        return replace(user, collateral=user.collateral | {token})
    moved = replace(user, collateral=user.collateral - {token})
    require_healthy_without(moved, pool, token, prices, now_s)
    return moved


def flash_premium(pool: Pool, amount: int) -> int:
    """The fee (base units) for a flash loan of `amount`."""
    return pool.rounding.flash_premium(amount, pool.flash_premium_bps)


def take_flash_loan(pool: Pool, token: str, amount: int, now_s: int | None = None) -> tuple[Pool, int]:
    """Return the pool with the loan out, and the premium that has to come back with it. Nothing accrues yet; without `now_s` what is
    supplied is that of the last update."""
    rules, reserve = open_rules(pool, token, 1), pool.reserves[token]
    if not rules.flash_loanable:
        raise Reverted(f"{token} cannot be flash-borrowed")
    require_supplied(reserve, rules, pool.rounding, token, amount, reserve.last_update_s if now_s is None else now_s)
    if amount < 0 or amount > reserve.available:
        raise Reverted(f"the pool has {in_tokens(reserve.available, rules.decimals)} {token} in cash; take less")
    return pool.with_reserve(token, replace(reserve, available=reserve.available - amount)), flash_premium(pool, amount)


def return_flash_loan(pool: Pool, token: str, amount: int, premium: int, now_s: int) -> Pool:
    """Return the pool with loan and premium back: 3.0 shares the premium between suppliers and treasury, 3.7 gives it to the treasury."""
    rounding, rules = pool.rounding, pool.rules[token]
    reserve = accrue(pool.reserves[token], rules, now_s, rounding)
    credited = _book_to_treasury(reserve, rounding, premium) if rounding.directed else _book_to_suppliers(reserve, rounding, pool, premium)
    back = credited.available + amount + premium
    return pool.with_reserve(token, settled(credited, rules, rounding, credited.scaled_supply, credited.scaled_debt, back))


def _book_to_treasury(reserve: Reserve, rounding: Rounding, premium: int) -> Reserve:
    share = rounding.supply_scaled(premium, reserve.liquidity_index_ray)
    return replace(reserve, accrued_to_treasury=reserve.accrued_to_treasury + share)


def _book_to_suppliers(reserve: Reserve, rounding: Rounding, pool: Pool, premium: int) -> Reserve:
    index_ray = reserve.liquidity_index_ray
    to_protocol = percent_mul(premium, pool.flash_premium_to_protocol_bps)
    total = ray_mul(reserve.scaled_supply, index_ray) + ray_mul(reserve.accrued_to_treasury, index_ray)
    if total == 0:
        raise Reverted("nothing is supplied, so the premium has nobody to go to")
    grown_ray = ray_mul(ray_div((premium - to_protocol) * WAD_TO_RAY, total * WAD_TO_RAY) + RAY, index_ray)
    claim = reserve.accrued_to_treasury + ray_div(to_protocol, grown_ray)
    return replace(reserve, liquidity_index_ray=grown_ray, accrued_to_treasury=claim)


def with_scaled(held: dict[str, int], token: str, scaled: int) -> dict[str, int]:
    if scaled:
        return {**held, token: scaled}
    return {name: amount for name, amount in held.items() if name != token}


def with_debt(owed: dict[str, int], token: str, scaled: int, cleared: bool) -> dict[str, int]:
    # 3.0 goes on counting a reserve as borrowed until exactly its balance is paid, even where rounding already burned all of it.
    return with_scaled(owed, token, 0) if cleared else {**owed, token: scaled}


def add_isolation_debt(pool: Pool, isolated: str, cents: int) -> Pool:
    reserve = pool.reserves[isolated]
    # Interest is not counted in the ceiling, so a repayment can be more than what was counted: it stops at 0.
    return pool.with_reserve(isolated, replace(reserve, isolation_debt_cents=max(reserve.isolation_debt_cents + cents, 0)))
