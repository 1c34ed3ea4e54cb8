"""Morpho markets from data: a row of their series, or constants where there is none."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.clock import SECOND_US, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.position_names import pair_of
from basis_strategy_v1.core.state_rows import series_name
from basis_strategy_v1.core.tokens import decimals_of, to_units
from basis_strategy_v1.venues.morpho_market import ORACLE_SCALE, VIRTUAL_SHARES, Market
from basis_strategy_v1.venues.morpho_rate import INITIAL_RATE_AT_TARGET_WAD, MAX_RATE_AT_TARGET_WAD, WAD, YEAR_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state_rows import StateRow

WAD_PER_BPS = WAD // 10_000


class Terms(NamedTuple):
    """A market's constants: loan-to-value and fee (wad), and where there are no rows what others have in it (loan token units)."""

    lltv_wad: int
    fee_wad: int = 0
    total_supply: Decimal = Decimal(0)
    total_borrow: Decimal = Decimal(0)
    rate_at_target_wad: int = INITIAL_RATE_AT_TARGET_WAD


# Of Ethereum mainnet's markets with the most in them; a market's loan-to-value never changes.
PUBLIC = {
    "wstETH/WETH": Terms(945 * WAD // 1000),
    "weETH/WETH": Terms(945 * WAD // 1000),
    "wstETH/USDC": Terms(86 * WAD // 100),
    "WBTC/USDC": Terms(86 * WAD // 100),
}


class MarketRow(NamedTuple):
    """A row: the market without us, and the oracle's price (loan base units per collateral base unit, 1e36)."""

    stamp: int
    market: Market
    oracle_price: int


def row_of(row: StateRow, name: str) -> MarketRow:
    """A row of `lending/morpho/<MARKET>.csv`, in the contract's own integers.

    Raises:
        ComponentError: DAT-003, it holds what no market can be.
    """
    numbers = {column: int(text) for column, text in row.texts.items() if column != "block"}
    try:
        market = Market(
            lltv_wad=numbers["lltv"],
            last_update_s=numbers["last_update"],
            total_supply_assets=numbers["total_supply_assets"],
            total_supply_shares=numbers["total_supply_shares"],
            total_borrow_assets=numbers["total_borrow_assets"],
            total_borrow_shares=numbers["total_borrow_shares"],
            fee_wad=numbers["fee"],
            rate_at_target_wad=numbers["rate_at_target"],
        )
        price = numbers["oracle_price"]
    except KeyError as missing:
        raise _wrong(name, f"column {missing.args[0]} is missing") from None
    if negative := next((column for column, number in numbers.items() if number < 0), None):
        raise _wrong(name, f"{negative} must be 0 or more, got {numbers[negative]}")
    if not 0 < market.lltv_wad < WAD or market.fee_wad > WAD // 4 or market.rate_at_target_wad > MAX_RATE_AT_TARGET_WAD:
        raise _wrong(name, f"lltv must be below 1e18, fee at most 0.25e18 and rate_at_target at most {MAX_RATE_AT_TARGET_WAD}, got "
                           f"{market.lltv_wad}, {market.fee_wad} and {market.rate_at_target_wad}")  # fmt: skip
    if market.total_borrow_assets > market.total_supply_assets or price == 0:
        raise _wrong(name, f"total_borrow_assets must be at most total_supply_assets and oracle_price above 0, got "
                           f"{market.total_borrow_assets}, {market.total_supply_assets} and {price}")  # fmt: skip
    if market.last_update_s > row.stamp // SECOND_US:
        raise _wrong(name, f"in the row of {iso(row.stamp)} last_update must be at most its own time, {row.stamp // SECOND_US}, got "
                           f"{market.last_update_s}; correct the row, or leave it out")  # fmt: skip
    return MarketRow(row.stamp, market, price)


def _wrong(name: str, what: str) -> ComponentError:
    return ComponentError("DAT-003", f"lending/morpho/{series_name(name)}: {what}")


def market_at_terms(terms: Terms, name: str, now_s: int) -> Market:
    """A market of constants, begun now with what others have in it."""
    _, loan = pair_of(name)
    supplied, borrowed = to_units(loan, terms.total_supply), to_units(loan, terms.total_borrow)
    return Market(
        lltv_wad=terms.lltv_wad,
        last_update_s=now_s,
        total_supply_assets=supplied,
        total_supply_shares=supplied * VIRTUAL_SHARES,
        total_borrow_assets=borrowed,
        total_borrow_shares=borrowed * VIRTUAL_SHARES,
        fee_wad=terms.fee_wad,
        rate_at_target_wad=terms.rate_at_target_wad,
    )


def oracle_price(name: str, market: MarketSnapshot) -> int:
    """The price of the collateral in the loan token, as an oracle of the snapshot's prices would say it."""
    collateral, loan = pair_of(name)
    ratio = (market.price(collateral) / market.price(loan)).scaleb(decimals_of(loan) - decimals_of(collateral))
    return int(ratio * ORACLE_SCALE)


def known_terms(own: Mapping[str, Any]) -> dict[str, Terms]:
    """The public markets, with those of the settings in their place or beside them; an id alone changes nothing."""
    found = dict(PUBLIC)
    for name, settings in own.items():
        if not isinstance(settings, str) and settings.get("lltv_bps") is not None:
            found[name] = _terms(settings)
    return found


def _terms(settings: Mapping[str, Any]) -> Terms:
    rate_bps = settings.get("rate_at_target_bps")
    return Terms(
        lltv_wad=int(Decimal(str(settings["lltv_bps"])) * WAD_PER_BPS),
        fee_wad=int(Decimal(str(settings.get("fee_bps") or 0)) * WAD_PER_BPS),
        total_supply=Decimal(str(settings.get("total_supply") or 0)),
        total_borrow=Decimal(str(settings.get("total_borrow") or 0)),
        rate_at_target_wad=INITIAL_RATE_AT_TARGET_WAD if rate_bps is None else int(Decimal(str(rate_bps)) * WAD_PER_BPS) // YEAR_S,
    )
