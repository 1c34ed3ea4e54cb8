"""Morpho markets from data: a row of their series, or constants where there is none."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.clock import SECOND_US, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.settings import MAINNET, Address, Amount, MarketName, ProtocolSettings, number, text
from basis_strategy_v1.core.state_rows import series_name
from basis_strategy_v1.core.tokens import decimals_of, to_units
from basis_strategy_v1.venues.morpho_market import ORACLE_SCALE, VIRTUAL_SHARES, Market
from basis_strategy_v1.venues.morpho_names import pair_of
from basis_strategy_v1.venues.morpho_rate import INITIAL_RATE_AT_TARGET_WAD, MAX_RATE_AT_TARGET_WAD, WAD, YEAR_S

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state_rows import StateRow

WAD_PER_BPS = WAD // 10_000


class MarketTerms(NamedTuple):
    """A market's constants: loan-to-value and fee (wad), and where there are no rows what others have in it (loan token units)."""

    lltv_wad: int
    fee_wad: int = 0
    total_supply: Decimal = Decimal(0)
    total_borrow: Decimal = Decimal(0)
    rate_at_target_wad: int = INITIAL_RATE_AT_TARGET_WAD


# Of Ethereum mainnet's markets with the most in them; a market's loan-to-value never changes.
PUBLIC = {
    "wstETH/WETH": MarketTerms(945 * WAD // 1000),
    "weETH/WETH": MarketTerms(945 * WAD // 1000),
    "wstETH/USDC": MarketTerms(86 * WAD // 100),
    "WBTC/USDC": MarketTerms(86 * WAD // 100),
}


MarketId = Annotated[str, text(r"0x([0-9a-fA-F]{40}|[0-9a-fA-F]{64})", "an address or a market id, 0x and 40 or 64 hexadecimal digits")]


class MarketSettings(Struct, frozen=True, kw_only=True):
    """A market's id, and its constants."""

    id: Annotated[MarketId | None, "live: the market's id"] = None
    lltv_bps: Annotated[
        Annotated[Decimal, number(above=0, below=10_000)] | None,
        "debt / collateral at which it is liquidated; this and what follows count where the data have no series of the market",
    ] = None
    fee_bps: Annotated[Annotated[Decimal, number(at_least=0, at_most=2_500)] | None, "share of the interest that the protocol keeps"] = None
    total_supply: Annotated[Amount | None, "what others have lent, in the loan token"] = None
    total_borrow: Annotated[Amount | None, "what others have borrowed, in the loan token"] = None
    rate_at_target_bps: Annotated[Annotated[Decimal, number(above=0, at_most=20_000)] | None, "borrow rate a year at 90 % use"] = None

    def terms(self, lltv_bps: Decimal) -> MarketTerms:
        rate_bps = self.rate_at_target_bps
        return MarketTerms(
            lltv_wad=int(lltv_bps * WAD_PER_BPS),
            fee_wad=int((self.fee_bps or 0) * WAD_PER_BPS),
            total_supply=self.total_supply or Decimal(0),
            total_borrow=self.total_borrow or Decimal(0),
            rate_at_target_wad=INITIAL_RATE_AT_TARGET_WAD if rate_bps is None else int(rate_bps * WAD_PER_BPS) // YEAR_S,
        )


class Settings(ProtocolSettings, frozen=True, kw_only=True):
    """Where Morpho is, and its markets."""

    address: Annotated[Address | None, "live; left out: Ethereum mainnet's"] = None
    markets: Annotated[dict[MarketName, MarketId | MarketSettings] | None, "by name (collateral/loan): the id, or constants"] = None

    def terms(self) -> dict[str, MarketTerms]:
        """The public markets, with those of the settings in their place; an id alone changes nothing."""
        found = dict(PUBLIC) if self.chain == MAINNET else {}
        for name, own in (self.markets or {}).items():
            if isinstance(own, MarketSettings) and own.lltv_bps is not None:
                found[name] = own.terms(own.lltv_bps)
        return found


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


def market_at_terms(terms: MarketTerms, name: str, now_s: int) -> Market:
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
