"""The legs of a hedge at a step, its memory, and the parameters of strategies with a hedge."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from basis_strategy_v1.core.settings import Bps, Fraction, Mark, OrNull, VenueOf, number

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot

ZERO = Decimal(0)


class HedgeMemory(Struct, frozen=True, gc=False):
    """What the positions do not show of a hedge."""

    has_been_short: bool = False  # a short was held, or ordered: a long leg that is found alone later was left by a liquidation
    is_to_grow: bool = False  # cash was sent for both legs to grow with: once it has come they do, before anything more is sent
    sent_to_perp: bool = True  # where the last transfer went; what is on its way at the start counts as margin


M = TypeVar("M", bound=HedgeMemory)


def not_growing(memory: M) -> M:
    """The memory once the legs are not to grow any more."""
    return replace(memory, is_to_grow=False) if memory.is_to_grow else memory


class Legs(Struct, frozen=True, gc=False):
    """Both legs at a step: `long`, `at_spot` and `short` in base units, everything else in the quote."""

    price: Decimal
    leverage: Decimal
    long: Decimal  # wherever it is held
    at_spot: Decimal  # the part of it that can be sold now
    short: Decimal
    cash: Decimal  # at the spot venue, and not margin of the perp
    margin: Decimal  # equity of the perp account
    coming: Decimal  # cash on its way between the two
    coming_margin: Decimal  # the part of it that will be margin
    equity: Decimal  # of the perp venue
    market: MarketSnapshot  # that it was read from

    @property
    def notional(self) -> Decimal:
        return self.short * self.price

    @property
    def total(self) -> Decimal:
        return self.long * self.price + self.cash + self.margin + self.coming

    @property
    def target(self) -> Decimal:
        """The notional that the capital carries at the leverage."""
        return self.total * self.leverage / (1 + self.leverage)

    @property
    def carried(self) -> Decimal:
        """The notional that the margin alone carries at the leverage."""
        return self.margin * self.leverage

    @property
    def margin_missing(self) -> Decimal:
        """What the margin account lacks, wherever it is; less than 0 where it has more than it needs."""
        return self.notional / self.leverage - self.margin - self.coming_margin


SpotVenue = Annotated[str, VenueOf("cex"), Mark.RUN, "exchange that holds the spot leg"]
PerpVenue = Annotated[str, VenueOf("cex"), Mark.RUN, "exchange that holds the short perp"]
Leverage = Annotated[Decimal, number(above=0, at_most=20), "perp notional / equity on the perp venue"]
Threshold = Annotated[Bps, "margin is brought back to `leverage` when it is off by more than this share of the equity"]
Tolerance = Annotated[Bps, "the legs may differ by this share of the spot leg before they are made equal"]
OnShortfall = Annotated[
    Literal["move", "reduce", "ignore"],
    "move: bring collateral, and where there is none reduce both legs; reduce: reduce both legs at once; ignore: do nothing",
]
LeastMargin = Annotated[OrNull[Fraction], "equity / perp notional under which margin counts as too small; null: the strategy's own"]


def with_sent(legs: Legs, sent: Decimal, fee: Decimal, *, to_perp: bool) -> Legs:
    """The legs once cash has come to the other venue."""
    cash, margin = (-sent, sent - fee) if to_perp else (sent - fee, -sent)
    return replace(legs, cash=legs.cash + cash, margin=legs.margin + margin, equity=legs.equity + margin)
