"""Spot long, perp short: the carry of a perpetual, hedged."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.strategies.strategy import Block, Holdings, trade, transfer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot

ZERO = Decimal(0)
BPS = Decimal(10_000)
# Kept back at least from a purchase for slippage and fees; what is left of it is used at the next one.
CUSHION = Decimal("0.002")
CENT = Decimal("0.01")
# A change smaller than this is not worth its fees.
SMALLEST_CHANGE = Decimal(25)
# What an order must be above the exchange's minimum, so that cutting it down to lots and the slippage leave enough of it.
ROOM = Decimal("1.05")
QUOTES = {"hyperliquid": "USDC"}


class Legs(NamedTuple):
    """Both legs at a tick, in base units and quote."""

    price: Decimal
    spot: Decimal
    short: Decimal
    cash: Decimal  # quote at the spot venue that is not margin of the perp
    margin: Decimal  # equity of the perp account
    coming: Decimal  # quote on its way between the two

    @property
    def total(self) -> Decimal:
        return self.spot * self.price + self.cash + self.margin + self.coming

    @property
    def notional(self) -> Decimal:
        return self.short * self.price


class Basis:
    """Holds as much spot as it is short in the perp, with the perp's margin at notional / `leverage`.

    Both legs are one plan at every change. Margin that is off by more than `rebalance_threshold_bps` of the equity is
    brought back to its target, not merely to the threshold, so that small moves cost nothing.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self._cushion = CUSHION
        self._is_out = False

    # Names.

    def _symbols(self, parameters: Mapping[str, Any]) -> tuple[str, str, str, str]:
        spot, perp = parameters["spot_venue"], parameters["perp_venue"]
        return spot, self.base + _quote(spot), perp, self.base + _quote(perp)

    def _legs(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Legs:
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        price = snapshot.spot(spot_venue.partition("_")[0], spot_symbol)
        short = -positions.amount(perp_venue, f"{perp_symbol}-PERP")
        margin = positions.margin(perp_venue, snapshot).equity
        cash = positions.amount(spot_venue, _quote(spot_venue))
        if spot_venue == perp_venue:  # one account: what the perp's target margin does not need is cash
            needed = short * price / parameters["leverage"]
            cash = max(ZERO, min(cash, margin - needed))
            margin -= cash
        coming = positions.in_transit(_quote(spot_venue))
        return Legs(price, positions.amount(spot_venue, self.base), short, cash, margin, coming)

    # Decisions.

    def decide(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        self._cushion = max(CUSHION, positions.costs_of_trades(parameters["spot_venue"], parameters["perp_venue"]))
        mean = self._mean_funding(snapshot, parameters)
        legs = self._legs(snapshot, positions, parameters)
        if not legs.short:
            # Liquidated: the spot leg alone is a bet, not a hedge.
            if legs.spot * legs.price > self._smallest(legs.price, positions, parameters):
                self._is_out = True
                return self.leave(snapshot, positions, parameters)
            return [] if self._is_out or not self._wants_in(mean, parameters) else self._enter(legs, positions, parameters)
        leave_below = parameters["leave_below_apr"]
        if leave_below is not None and mean is not None and mean < leave_below:
            return self.leave(snapshot, positions, parameters)
        return self._rebalance(legs, positions, parameters)

    def _wants_in(self, mean: Decimal | None, parameters: Mapping[str, Any]) -> bool:
        """Above the rate to enter by; without one, not where it would leave again at once."""
        enter_above, leave_below = parameters["enter_above_apr"], parameters["leave_below_apr"]
        if enter_above is None:
            return leave_below is None or mean is None or mean >= leave_below
        return mean is not None and mean >= enter_above

    def _enter(self, legs: Legs, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        """Both legs at their target size, bought with the cash of the spot venue."""
        notional = legs.total * parameters["leverage"] / (1 + parameters["leverage"])
        return self._expand(legs, notional, positions, parameters)

    def leave(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        """Sell the spot leg and buy the perp back; of a leg that is less than the exchange trades nothing is sent."""
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        spot, short = positions.amount(spot_venue, self.base), -positions.amount(perp_venue, f"{perp_symbol}-PERP")
        blocks: list[Block] = []
        lot, minimum = positions.smallest_order(spot_venue, "spot", spot_symbol)
        price = snapshot.spot(spot_venue.partition("_")[0], spot_symbol)
        if spot >= lot and (spot - lot) * price >= minimum:
            blocks.append(trade(spot_venue, "spot", "sell", spot_symbol, spot))
        lot, _ = positions.smallest_order(perp_venue, "perp", perp_symbol)
        if short >= lot:
            blocks.append(trade(perp_venue, "perp", "buy", perp_symbol, short, reduce_only=True))
        return blocks

    def _smallest(self, price: Decimal, positions: Holdings, parameters: Mapping[str, Any]) -> Decimal:
        """The smallest change, in quote, that is worth its fees and that both exchanges take as an order."""
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        orders = (positions.smallest_order(spot_venue, "spot", spot_symbol), positions.smallest_order(perp_venue, "perp", perp_symbol))
        return max(SMALLEST_CHANGE, *((lot * price + minimum) * ROOM for lot, minimum in orders))

    def _rebalance(self, legs: Legs, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        leverage = parameters["leverage"]
        target = legs.total * leverage / (1 + leverage)
        allowed = legs.total * parameters["rebalance_threshold_bps"] / BPS
        excess = legs.margin + legs.coming - legs.notional / leverage
        blocks: list[Block] = []
        if self._is_short(legs, -excess, allowed, parameters):
            blocks = self._on_shortage(legs, target, positions, parameters)
        elif legs.cash > allowed or excess > allowed:
            blocks = self._expand(legs, target, positions, parameters)
        return blocks or self._even_out(legs, positions, parameters)

    def _even_out(self, legs: Legs, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        """The larger leg is cut back to the other: that needs neither cash nor margin."""
        gap = legs.spot - legs.short
        if abs(gap) <= legs.spot * parameters["hedge_tolerance_bps"] / BPS:
            return []
        if abs(gap) * legs.price <= self._smallest(legs.price, positions, parameters):
            return []
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        if gap > 0:
            return [trade(spot_venue, "spot", "sell", spot_symbol, gap)]
        return [trade(perp_venue, "perp", "buy", perp_symbol, -gap, reduce_only=True)]

    def _is_short(self, legs: Legs, missing: Decimal, allowed: Decimal, parameters: Mapping[str, Any]) -> bool:
        ratio = parameters["min_margin_ratio"]
        return missing > allowed if ratio is None else legs.margin + legs.coming < legs.notional * ratio

    def _expand(self, legs: Legs, target: Decimal, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        """There is more margin, or idle cash, than the legs need: grow both, as far as cash and margin carry them."""
        wanted = target * (1 - self._cushion) - legs.notional
        moves: list[Block] = []
        cash, margin = legs.cash, legs.margin
        if self._is_movable(parameters):
            plan = self._shared_out(legs, max(wanted, ZERO), positions, parameters)
            if plan is None:
                return []
            moves, cash, margin, minutes = plan
            if minutes:
                return moves  # both legs grow when it has arrived
        notional = min(wanted, cash * (1 - self._cushion))
        if not self._is_one_account(parameters):
            notional = min(notional, margin * parameters["leverage"] - legs.notional)
        if notional < self._smallest(legs.price, positions, parameters):
            return moves
        return [*moves, *self._grow(notional / legs.price, parameters)]

    def _shared_out(
        self, legs: Legs, wanted: Decimal, positions: Holdings, parameters: Mapping[str, Any]
    ) -> tuple[list[Block], Decimal, Decimal, Decimal] | None:
        """The transfer that brings cash and margin to where growing by `wanted` needs them, what they are after it, and its minutes.

        None while another one is on its way. Unrealised profit is margin but no cash: it cannot be moved.
        """
        spot_venue, _, perp_venue, _ = self._symbols(parameters)
        quote = _quote(perp_venue)
        missing = wanted * (1 + self._cushion) - legs.cash
        sender, receiver = (perp_venue, spot_venue) if missing > 0 else (spot_venue, perp_venue)
        if missing > 0:
            amount = min(missing, positions.amount(perp_venue, quote))
        else:
            lacking = (legs.notional + wanted) / parameters["leverage"] - legs.margin
            amount = min(-missing, lacking) if parameters["on_margin_shortage"] == "move" else ZERO
        amount = amount.quantize(CENT, ROUND_DOWN)
        fee, minimum, minutes = positions.withdrawal(sender, quote)
        if amount <= max(minimum, fee + SMALLEST_CHANGE):
            return [], legs.cash, legs.margin, ZERO
        if legs.coming:
            return None
        arriving = amount - fee
        cash, margin = (arriving, -amount) if missing > 0 else (-amount, arriving)
        return [transfer(sender, receiver, quote, amount)], legs.cash + cash, legs.margin + margin, minutes

    def _on_shortage(self, legs: Legs, target: Decimal, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        """Margin is short: bring collateral from the spot leg, or make both legs smaller."""
        how = parameters["on_margin_shortage"]
        if how == "ignore":
            return []
        moves = how == "move" and self._can_move(legs, target, positions, parameters)
        if not moves and not (how == "move" and self._is_one_account(parameters)):
            target = legs.margin * parameters["leverage"]
        amount = min((legs.notional - target) / legs.price, legs.spot, legs.short)
        is_worth = amount * legs.price >= self._smallest(legs.price, positions, parameters)
        blocks = self._shrink(amount, parameters) if is_worth else []
        if moves:
            spot_venue, _, perp_venue, _ = self._symbols(parameters)
            freed = legs.cash + (amount * legs.price * (1 - self._cushion) if is_worth else ZERO)
            blocks.append(transfer(spot_venue, perp_venue, _quote(spot_venue), freed.quantize(CENT, ROUND_DOWN)))
        return blocks

    def _can_move(self, legs: Legs, target: Decimal, positions: Holdings, parameters: Mapping[str, Any]) -> bool:
        """Whether collateral can be sent: nothing is on its way already, and it is more than the exchange's minimum."""
        venue = parameters["spot_venue"]
        fee, minimum, _ = positions.withdrawal(venue, _quote(venue))
        freed = legs.cash + max(legs.notional - target, ZERO)
        return self._is_movable(parameters) and not legs.coming and freed * (1 - self._cushion) > max(minimum, fee) + 2 * SMALLEST_CHANGE

    def _is_one_account(self, parameters: Mapping[str, Any]) -> bool:
        return bool(parameters["spot_venue"] == parameters["perp_venue"])

    def _is_movable(self, parameters: Mapping[str, Any]) -> bool:
        """Whether quote can be sent from one leg's venue to the other's and is margin, or cash, there."""
        return not self._is_one_account(parameters) and _quote(parameters["spot_venue"]) == _quote(parameters["perp_venue"])

    # Plans.

    def _grow(self, amount: Decimal, parameters: Mapping[str, Any]) -> list[Block]:
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        return [trade(spot_venue, "spot", "buy", spot_symbol, amount), trade(perp_venue, "perp", "sell", perp_symbol, amount)]

    def _shrink(self, amount: Decimal, parameters: Mapping[str, Any]) -> list[Block]:
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        return [
            trade(spot_venue, "spot", "sell", spot_symbol, amount),
            trade(perp_venue, "perp", "buy", perp_symbol, amount, reduce_only=True),
        ]

    # Funding.

    def _mean_funding(self, snapshot: MarketSnapshot, parameters: Mapping[str, Any]) -> Decimal | None:
        """Mean of the rates in the window, a fraction a year; None where no rule asks for it or no rate is known."""
        if parameters["enter_above_apr"] is None and parameters["leave_below_apr"] is None:
            return None
        _, _, venue, symbol = self._symbols(parameters)
        exchange = venue.partition("_")[0]
        return snapshot.mean_funding(exchange, symbol, parameters["funding_window_hours"])

    def needs(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        spot_venue, spot_symbol, perp_venue, perp_symbol = self._symbols(parameters)
        spot, perp = spot_venue.partition("_")[0], perp_venue.partition("_")[0]
        return [("spot", spot, spot_symbol), ("perp", perp, perp_symbol), ("funding", perp, perp_symbol)]

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        spot, _, perp, _ = self._symbols(parameters)
        if spot == perp:
            return {spot: {_quote(spot): capital}}
        margin = capital / (1 + parameters["leverage"])
        margin = margin.quantize(CENT, ROUND_DOWN)
        return {spot: {_quote(spot): capital - margin}, perp: {_quote(perp): margin}}


def _quote(venue: str) -> str:
    return QUOTES.get(venue.partition("_")[0], "USDT")
