"""A hedge: a perp sold short against something long that changes hands at a spot venue, and the orders that change it."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.strategies.legs import ZERO, Legs, M, not_growing, with_sent
from basis_strategy_v1.strategies.strategy import Block, Holdings, Step, VenueFacts, trade, transfer

if TYPE_CHECKING:
    from basis_strategy_v1.strategies.parameters import HedgeParameters

BPS = Decimal(10_000)
CENT = Decimal("0.01")
# Kept back at least from a purchase for slippage and fees; what is left of it is used at the next one.
CUSHION = Decimal("0.002")
# A change smaller than this is not worth its fees.
SMALLEST_CHANGE = Decimal(25)
# What an order must be above the exchange's minimum, so that cutting it down to lots and the slippage leave enough of it.
ROOM = Decimal("1.05")
# Of what the margin may be off by: cash less than this is not sent to grow with, nor as margin where that can wait.
WORTH_SENDING = Decimal("0.1")
# A transfer is worth its fee where the notional that it keeps, or makes possible, is this many times the fee: at a funding of 10 % a
# year that earns the fee in a week. In a small account half of what the capital carries is enough, if it earns the fee in ten weeks.
WORTH_OF_FEE, LEAST_WORTH_OF_FEE = Decimal(500), Decimal(50)
# The first short also hedges ether that is kept for gas: with it the leverage may be above its target by so much.
OVER_TARGET = Decimal("1.1")

Order = tuple[Decimal, Decimal]


class Hedge:
    """Where the legs are traded, as what, and by which rules. Orders change both legs in one plan, so that none is left alone.

    It keeps rules only. `smallest_order` is the least change in base units; None: what the exchanges take.
    """

    def __init__(self, base: str, parameters: HedgeParameters, venues: VenueFacts, smallest_order: Decimal | None = None) -> None:
        self.spot_venue = parameters.spot_venue
        self.perp_venue = parameters.perp_venue
        self.quote, self.perp_quote = (venues[name].settle for name in (self.spot_venue, self.perp_venue))
        self.symbol, self.perp_symbol = base + self.quote, base + self.perp_quote
        self.is_one_account = self.spot_venue == self.perp_venue
        # Whether cash of one venue can be sent to the other and be margin, or cash, there.
        self.is_movable = not self.is_one_account and self.quote == self.perp_quote
        self.on_shortfall = parameters.on_margin_shortage
        self._base = base
        self._impacts = (venues[self.spot_venue].impact, "spot", self.symbol), (venues[self.perp_venue].impact, "perp", self.perp_symbol)
        self._smallest_order = smallest_order
        self._position = perp_name(self.perp_symbol)
        self._exchange, self.perp_exchange = (venues[name].series for name in (self.spot_venue, self.perp_venue))
        self._leverage = parameters.leverage
        self._threshold_bps = parameters.rebalance_threshold_bps
        self._tolerance_bps = parameters.hedge_tolerance_bps
        self._min_ratio = parameters.min_margin_ratio

    def series(self) -> list[tuple[str, str, str]]:
        """What has to be in the data."""
        perp = (self.perp_exchange, self.perp_symbol)
        return [("spot", self._exchange, self.symbol), ("perp", *perp), ("funding", *perp)]

    def placed(self, capital: Decimal) -> dict[str, dict[str, Decimal]]:
        """The capital over the venues: the perp's margin, and the rest to buy the long leg with."""
        if self.is_one_account:
            return {self.spot_venue: {self.quote: capital}}
        margin = (capital / (1 + self._leverage)).quantize(CENT, ROUND_DOWN)
        return {self.spot_venue: {self.quote: capital - margin}, self.perp_venue: {self.perp_quote: margin}}

    # How it stands.

    def read(self, step: Step, memory: M, elsewhere: Decimal | None = None) -> tuple[Legs, M]:
        """Both legs, and the memory that has seen them; `elsewhere` is what the long one has outside the spot venue, in base units."""
        spot_venue, perp_venue, positions = self.spot_venue, self.perp_venue, step.positions
        price = step.snapshot.spot(self._exchange, self.symbol)
        short = -positions.amount(perp_venue, self._position)
        if short and not memory.has_been_short:
            memory = replace(memory, has_been_short=True)
        margin = equity = positions.margin(perp_venue, step.snapshot).equity
        cash = positions.amount(spot_venue, self.quote)
        if self.is_one_account:  # what the perp's target margin does not need is cash
            cash = max(ZERO, min(cash, margin - short * price / self._leverage))
            margin -= cash
        at_spot = positions.amount(spot_venue, self._base)
        long = at_spot if elsewhere is None else at_spot + elsewhere
        coming = positions.in_transit(self.quote)
        coming_margin = coming if memory.sent_to_perp else ZERO
        return Legs(price, self._leverage, long, at_spot, short, cash, margin, coming, coming_margin, equity, step.snapshot), memory

    def allowed(self, legs: Legs) -> Decimal:
        """By how much the margin may be off."""
        return legs.total * self._threshold_bps / BPS

    def lacks_margin(self, legs: Legs, missing: Decimal, allowed: Decimal) -> bool:
        """Whether the margin counts as too small: by its ratio to the notional, where the parameters give one."""
        if self._min_ratio is None:
            return missing > allowed
        return legs.margin + legs.coming_margin < legs.notional * self._min_ratio

    def cushion(self, positions: Holdings, legs: Legs) -> Decimal:
        """The share of a purchase that is kept back: what trades as large as the whole hedge cost."""
        return max(CUSHION, positions.costs_of_trades(self.spot_venue, self.perp_venue) + self._impact(legs))

    def _impact(self, legs: Legs) -> Decimal:
        """What trades of both legs as large as the whole hedge do to their prices, a fraction, and a tenth more."""
        most, found = max(legs.target, legs.notional), ZERO
        for impact, kind, symbol in self._impacts:
            if impact is not None:
                found += impact(kind, symbol, most, legs.market)
        return found * OVER_TARGET

    def wanted(self, legs: Legs, positions: Holdings) -> Decimal:
        """The notional by which the capital would let the legs grow."""
        return legs.target * (1 - self.cushion(positions, legs)) - legs.notional

    def smallest_orders(self, positions: Holdings) -> tuple[Order, Order]:
        """(lot, smallest notional) of a spot and of a perp order."""
        spot = positions.smallest_order(self.spot_venue, "spot", self.symbol)
        return spot, positions.smallest_order(self.perp_venue, "perp", self.perp_symbol)

    def smallest(self, legs: Legs, positions: Holdings) -> Decimal:
        """The least change that is worth its fees and that both exchanges take as an order."""
        if self._smallest_order is not None:
            return max(SMALLEST_CHANGE, self._smallest_order * legs.price)
        return max(SMALLEST_CHANGE, *((lot * legs.price + minimum) * ROOM for lot, minimum in self.smallest_orders(positions)))

    def too_little(self, legs: Legs, positions: Holdings, unhedged: Decimal = ZERO) -> str:
        """Why the legs cannot be entered with what is there; nothing where they can."""
        wanted, smallest = self.wanted(legs, positions), self.smallest(legs, positions)
        if self._growth(legs, wanted, positions, unhedged * legs.price):
            return ""
        most = min(self._possible(legs, positions, unhedged * legs.price), wanted)
        return (
            f"both legs can be at most {max(most, ZERO):,.2f} {self.quote} with what the venues hold at the start, below the smallest "
            f"change that the strategy trades, {smallest:,.2f}: nothing is entered; give more initial_capital"
        )

    # Orders.

    def spot(self, side: str, amount: Decimal) -> Block:
        return trade(self.spot_venue, "spot", side, self.symbol, amount)

    def sell_perp(self, amount: Decimal) -> Block:
        return trade(self.perp_venue, "perp", "sell", self.perp_symbol, amount)

    def buy_back(self, amount: Decimal) -> Block:
        return trade(self.perp_venue, "perp", "buy", self.perp_symbol, amount, reduce_only=True)

    def even_out(self, legs: Legs, positions: Holdings) -> list[Block]:
        """The larger leg cut to the other, where they differ by more than is tolerated."""
        gap = self._gap(legs, positions)
        if gap < 0:
            return [self.buy_back(-gap)]
        return [self.spot("sell", gap)] if gap else []

    def follow(self, legs: Legs, step: Step) -> list[Block]:
        """The short brought to the long leg, where they differ by more than is tolerated, as far as the exchange takes it on the margin."""
        gap = self._gap(legs, step.positions)
        if gap < 0:
            return [self.buy_back(-gap)]
        sold = min(gap, self.shortable(step, legs)) if gap else gap
        return [self.sell_perp(sold)] if sold * legs.price > self.smallest(legs, step.positions) else []

    def take_on(self, legs: Legs, positions: Holdings, long: Decimal) -> list[Block]:
        """A long leg that was there at the start hedged, up to what the margin carries at the leverage."""
        margin = legs.margin + legs.cash if self.is_one_account else legs.margin
        most = min(legs.leverage * (1 - self.cushion(positions, legs)), self._most_leverage(legs, positions))
        amount = min(long, margin * most / legs.price)
        return [self.sell_perp(amount)] if amount * legs.price > self.smallest(legs, positions) else []

    def shortable(self, step: Step, legs: Legs) -> Decimal:
        """By how many base units the exchange lets the short grow on the margin that is there."""
        return step.positions.shortable(self.perp_venue, self.perp_symbol, self.cushion(step.positions, legs), step.snapshot)

    def _gap(self, legs: Legs, positions: Holdings) -> Decimal:
        """Base units by which the long leg is larger than the short one; 0 where that is tolerated, or less than an order."""
        gap = legs.long - legs.short
        if abs(gap) <= legs.long * self._tolerance_bps / BPS or abs(gap) * legs.price <= self.smallest(legs, positions):
            return ZERO
        return gap

    def expand(self, legs: Legs, positions: Holdings, memory: M, *, unhedged: Decimal = ZERO) -> tuple[list[Block], M]:
        """Both legs grow to what the capital carries, as far as cash and margin reach; those are first brought to where that needs them.

        One transfer for one growth: while it is on its way nothing is done, and when it has come the legs grow by what is there then,
        however the price has moved meanwhile. The short leg grows by `unhedged` base units more.
        """
        if legs.coming:
            return [], memory
        wanted = self.wanted(legs, positions)
        moves: list[Block] = []
        if not memory.is_to_grow:
            moves, memory = self._share_out(legs, max(wanted, ZERO), positions, memory, unhedged * legs.price)
        memory = not_growing(memory)
        if moves:
            sender, sent = moves[0]["from_venue"], moves[0]["amount"]
            fee, _, minutes = positions.withdrawal(sender, self.quote)
            if minutes:
                return moves, replace(memory, is_to_grow=True)
            legs = with_sent(legs, sent, fee, to_perp=sender == self.spot_venue)
        grown = self._grow(legs, wanted, positions, unhedged)
        if grown and not memory.has_been_short:  # it may be liquidated before the next step sees it
            memory = replace(memory, has_been_short=True)
        return [*moves, *grown], memory

    def _share_out(self, legs: Legs, wanted: Decimal, positions: Holdings, memory: M, unhedged: Decimal) -> tuple[list[Block], M]:
        """The transfer that growing by `wanted` needs, where it makes an order possible that is worth its fee. Unrealised profit is
        margin but no cash: it cannot be moved."""
        missing = wanted * (1 + self.cushion(positions, legs)) - legs.cash
        to_perp = missing <= 0
        if to_perp and self.on_shortfall != "move":
            return [], memory
        lacking = (legs.notional + wanted) / legs.leverage - legs.margin
        sent = min(-missing, lacking) if to_perp else min(missing, positions.amount(self.perp_venue, self.quote), -legs.margin_missing)
        fee, _, _ = positions.withdrawal(self.spot_venue if to_perp else self.perp_venue, self.quote)
        after = self._growth(with_sent(legs, sent, fee, to_perp=to_perp), wanted, positions, unhedged)
        if after <= (now := self._growth(legs, wanted, positions, unhedged)):
            return [], memory
        return self.send(sent, legs, positions, memory, to_perp=to_perp, protects=after - now, at_least=self.worth_sending(legs))

    def _growth(self, legs: Legs, wanted: Decimal, positions: Holdings, unhedged: Decimal) -> Decimal:
        """By what notional of `wanted` both legs can grow on the cash and the margin that are there, where the short one grows by
        `unhedged` more; 0 where it is less than an order."""
        notional = min(wanted, self._possible(legs, positions, unhedged))
        return ZERO if notional < self.smallest(legs, positions) else notional

    def _possible(self, legs: Legs, positions: Holdings, unhedged: Decimal) -> Decimal:
        """As `_growth`, however little it is."""
        cushion = self.cushion(positions, legs)
        notional = min(legs.cash * (1 - cushion), self._room(legs, self._most_leverage(legs, positions), unhedged, cushion))
        if unhedged:
            notional = min(notional, self._room(legs, legs.leverage * OVER_TARGET, unhedged, cushion))
        return notional if self.is_one_account else min(notional, legs.carried - legs.notional)

    def _most_leverage(self, legs: Legs, positions: Holdings) -> Decimal:
        """Notional / equity that the perp venue lets the short have, its fees paid; about its own where it holds nothing."""
        held = positions.margin(self.perp_venue, legs.market).equity
        if held <= 0:
            return legs.leverage * OVER_TARGET
        room = positions.shortable(self.perp_venue, self.perp_symbol, self.cushion(positions, legs), legs.market)
        return (legs.short + room) * legs.price / held

    def _room(self, legs: Legs, leverage: Decimal, unhedged: Decimal, cushion: Decimal) -> Decimal:
        """The notional by which both legs can grow until the short is `leverage` times the equity: on one account the long leg is paid for
        with what is margin."""
        paid = 1 + cushion if self.is_one_account else cushion
        return (legs.equity * leverage - legs.notional - unhedged) / (1 + leverage * paid)

    def _grow(self, legs: Legs, wanted: Decimal, positions: Holdings, unhedged: Decimal) -> list[Block]:
        """Both legs larger by a notional of `wanted`, as far as cash and margin carry it; the short one by `unhedged` base units more."""
        amount = self._growth(legs, wanted, positions, unhedged * legs.price) / legs.price
        return [self.spot("buy", amount), self.sell_perp(amount + unhedged)] if amount else []

    def shrink(self, legs: Legs, carried: Decimal, positions: Holdings) -> tuple[list[Block], Decimal, Decimal]:
        """Both legs smaller, down to a notional of `carried` as far as the spot venue has of them; by how many base units, and the cash
        that it brings. With two accounts in whole lots of both: cash that is sent on must not count what an exchange cuts off."""
        amount = min((legs.notional - carried) / legs.price, legs.at_spot, legs.short)
        if not self.is_one_account:
            lot = max(lot for lot, _ in self.smallest_orders(positions))
            amount = amount // lot * lot
        if amount * legs.price < self.smallest(legs, positions):
            return [], ZERO, ZERO
        return [self.spot("sell", amount), self.buy_back(amount)], amount, amount * legs.price * (1 - self.cushion(positions, legs))

    def worth_sending(self, legs: Legs) -> Decimal:
        """The least cash that is sent where that can wait."""
        return self.allowed(legs) * WORTH_SENDING

    def can_bring(self, legs: Legs, positions: Holdings) -> bool:
        """Whether margin that lacks can be sent: nothing is on its way already, and it is more than the exchange's minimum and worth the
        fee; else both legs are made smaller."""
        fee, minimum, _ = positions.withdrawal(self.spot_venue, self.quote)
        freed = (legs.cash + max(legs.notional - legs.target, ZERO)) * (1 - self.cushion(positions, legs))
        kept = min(legs.notional, legs.target) - legs.carried
        kept = min(kept, freed * legs.leverage)
        return self.is_movable and not legs.coming and freed > max(minimum, fee) + 2 * SMALLEST_CHANGE and self._is_worth(kept, fee, legs)

    def bring(
        self, freed: Decimal, legs: Legs, positions: Holdings, memory: M, at_least: Decimal = ZERO
    ) -> tuple[list[Block], M]:  # fmt: skip
        """Cash of the spot venue, and what a sale there has `freed`, as the margin that lacks."""
        sent = min(legs.cash + freed, legs.target / legs.leverage - legs.margin)
        protects = min(min(legs.notional, legs.target) - legs.carried, sent * legs.leverage)
        return self.send(sent, legs, positions, memory, to_perp=True, protects=protects, at_least=at_least)

    def send(
        self, amount: Decimal, legs: Legs, positions: Holdings, memory: M, *, to_perp: bool, protects: Decimal, at_least: Decimal = ZERO
    ) -> tuple[list[Block], M]:  # fmt: skip
        """Cash of one venue to the other; nothing where it cannot be sent, is less than `at_least`, or where the notional that it
        `protects`, or makes possible, is not worth the fee."""
        if not self.is_movable:
            return [], memory
        sender, receiver = (self.spot_venue, self.perp_venue) if to_perp else (self.perp_venue, self.spot_venue)
        fee, minimum, _ = positions.withdrawal(sender, self.quote)
        amount = amount.quantize(CENT, ROUND_DOWN)
        if amount <= max(minimum, fee + SMALLEST_CHANGE) or amount < at_least or not self._is_worth(protects, fee, legs):
            return [], memory
        if memory.sent_to_perp is not to_perp:
            memory = replace(memory, sent_to_perp=to_perp)
        return [transfer(sender, receiver, self.quote, amount)], memory

    def _is_worth(self, notional: Decimal, fee: Decimal, legs: Legs) -> bool:
        return notional >= max(fee * LEAST_WORTH_OF_FEE, min(fee * WORTH_OF_FEE, legs.target / 2))
