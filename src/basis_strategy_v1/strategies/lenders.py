"""Where ether is borrowed against a staked token: what each lender calls things, and the steps that it takes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Protocol

from basis_strategy_v1.core.position_names import COLLATERAL, DEBT, debt_name, deposit_name, morpho_name
from basis_strategy_v1.core.settings import VenueOf
from basis_strategy_v1.core.state_rows import borrow_rate, series_name
from basis_strategy_v1.strategies.strategy import Block, Holdings, VenueFacts, action

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot

WETH = "WETH"
# A loop borrows, and repays from a flash loan of the same lender.
LenderOfEther = Annotated[str, VenueOf("onchain", ("borrow", "flash_loan"))]


class Lender(Protocol):
    """A lender of WETH against one staked token."""

    name: str

    def collateral(self, positions: Holdings) -> Decimal: ...
    def debt(self, positions: Holdings) -> Decimal: ...

    def price(self, snapshot: MarketSnapshot) -> Decimal:
        """WETH per staked token, as the lender counts it."""
        ...

    def borrow_rate(self, snapshot: MarketSnapshot, positions: Holdings, more: Decimal) -> Decimal:
        """What the WETH debt costs, a fraction a year, and with `more` of it."""
        ...

    def series(self) -> list[tuple[str, str, str]]: ...

    def opening(self) -> list[Block]:
        """What has to be done once, before the first borrow."""
        ...

    def supply(self, amount: Decimal | str) -> Block: ...
    def withdraw(self, amount: Decimal | str) -> Block: ...
    def borrow(self, amount: Decimal) -> Block: ...
    def repay(self, amount: Decimal | str) -> Block: ...


class PoolLender:
    """Aave and its forks: the token is a deposit, in the e-mode category that fits."""

    def __init__(self, name: str, series: str, token: str, category: int) -> None:
        self.name = name
        self._series = series
        self._token = token
        self._category = category  # 0: none

    def collateral(self, positions: Holdings) -> Decimal:
        return positions.amount(self.name, deposit_name(self._token))

    def debt(self, positions: Holdings) -> Decimal:
        return positions.amount(self.name, debt_name(WETH))

    def price(self, snapshot: MarketSnapshot) -> Decimal:
        token, ether = (snapshot.lending(self._series, name).oracle_price_usd for name in (self._token, WETH))
        return token / ether

    def borrow_rate(self, snapshot: MarketSnapshot, positions: Holdings, more: Decimal) -> Decimal:
        return positions.borrow_rate(self.name, WETH, snapshot, more)

    def series(self) -> list[tuple[str, str, str]]:
        return [("lending", self._series, self._token), ("lending", self._series, WETH)]

    def opening(self) -> list[Block]:
        return [action(self.name, "set_emode", category=self._category)] if self._category else []

    def supply(self, amount: Decimal | str) -> Block:
        return action(self.name, "supply", token=self._token, amount=amount)

    def withdraw(self, amount: Decimal | str) -> Block:
        return action(self.name, "withdraw", token=self._token, amount=amount)

    def borrow(self, amount: Decimal) -> Block:
        return action(self.name, "borrow", token=WETH, amount=amount)

    def repay(self, amount: Decimal | str) -> Block:
        return action(self.name, "repay", token=WETH, amount=amount)


class IsolatedLender:
    """Morpho: the market of the token against WETH, whose oracle is the protocol's own redemption rate."""

    def __init__(self, name: str, series: str, token: str) -> None:
        self.name = name
        self._series = series
        self._token = token
        self._market = f"{token}/{WETH}"

    def collateral(self, positions: Holdings) -> Decimal:
        return positions.amount(self.name, morpho_name(self._market, COLLATERAL))

    def debt(self, positions: Holdings) -> Decimal:
        return positions.amount(self.name, morpho_name(self._market, DEBT))

    def price(self, snapshot: MarketSnapshot) -> Decimal:
        return snapshot.price(self._token) / snapshot.price(WETH)

    def borrow_rate(self, snapshot: MarketSnapshot, positions: Holdings, more: Decimal) -> Decimal:
        return borrow_rate(snapshot.lending_market(self._series, self._market))

    def series(self) -> list[tuple[str, str, str]]:
        return [("market", self._series, series_name(self._market))]

    def opening(self) -> list[Block]:
        return []

    def supply(self, amount: Decimal | str) -> Block:
        return action(self.name, "supply_collateral", token=self._token, amount=amount, market=self._market)

    def withdraw(self, amount: Decimal | str) -> Block:
        return action(self.name, "withdraw_collateral", token=self._token, amount=amount, market=self._market)

    def borrow(self, amount: Decimal) -> Block:
        return action(self.name, "borrow", token=WETH, amount=amount, market=self._market)

    def repay(self, amount: Decimal | str) -> Block:
        return action(self.name, "repay", token=WETH, amount=amount, market=self._market)


def lender_of(name: str, token: str, venues: VenueFacts) -> Lender:
    """The lender of WETH against a token; one that is not known for its e-modes lends in markets of one collateral each."""
    _, series, _, _, emodes = venues[name]
    return IsolatedLender(name, series, token) if emodes is None else PoolLender(name, series, token, emodes.get(token, 0))
