"""Morpho Blue with its AdaptiveCurveIrm to the wei: (market, position, amount, time) -> both afterwards. Pure, integers only.

Assets and collateral are base units of their tokens, shares Morpho's own units, times whole seconds. The price is the oracle's:
loan-token base units for one base unit of collateral, times 10**36. Interest accrues first in every action but `supply_collateral`,
as in the contract, and Reverted is raised where the contract would revert; what was given stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from basis_strategy_v1.venues.morpho_rate import INITIAL_RATE_AT_TARGET_WAD, WAD, adapted_rate, taylor_compounded
from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from collections.abc import Callable

ORACLE_SCALE = 10**36
VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1
MAX_UINT128 = 2**128 - 1
NO_DEBT_HEALTH_FACTOR = 2**256 - 1
LIQUIDATION_CURSOR_WAD = 3 * 10**17
MAX_LIQUIDATION_INCENTIVE_WAD = 115 * 10**16


class Refused(Reverted):
    """A Reverted whose text names amounts: base units of the loan token, or of the collateral."""

    def __init__(self, text: str, *amounts: int, of_collateral: bool = False) -> None:
        super().__init__(text.format(*amounts))
        self.of_collateral = of_collateral
        self._text, self._amounts = text, amounts

    def worded(self, word: Callable[[int], str]) -> str:
        """The text with each amount as `word` writes it."""
        return self._text.format(*map(word, self._amounts))


class Market(Struct, frozen=True):
    """A market's state. `rate_at_target_wad` is a second's rate; `fee_shares` counts the supply shares that went to the fee recipient."""

    lltv_wad: int
    last_update_s: int
    total_supply_assets: int = 0
    total_supply_shares: int = 0
    total_borrow_assets: int = 0
    total_borrow_shares: int = 0
    fee_wad: int = 0
    rate_at_target_wad: int = INITIAL_RATE_AT_TARGET_WAD
    fee_shares: int = 0


class Position(Struct, frozen=True):
    """What a user has in one market."""

    supply_shares: int = 0
    borrow_shares: int = 0
    collateral: int = 0


class MarketChange(NamedTuple):
    """What an action leaves, and the assets and shares that it moved (a collateral action moves no shares)."""

    market: Market
    position: Position
    assets: int
    shares: int


class MorphoLiquidation(NamedTuple):
    """What a liquidation leaves: collateral seized, loan assets repaid, and the assets that suppliers lost where no collateral is left."""

    market: Market
    position: Position
    seized: int
    repaid: int
    bad_debt: int


def shares_down(assets: int, total_assets: int, total_shares: int) -> int:
    return assets * (total_shares + VIRTUAL_SHARES) // (total_assets + VIRTUAL_ASSETS)


def shares_up(assets: int, total_assets: int, total_shares: int) -> int:
    return -(-assets * (total_shares + VIRTUAL_SHARES) // (total_assets + VIRTUAL_ASSETS))


def assets_down(shares: int, total_assets: int, total_shares: int) -> int:
    return shares * (total_assets + VIRTUAL_ASSETS) // (total_shares + VIRTUAL_SHARES)


def assets_up(shares: int, total_assets: int, total_shares: int) -> int:
    return -(-shares * (total_assets + VIRTUAL_ASSETS) // (total_shares + VIRTUAL_SHARES))


def accrue(market: Market, now_s: int) -> Market:
    """Return the market with interest, fee shares and the curve's target rate brought to `now_s`."""
    elapsed_s = now_s - market.last_update_s
    if elapsed_s == 0:
        return market
    if elapsed_s < 0:
        raise Reverted(f"the market was updated at {market.last_update_s} s, after the given {now_s} s: time runs forward only")
    rate_wad, target_wad = adapted_rate(market.total_supply_assets, market.total_borrow_assets, market.rate_at_target_wad, elapsed_s)
    interest = market.total_borrow_assets * taylor_compounded(rate_wad, elapsed_s) // WAD
    supplied, shares, fee_shares = market.total_supply_assets + interest, market.total_supply_shares, 0
    if market.fee_wad:
        fee = interest * market.fee_wad // WAD
        # The fee is taken out of the total first: the recipient's shares are bought at the price before the fee.
        fee_shares = shares_down(fee, supplied - fee, shares)
    return Market(
        market.lltv_wad,
        now_s,
        supplied,
        shares + fee_shares,
        market.total_borrow_assets + interest,
        market.total_borrow_shares,
        market.fee_wad,
        target_wad,
        market.fee_shares + fee_shares,
    )


def supply(market: Market, position: Position, now_s: int, *, assets: int = 0, shares: int = 0) -> MarketChange:
    """Lend `assets`, or as many as `shares` cost."""
    _require_one(assets, shares, "supply")
    market = accrue(market, now_s)
    if assets:
        shares = shares_down(assets, market.total_supply_assets, market.total_supply_shares)
    else:
        assets = assets_up(shares, market.total_supply_assets, market.total_supply_shares)
    return MarketChange(
        _with_supply(market, assets, shares), replace(position, supply_shares=position.supply_shares + shares), assets, shares
    )


def withdraw(market: Market, position: Position, now_s: int, *, assets: int = 0, shares: int = 0) -> MarketChange:
    """Take back `assets`, or what `shares` are worth (`shares=position.supply_shares` takes all)."""
    _require_one(assets, shares, "withdraw")
    market = accrue(market, now_s)
    if assets:
        shares = shares_up(assets, market.total_supply_assets, market.total_supply_shares)
    else:
        assets = assets_down(shares, market.total_supply_assets, market.total_supply_shares)
    if shares > position.supply_shares:
        if not position.supply_shares:
            raise Reverted("nothing is supplied")
        raise Refused('{} are supplied; withdraw less, or write amount "all"', supplied_of(market, position))
    after = _with_supply(market, -assets, -shares)
    _require_liquidity(after)
    return MarketChange(after, replace(position, supply_shares=position.supply_shares - shares), assets, shares)


def borrow(market: Market, position: Position, now_s: int, price: int, *, assets: int = 0, shares: int = 0) -> MarketChange:
    """Borrow `assets`, or what `shares` of debt bring, as far as the collateral carries it."""
    _require_one(assets, shares, "borrow")
    market = accrue(market, now_s)
    if assets:
        shares = shares_up(assets, market.total_borrow_assets, market.total_borrow_shares)
    else:
        assets = assets_down(shares, market.total_borrow_assets, market.total_borrow_shares)
    after = _with_borrow(market, market.total_borrow_assets + assets, shares)
    moved = replace(position, borrow_shares=position.borrow_shares + shares)
    require_healthy(after, moved, price)
    _require_liquidity(after)
    return MarketChange(after, moved, assets, shares)


def repay(market: Market, position: Position, now_s: int, *, assets: int = 0, shares: int = 0) -> MarketChange:
    """Pay back `assets`, or what `shares` of debt cost (`shares=position.borrow_shares` clears it)."""
    _require_one(assets, shares, "repay")
    market = accrue(market, now_s)
    if assets:
        shares = shares_down(assets, market.total_borrow_assets, market.total_borrow_shares)
    else:
        assets = assets_up(shares, market.total_borrow_assets, market.total_borrow_shares)
    if shares > position.borrow_shares:
        if not position.borrow_shares:
            raise Reverted("nothing is owed")
        raise Refused('{} are owed; repay less, or write amount "all"', debt_of(market, position))
    after = _with_borrow(market, max(market.total_borrow_assets - assets, 0), -shares)
    return MarketChange(after, replace(position, borrow_shares=position.borrow_shares - shares), assets, shares)


def supply_collateral(market: Market, position: Position, assets: int) -> MarketChange:
    """Put collateral in: no interest accrues, nothing is earned on it."""
    _require_amount(assets, "supply_collateral")
    _require_uint128(position.collateral + assets, "the collateral")
    return MarketChange(market, replace(position, collateral=position.collateral + assets), assets, 0)


def withdraw_collateral(market: Market, position: Position, now_s: int, price: int, assets: int) -> MarketChange:
    """Take collateral out, as far as the rest still carries the debt."""
    _require_amount(assets, "withdraw_collateral")
    market = accrue(market, now_s)
    if assets > position.collateral:
        if not position.collateral:
            raise Reverted("no collateral is there")
        raise Refused("{} are there; withdraw less", position.collateral, of_collateral=True)
    moved = replace(position, collateral=position.collateral - assets)
    require_healthy(market, moved, price)
    return MarketChange(market, moved, assets, 0)


def flash_loan(assets: int, available: int) -> None:
    """Check a flash loan: it is free, and all that Morpho holds of the token, over all markets, can be had."""
    _require_amount(assets, "flash_loan")
    if assets > available:
        raise Refused("morpho holds {}; take less", available)


def liquidation_incentive_wad(lltv_wad: int) -> int:
    """How much collateral a liquidator gets for one unit of value repaid: 1 / (1 - 0.3 * (1 - LLTV)), at most 1.15."""
    return min(MAX_LIQUIDATION_INCENTIVE_WAD, WAD * WAD // (WAD - LIQUIDATION_CURSOR_WAD * (WAD - lltv_wad) // WAD))


def liquidate(market: Market, position: Position, now_s: int, price: int, *, seized: int = 0, shares: int = 0) -> MorphoLiquidation:
    """Repay an unhealthy position's debt for `seized` collateral, or by `shares` of debt; debt without collateral left is written off."""
    _require_one(seized, shares, "liquidate")
    if price <= 0:
        raise Reverted(f"liquidate: the oracle's price must be more than 0, got {price}")
    market = accrue(market, now_s)
    if is_healthy(market, position, price):
        raise Reverted(f"liquidate: the health factor is {health_factor_wad(market, position, price) / WAD:.6f}, it must be below 1")
    incentive_wad = liquidation_incentive_wad(market.lltv_wad)
    if seized:
        quoted = -(-seized * price // ORACLE_SCALE)
        shares = shares_up(-(-quoted * WAD // incentive_wad), market.total_borrow_assets, market.total_borrow_shares)
    else:
        value = assets_down(shares, market.total_borrow_assets, market.total_borrow_shares) * incentive_wad // WAD
        seized = value * ORACLE_SCALE // price
    repaid = assets_up(shares, market.total_borrow_assets, market.total_borrow_shares)
    if shares > position.borrow_shares or seized > position.collateral:
        raise Reverted(
            f"liquidate takes {shares} debt shares and {seized} collateral (base units), "
            f"the position has {position.borrow_shares} and {position.collateral}: take less"
        )
    after = _with_borrow(market, max(market.total_borrow_assets - repaid, 0), -shares)
    left = replace(position, borrow_shares=position.borrow_shares - shares, collateral=position.collateral - seized)
    return MorphoLiquidation(*_without_bad_debt(after, left, seized, repaid))


def _without_bad_debt(market: Market, position: Position, seized: int, repaid: int) -> tuple[Market, Position, int, int, int]:
    if position.collateral:
        return market, position, seized, repaid, 0
    lost = min(market.total_borrow_assets, debt_of(market, position))
    after = _with_borrow(market, market.total_borrow_assets - lost, -position.borrow_shares)
    return replace(after, total_supply_assets=after.total_supply_assets - lost), replace(position, borrow_shares=0), seized, repaid, lost


def supplied_of(market: Market, position: Position) -> int:
    """What the position's supply shares are worth in an accrued market, in base units of the loan token, rounded down."""
    return assets_down(position.supply_shares, market.total_supply_assets, market.total_supply_shares)


def debt_of(market: Market, position: Position) -> int:
    """What the position owes in an accrued market, in base units of the loan token, rounded up."""
    return assets_up(position.borrow_shares, market.total_borrow_assets, market.total_borrow_shares)


def most_debt(market: Market, position: Position, price: int) -> int:
    """What the collateral carries, in base units of the loan token."""
    return position.collateral * price // ORACLE_SCALE * market.lltv_wad // WAD


def is_healthy(market: Market, position: Position, price: int) -> bool:
    return position.borrow_shares == 0 or most_debt(market, position, price) >= debt_of(market, position)


def health_factor_wad(market: Market, position: Position, price: int) -> int:
    """What the collateral carries over what is owed (wad) in an accrued market; below 1 the position can be liquidated."""
    owed = debt_of(market, position)
    return most_debt(market, position, price) * WAD // owed if owed else NO_DEBT_HEALTH_FACTOR


def require_healthy(market: Market, position: Position, price: int) -> None:
    if not is_healthy(market, position, price):
        carried, owed = most_debt(market, position, price), debt_of(market, position)
        raise Refused("leaves a debt of {} where the collateral carries {}: take less or supply more collateral", owed, carried)


def _with_supply(market: Market, assets: int, shares: int) -> Market:
    _require_uint128(abs(assets), "the assets")
    _require_uint128(market.total_supply_shares + shares, "the supply shares")
    return replace(
        market,
        total_supply_assets=market.total_supply_assets + assets,
        total_supply_shares=market.total_supply_shares + shares,
    )


def _with_borrow(market: Market, total_assets: int, shares: int) -> Market:
    _require_uint128(total_assets, "the borrowed assets")
    _require_uint128(market.total_borrow_shares + shares, "the borrow shares")
    return replace(market, total_borrow_assets=total_assets, total_borrow_shares=market.total_borrow_shares + shares)


def _require_one(assets: int, shares: int, doing: str) -> None:
    if (assets > 0) == (shares > 0) or assets < 0 or shares < 0:
        raise Reverted(f"{doing}: give either assets or shares, more than 0 of one of them; got {assets} and {shares}")


def _require_amount(assets: int, doing: str) -> None:
    if assets <= 0:
        raise Reverted(f"{doing}: the amount must be more than 0 base units, got {assets}")


def _require_uint128(value: int, what: str) -> None:
    if value > MAX_UINT128:
        raise Reverted(f"{what} would be {value}, more than 128 bits hold: use less")


def _require_liquidity(market: Market) -> None:
    short = market.total_borrow_assets - market.total_supply_assets
    if short > 0:
        raise Refused("the market is short of {} in cash; take less", short)
