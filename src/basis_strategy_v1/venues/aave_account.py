"""What a user of an Aave v3 pool holds, owes and may still borrow: collateral, debt, LTV, threshold, health factor. Pure, integers only.

Prices are the oracle's, per whole token, all in one base currency (Aave: USD with 8 decimals); every value below is in that currency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from basis_strategy_v1.core.state import Reading
from basis_strategy_v1.venues.aave_interest import ROUNDINGS, Rounding, percent_mul, percent_mul_floor, rounding_of, wad_div
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules, liquidity_index_at, variable_borrow_index_at
from basis_strategy_v1.venues.aave_words import in_millionths, in_usd
from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_DEBT_HEALTH_FACTOR = 2**256 - 1
WAD = 10**18


class EMode(Struct, frozen=True, kw_only=True):
    """An efficiency mode category. In 3.0 its collateral and borrowable tokens are the same and `price_source` may name another price
    for them; `zero_ltv` and `isolated` are 3.7's."""

    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    collateral: frozenset[str]
    borrowable: frozenset[str]
    zero_ltv: frozenset[str] = frozenset()
    isolated: bool = False
    price_source: str = ""


class Pool(Struct, frozen=True, kw_only=True):
    """A market: its revision, what governance set, and the state of each reserve, by token."""

    revision: str
    rules: dict[str, ReserveRules]
    reserves: dict[str, Reserve]
    emodes: dict[int, EMode] = {}
    flash_premium_bps: int = 5
    flash_premium_to_protocol_bps: int = 0

    @property
    def rounding(self) -> Rounding:
        return ROUNDINGS.get(self.revision) or rounding_of(self.revision)

    def reserve(self, token: str) -> Reserve:
        try:
            return self.reserves[token]
        except KeyError:
            raise Reverted(f"there is no reserve for {token}, only for {', '.join(sorted(self.reserves))}") from None

    def with_reserve(self, token: str, reserve: Reserve) -> Pool:
        return replace(self, reserves={**self.reserves, token: reserve})


class UserAccount(Struct, frozen=True):
    """A user's scaled supply and scaled debt by token (a token that is not supplied or not owed is absent), the tokens that serve
    as collateral, and the e-mode category (0: none)."""

    supplied: dict[str, int] = {}
    borrowed: dict[str, int] = {}
    collateral: frozenset[str] = frozenset()
    emode: Reading = 0


class AccountData(NamedTuple):
    """A user's position in the base currency; ltv and threshold are averages in basis points, the health factor a wad."""

    collateral_base: int
    debt_base: int
    ltv_bps: int
    liquidation_threshold_bps: int
    health_factor_wad: int
    has_zero_ltv_collateral: bool

    @property
    def available_borrows_base(self) -> int:
        return max(percent_mul(self.collateral_base, self.ltv_bps) - self.debt_base, 0)


class DirectedAccountData(AccountData):
    """As 3.7 rounds it."""

    __slots__ = ()

    @property
    def available_borrows_base(self) -> int:
        return max(percent_mul_floor(self.collateral_base, self.ltv_bps) - self.debt_base, 0)


def balance_of(user: UserAccount, pool: Pool, token: str, now_s: int) -> int:
    """The user's aToken balance in base units."""
    scaled = user.supplied.get(token, 0)
    return pool.rounding.supply_balance(scaled, liquidity_index_at(pool.reserve(token), now_s)) if scaled else 0


def debt_of(user: UserAccount, pool: Pool, token: str, now_s: int) -> int:
    """The user's variable debt in base units."""
    scaled = user.borrowed.get(token, 0)
    if not scaled:
        return 0
    rounding = pool.rounding
    return rounding.debt_balance(scaled, variable_borrow_index_at(pool.reserve(token), now_s, rounding))


def price_of(prices: Mapping[str, int], token: str) -> int:
    try:
        return prices[token]
    except KeyError:
        raise Reverted(f"the oracle has no price for {token}: prices are given for {', '.join(sorted(prices))}") from None


def account_data(user: UserAccount, pool: Pool, prices: Mapping[str, int], now_s: int) -> AccountData:
    """Return collateral, debt, average LTV and threshold, and the health factor at `now_s`."""
    if not user.collateral and not user.borrowed:
        return AccountData(0, 0, 0, 0, NO_DEBT_HEALTH_FACTOR, False)
    rounding = pool.rounding
    emode = pool.emodes.get(user.emode) if user.emode else None
    collateral = weighted_ltv = weighted_threshold = debt = 0
    zero_ltv = False
    for token in user.collateral:
        rules = pool.rules[token]
        ltv_bps, threshold_bps = rules.ltv_bps, rules.liquidation_threshold_bps
        if emode is not None:
            ltv_bps, threshold_bps = collateral_terms(pool, emode, token)
        if threshold_bps:
            balance = rounding.supply_balance(user.supplied.get(token, 0), liquidity_index_at(pool.reserves[token], now_s))
            value = balance * (price_of(prices, token) if emode is None else oracle_price(prices, emode, token)) // rules.unit
            collateral += value
            weighted_ltv += value * ltv_bps
            weighted_threshold += value * threshold_bps
            zero_ltv = zero_ltv or ltv_bps == 0
    for token, scaled in user.borrowed.items():
        owed = rounding.debt_balance(scaled, variable_borrow_index_at(pool.reserves[token], now_s, rounding))
        debt += rounding.debt_value(owed, oracle_price(prices, emode, token), pool.rules[token].unit)
    ltv_bps = weighted_ltv // collateral if collateral else 0
    threshold_bps = weighted_threshold // collateral if collateral else 0
    health = _health_factor(rounding, collateral, debt, threshold_bps, weighted_threshold)
    of = DirectedAccountData if rounding.directed else AccountData
    return of(collateral, debt, ltv_bps, threshold_bps, health, zero_ltv)


def _health_factor(rounding: Rounding, collateral: int, debt: int, threshold_bps: int, weighted_threshold: int) -> int:
    if debt == 0:
        return NO_DEBT_HEALTH_FACTOR
    if rounding.directed:
        return wad_div(weighted_threshold, debt) // 10_000
    return wad_div(percent_mul(collateral, threshold_bps), debt)


def collateral_terms(pool: Pool, emode: EMode | None, token: str) -> tuple[int, int]:
    """Return (LTV, liquidation threshold) in basis points that `token` has for a user in `emode`."""
    rules = pool.rules[token]
    if emode is None:
        return rules.ltv_bps, rules.liquidation_threshold_bps
    if token in emode.collateral:
        if pool.rounding.directed:
            return 0 if token in emode.zero_ltv else emode.ltv_bps, emode.liquidation_threshold_bps
        # 3.0: the reserve's own zeroes win over the category.
        return emode.ltv_bps if rules.ltv_bps else 0, emode.liquidation_threshold_bps if rules.liquidation_threshold_bps else 0
    return 0 if emode.isolated else rules.ltv_bps, rules.liquidation_threshold_bps


def oracle_price(prices: Mapping[str, int], emode: EMode | None, token: str) -> int:
    """The price that counts for a user in `emode`: 3.0's category may bring its own price source."""
    source = emode.price_source if emode is not None and token in emode.collateral else ""
    return price_of(prices, source or token)


def isolated_collateral(user: UserAccount, pool: Pool) -> str | None:
    """The one isolated token that a user in isolation mode has as collateral (3.0)."""
    if len(user.collateral) != 1 or pool.rounding.directed:
        return None
    (token,) = user.collateral
    return token if pool.rules[token].debt_ceiling_cents else None


def may_be_collateral(user: UserAccount, pool: Pool, token: str) -> bool:
    """Whether a user may switch `token` on as collateral: it needs an LTV, and (3.0) isolation must allow it."""
    emode = pool.emodes.get(user.emode) if user.emode else None
    if collateral_terms(pool, emode, token)[0] == 0:
        return False
    if pool.rounding.directed or not user.collateral:
        return True
    return isolated_collateral(user, pool) is None and pool.rules[token].debt_ceiling_cents == 0


def require_healthy(user: UserAccount, pool: Pool, prices: Mapping[str, int], now_s: int) -> AccountData:
    """Return the account data, or Reverted where the health factor is below 1."""
    data = account_data(user, pool, prices, now_s)
    if data.health_factor_wad < WAD:
        health, collateral, debt = in_millionths(data.health_factor_wad), in_usd(data.collateral_base), in_usd(data.debt_base)
        raise Reverted(f"leaves health factor {health}, below 1 (collateral {collateral}, debt {debt}): repay first, or take less")
    return data
