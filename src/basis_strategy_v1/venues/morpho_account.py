"""Our positions in Morpho's markets: by shares, in the markets' own totals."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, NamedTuple

from msgspec import Struct, structs

from basis_strategy_v1.core.state import AS_READ, Reading, VenueState
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.venues import morpho_market
from basis_strategy_v1.venues.morpho_market import Market, Position, accrue, assets_down, assets_up, debt_of, supplied_of
from basis_strategy_v1.venues.morpho_names import COLLATERAL, DEBT, SUPPLY, morpho_name, token_of


class MarketPosition(NamedTuple):
    """One market as it was last touched, with our position in it; `stamp` is that of the row that it goes on from."""

    market: Annotated[Market, AS_READ]
    position: Position
    stamp: Reading

    def now(self, now_s: int) -> Market:
        return accrue(self.market, now_s)

    def is_ours(self) -> bool:
        """Whether anything of ours is in it."""
        position = self.position
        return bool(position.supply_shares or position.borrow_shares or position.collateral)


class MorphoState(Struct, VenueState, frozen=True, tag="MorphoState"):
    """Our positions by market, as of `now_s`.

    `reported` is what was last reported, `lent` what is out in flash loans while a chain runs; both base units by token.
    """

    held: dict[str, MarketPosition] = {}
    now_s: Reading = 0
    reported: dict[str, int] = {}
    lent: dict[str, int] = {}

    def units(self) -> dict[str, int]:
        """token such as `morpho:wstETH/WETH:debt` -> base units now; zeros are left out."""
        found: dict[str, int] = {}
        for name, held in self.held.items():
            if not held.is_ours():
                continue
            market, position = held.now(self.now_s), held.position
            amounts = {SUPPLY: supplied_of(market, position), COLLATERAL: position.collateral, DEBT: debt_of(market, position)}
            found.update({morpho_name(name, side): units for side, units in amounts.items() if units})
        return found

    def positions(self) -> dict[str, Decimal]:
        return {token: to_amount(token_of(token), units) for token, units in self.units().items()}

    def is_empty(self) -> bool:
        return not any(held.is_ours() for held in self.held.values())


def holding(held: MarketPosition, now_s: int, supplied: int, collateral: int, owed: int) -> MarketPosition:
    """A market in which these amounts, in base units, are ours."""
    market = held.now(now_s)
    position = Position(
        morpho_market.shares_up(supplied, market.total_supply_assets, market.total_supply_shares),
        morpho_market.shares_down(owed, market.total_borrow_assets, market.total_borrow_shares),
        collateral,
    )
    return held._replace(market=with_own(market, position), position=position)


def with_own(market: Market, position: Position) -> Market:
    """A market as others left it, with our shares in its totals at its own share prices."""
    lent = assets_down(position.supply_shares, market.total_supply_assets, market.total_supply_shares)
    owed = assets_up(position.borrow_shares, market.total_borrow_assets, market.total_borrow_shares)
    return structs.replace(
        market,
        total_supply_assets=market.total_supply_assets + lent,
        total_supply_shares=market.total_supply_shares + position.supply_shares,
        total_borrow_assets=market.total_borrow_assets + owed,
        total_borrow_shares=market.total_borrow_shares + position.borrow_shares,
    )
