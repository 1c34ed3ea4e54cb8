"""The two legs of a hedged stake at a tick, and the names that they have at their venues."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from basis_strategy_v1.strategies.basis import CENT, QUOTES, SMALLEST_CHANGE, ZERO
from basis_strategy_v1.strategies.staked_ether import Held, StakedEther

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.strategies.strategy import Holdings


# Two of the coarsest lots that an exchange trades ETH perps in, so that no order is less than one.
SMALLEST_ORDER = Decimal("0.02")


class Names(NamedTuple):
    """Where the legs are traded, and as what; `quote` is what both venues settle in, where they settle in the same."""

    spot_venue: str
    perp_venue: str
    symbol: str
    perp_symbol: str
    quote: str
    perp_quote: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        spot, perp = parameters["spot_venue"], parameters["perp_venue"]
        quotes = [QUOTES.get(venue.partition("_")[0], "USDT") for venue in (spot, perp)]
        return cls(spot, perp, f"ETH{quotes[0]}", f"ETH{quotes[1]}", *quotes)

    @property
    def is_one_account(self) -> bool:
        return self.spot_venue == self.perp_venue

    @property
    def is_movable(self) -> bool:
        """Whether cash of one venue can be sent to the other and be margin, or cash, there."""
        return not self.is_one_account and self.quote == self.perp_quote

    def series(self) -> list[tuple[str, str, str]]:
        spot, perp = self.spot_venue.partition("_")[0], self.perp_venue.partition("_")[0]
        return [("spot", spot, self.symbol), ("perp", perp, self.perp_symbol), ("funding", perp, self.perp_symbol)]

    def placed(self, capital: Decimal, leverage: Decimal) -> dict[str, dict[str, Decimal]]:
        """The capital over the venues: the perp's margin, and the rest to buy ETH with."""
        if self.is_one_account:
            return {self.spot_venue: {self.quote: capital}}
        margin = (capital / (1 + leverage)).quantize(CENT, ROUND_DOWN)
        return {self.spot_venue: {self.quote: capital - margin}, self.perp_venue: {self.perp_quote: margin}}


class Book(NamedTuple):
    """Both legs: ETH in ether, everything else in the quote."""

    price: Decimal
    leverage: Decimal
    held: Held
    at_spot: Decimal  # ETH at the spot venue
    ether_coming: Decimal
    short: Decimal
    cash: Decimal  # at the spot venue, and not margin of the perp
    margin: Decimal  # equity of the perp account
    coming: Decimal  # cash on its way between the two

    @property
    def ether(self) -> Decimal:
        """All ETH, wherever and as whatever it is held."""
        return self.held.exposure + self.at_spot + self.ether_coming

    @property
    def smallest(self) -> Decimal:
        """The least change, in the quote, that is worth an order."""
        return max(SMALLEST_CHANGE, SMALLEST_ORDER * self.price)

    @property
    def at_risk(self) -> Decimal:
        """All ETH but what is kept for gas."""
        return self.ether - min(self.held.wallet_ether, self.held.reserve)

    @property
    def notional(self) -> Decimal:
        return self.short * self.price

    @property
    def total(self) -> Decimal:
        return self.ether * self.price + self.cash + self.margin + self.coming

    @property
    def target(self) -> Decimal:
        """The notional that the capital carries at the leverage."""
        return self.total * self.leverage / (1 + self.leverage)

    @property
    def excess(self) -> Decimal:
        """Cash and margin beyond what the short needs; less than 0 where it needs more."""
        return self.cash + self.margin + self.coming - self.notional / self.leverage

    @property
    def margin_missing(self) -> Decimal:
        """What the margin account lacks, wherever it is."""
        return self.notional / self.leverage - self.margin - self.coming


def read_book(names: Names, stake: StakedEther, snapshot: MarketSnapshot, positions: Holdings, leverage: Decimal) -> Book:
    """Both legs as they stand at a tick."""
    price = snapshot.spot(names.spot_venue.partition("_")[0], names.symbol)
    short = -positions.amount(names.perp_venue, f"{names.perp_symbol}-PERP")
    margin = positions.margin(names.perp_venue, snapshot).equity
    cash = positions.amount(names.spot_venue, names.quote)
    if names.is_one_account:  # what the perp's target margin does not need is cash
        cash = max(ZERO, min(cash, margin - short * price / leverage))
        margin -= cash
    return Book(
        price=price,
        leverage=leverage,
        held=stake.read(snapshot, positions),
        at_spot=positions.amount(names.spot_venue, "ETH"),
        ether_coming=positions.in_transit("ETH"),
        short=short,
        cash=cash,
        margin=margin,
        coming=positions.in_transit(names.quote),
    )
