"""Equity, and where each part of its change came from: the sources add up to the profit exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.market import REDEEMED_BY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.venue import Exposure, PerpExposure

SOURCES = (
    "spot_price",
    "perp_price",
    "funding",
    "supply_interest",
    "borrow_interest",
    "staking",
    "fees",
    "slippage",
    "gas",
    "transfers",
    "liquidation",
)
RESIDUAL = "spot_price"
UNIT = Decimal("1e-12")
ZERO = Decimal(0)
ETH_CLASS = "eth_directional"


def to_unit(amount: Decimal) -> Decimal:
    """An amount of the share class currency as it is booked: 12 decimals."""
    return amount.quantize(UNIT, ROUND_HALF_EVEN, EXACT)


class Attribution:
    """The books of a run, in the share class currency.

    What happens is booked when it happens, each flow rounded to 1e-12 once. What the price of tokens did is what remains of the
    change of equity, so that the sources always add up to it to the last decimal.
    """

    def __init__(self, share_class: str) -> None:
        self._numeraire = "ETH" if share_class == ETH_CLASS else "USDT"
        self.booked = dict.fromkeys(SOURCES, ZERO)  # cumulative; the residual's entry stays 0 here
        self._booked_sum = ZERO
        self.initial_equity = ZERO
        self._amounts: dict[str, Decimal] = {}
        self._growing: dict[tuple[str, str], Exposure] = {}
        self._perps: tuple[PerpExposure, ...] = ()
        self._marks: dict[tuple[str, str], Decimal] = {}
        self._rates: dict[str, Decimal] = {}

    def open(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Begin the books with what is held at the start."""
        self.rebase(exposures, perps, market)
        self.initial_equity = self.equity(market)

    # A step of time.

    def advance(self, market: MarketSnapshot) -> None:
        """Book what prices of perps and redemption rates did since the last step, on what was held since then."""
        if self._perps:
            self._advance_perps(market)
        if self._rates:
            self._advance_rates(market)

    def _advance_perps(self, market: MarketSnapshot) -> None:
        gained = ZERO
        for perp in self._perps:
            key = (perp.exchange, perp.symbol)
            mark = market.perp(perp.exchange, perp.symbol)
            if mark != self._marks[key]:
                gained += perp.base * (mark - self._marks[key]) * self._in_share(perp.settle, market)
        for perp in self._perps:
            self._marks[perp.exchange, perp.symbol] = market.perp(perp.exchange, perp.symbol)
        self._book("perp_price", gained)

    def _advance_rates(self, market: MarketSnapshot) -> None:
        for token, before in self._rates.items():
            rate = market.redemption(REDEEMED_BY[token][0], token)
            if rate != before:
                self._rates[token] = rate
                self._book("staking", self._amounts.get(token, ZERO) * (rate - before) * self._in_share(REDEEMED_BY[token][1], market))

    def settle(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Take over what is held now, where only time has passed: what grew by itself is booked to its source."""
        for exposure in exposures:
            if exposure.growth != RESIDUAL:
                before = self._growing.get((exposure.venue, exposure.held_as))
                grown = exposure.amount - (before.amount if before else ZERO)
                if grown:
                    self._book(exposure.growth, grown * self._in_share(exposure.token, market))
        self._hold(exposures, perps, market)

    def rebase(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Take over what is held after an execution, whose costs are booked from its report."""
        self._hold(exposures, perps, market)

    def _hold(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        self._growing = {(exposure.venue, exposure.held_as): exposure for exposure in exposures if exposure.growth != RESIDUAL}
        amounts: dict[str, Decimal] = {}
        for exposure in exposures:
            amounts[exposure.token] = amounts.get(exposure.token, ZERO) + exposure.amount
        self._amounts = amounts
        self._perps = tuple(perps)
        self._marks = {(perp.exchange, perp.symbol): market.perp(perp.exchange, perp.symbol) for perp in perps}
        self._rates = {token: market.redemption(REDEEMED_BY[token][0], token) for token in amounts if token in REDEEMED_BY}

    # Flows.

    def book(self, reports: Iterable[ExecutionReport], market: MarketSnapshot) -> None:
        """Book the costs of executions and settlements at the snapshot's prices."""
        for report in reports:
            for source, token, amount in report.costs:
                self._book(source, -amount * self._in_share(token, market))

    def _book(self, source: str, amount: Decimal) -> None:
        booked = amount.quantize(UNIT, ROUND_HALF_EVEN, EXACT)
        self.booked[source] += booked
        self._booked_sum += booked

    # Readings.

    def equity(self, market: MarketSnapshot) -> Decimal:
        """What everything that is held is worth."""
        total = ZERO
        for token, amount in self._amounts.items():
            total += amount if token == "USDT" else amount * market.price(token)
        for perp in self._perps:
            worth = perp.base * self._marks[perp.exchange, perp.symbol] - perp.cost
            total += worth if perp.settle == "USDT" else worth * market.price(perp.settle)
        if self._numeraire != "USDT":
            total /= market.price(self._numeraire)
        return total.quantize(UNIT, ROUND_HALF_EVEN, EXACT)

    def residual(self, equity: Decimal) -> Decimal:
        """What the prices of tokens did since the start, given the equity now."""
        return equity - self.initial_equity - self._booked_sum

    def totals(self, equity: Decimal) -> dict[str, Decimal]:
        """source -> cumulative amount; they add up to equity - initial equity."""
        return {**self.booked, RESIDUAL: self.residual(equity)}

    def at_market(self, equity: Decimal, market: MarketSnapshot) -> Decimal:
        """The equity with staked tokens at their market price, where the data have one, in place of their redemption rate."""
        found = equity
        for token, rate in self._rates.items():
            traded = market.market_rate(token)
            if traded is not None:
                found += to_unit(self._amounts[token] * (traded - rate) * self._in_share(REDEEMED_BY[token][1], market))
        return found

    def _in_share(self, token: str, market: MarketSnapshot) -> Decimal:
        if token == self._numeraire:
            return Decimal(1)
        price = market.price(token)
        return price if self._numeraire == "USDT" else price / market.price(self._numeraire)
