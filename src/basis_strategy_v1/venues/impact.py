"""What an order's own size does to the price that it fills at: the square-root law, a depth, or nothing.

Square root: bps = slippage_bps + k x daily volatility in bps x sqrt(amount / volume of the day before). Donier and Bonart measured it on a
million orders of bitcoin, with a k of about 1 (arXiv 1412.4503).
"""

from __future__ import annotations

from decimal import Decimal
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import DAY_US, iso
from basis_strategy_v1.core.settings import AboveZero, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.core.market import MarketSnapshot

ZERO, ONE, BPS = Decimal(0), Decimal(1), Decimal(10_000)
DEPTH_BPS = Decimal(100)
DIGITS = 6
UNIT, UNITS = Decimal("1e-6"), 10**DIGITS
Share = Annotated[Decimal, number("0.1 is 10 %", above=0, at_most=1_000_000)]


class Impact(Struct, frozen=True, kw_only=True):
    """How the price moves with the size of an order."""

    model: Annotated[Literal["sqrt", "depth", "none"], "square root of the share of the day's volume | even depth | none"] = "sqrt"
    k: Annotated[Decimal, number(at_least=0, at_most=100), "sqrt: the factor"] = Decimal(1)
    depth: Annotated[AboveZero | None, "depth: the notional (quote) on offer within 1 % of the price"] = None
    report_share: Annotated[Share, "an order above this share of its bar's volume is reported"] = Decimal("0.1")
    refuse_share: Annotated[Share, "an order above this share of its bar's volume is refused"] = Decimal(10)


class OwnSize:
    """The impact at one exchange, and what the report has to say of it."""

    def __init__(self, name: str, prices_as: str, impact: Impact) -> None:
        self.name, self.impact, self._prices_as = name, impact, prices_as
        self._without_volume: set[str] = set()
        self._factors: dict[tuple[str, str], tuple[int, float]] = {}  # by kind and symbol: (day, bps of an order of 1)
        self._large: dict[tuple[int, str, str], Decimal] = {}

    def bps(self, kind: str, symbol: str, amount: Decimal, price: Decimal, market: MarketSnapshot) -> Decimal:
        """By how many bps an order of so many base units moves its own price."""
        if self.impact.model == "depth":  # half of the way to where the last unit fills
            return (amount * price / (self.impact.depth or ONE) * DEPTH_BPS / 2).quantize(UNIT)
        day = market.instant // DAY_US
        known = self._factors.get((kind, symbol))
        if known is None or known[0] != day:
            traded = market.traded_before(kind, self._prices_as, symbol)
            factor = 0.0 if traded is None else float(self.impact.k * traded.volatility_bps) / sqrt(float(traded.volume))
            self._factors[kind, symbol] = known = day, factor
            if traded is None:
                self._without_volume.add(f"{symbol} {kind}")
        return Decimal(round(known[1] * sqrt(float(amount)) * UNITS)).scaleb(-DIGITS)

    def law(self, kind: str, symbol: str, market: MarketSnapshot) -> tuple[float, float]:
        """(factor, power): an order of a notional (quote) moves its price by the fraction factor x notional ** power, today."""
        impact = self.impact
        if impact.model == "depth":
            return float(DEPTH_BPS / BPS / 2 / (impact.depth or ONE)), 1.0
        traded = market.traded_before(kind, self._prices_as, symbol)
        if traded is None:
            return 0.0, 0.5
        return float(impact.k * traded.volatility_bps / BPS / (traded.close * traded.volume).sqrt()), 0.5

    def refusal(self, kind: str, symbol: str, amount: Decimal, market: MarketSnapshot) -> str:
        """Why an order is too large for its bar; nothing where it is not. One that is large is noted."""
        volume = market.last_volume(kind, self._prices_as, symbol)
        if not volume:
            return ""
        if amount > volume * self.impact.refuse_share:
            most = f"{plain(self.impact.refuse_share)} times the {plain(volume)} of its last bar"
            return (
                f"{self.name} takes no {kind} order of {plain(amount)} {symbol}, more than {most}; trade less, or set impact.refuse_share"
            )
        if amount > volume * self.impact.report_share:
            self._large[market.instant, kind, symbol] = amount / volume
        return ""

    def lines(self) -> Iterator[str]:
        """What was assumed, for the report."""
        impact = self.impact
        if impact.model == "depth":
            depth = plain(impact.depth or ZERO)
            yield f"An order at {self.name} fills worse by half of 1 % for each {depth} of its notional (impact: depth)."
        else:
            yield (
                f"An order at {self.name} fills worse by slippage_bps and {plain(impact.k)} x the daily volatility x the square root of "
                "its share of the volume of the day before (impact: sqrt); it moves no later price."
            )
        if self._without_volume:
            names = ", ".join(sorted(self._without_volume))
            yield f"{self.name}: an order without a day of volume before it has slippage_bps alone: {names}."
        if self._large:
            (instant, kind, symbol), share = max(self._large.items(), key=lambda row: row[1])
            yield (
                f"{self.name}: {len(self._large)} orders were more than {plain(impact.report_share)} of their bar's volume, the largest "
                f"{round(share, 2)} of it ({symbol} {kind}, {iso(instant)})."
            )
