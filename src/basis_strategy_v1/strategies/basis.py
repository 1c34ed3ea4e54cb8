"""Spot long, perp short: the carry of a perpetual, hedged."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec.structs import replace

from basis_strategy_v1.core.market import base_of
from basis_strategy_v1.core.settings import Mark, OrNull, number, text, whole
from basis_strategy_v1.strategies.hedge import Hedge
from basis_strategy_v1.strategies.legs import (
    HedgeMemory,
    LeastMargin,
    Legs,
    Leverage,
    OnShortfall,
    PerpVenue,
    SpotVenue,
    Threshold,
    Tolerance,
    not_growing,
)
from basis_strategy_v1.strategies.parameters import CommonParameters
from basis_strategy_v1.strategies.strategy import Block, Holdings, Plan, Step, VenueFacts, Waiting, Window, as_percent, because

Apr = OrNull[Annotated[Decimal, number("0.08 is 8 %", above=-1, below=1)]]
Symbol = Annotated[str, text(r"[A-Z0-9]{2,20}", "base and quote written together (SOLUSDT)")]
Decision = tuple[list[Block], "BasisMemory"]


class Parameters(CommonParameters, frozen=True, kw_only=True):
    """Where the legs are, and by which rules they are held."""

    spot_venue: SpotVenue
    perp_venue: PerpVenue
    leverage: Leverage = Decimal(1)
    rebalance_threshold_bps: Threshold = Decimal(500)
    hedge_tolerance_bps: Tolerance = Decimal(50)
    on_margin_shortage: OnShortfall = "move"
    min_margin_ratio: LeastMargin = None
    enter_above_apr: Annotated[Apr, "enter when the mean funding is at least this fraction a year; null: enter at start"] = None
    leave_below_apr: Annotated[Apr, "leave when the mean funding is below this fraction a year; null: never"] = None
    funding_window_hours: Annotated[int, whole(at_least=1, at_most=8760), "hours of funding that the mean is taken over"] = 72


class SymbolParameters(Parameters, frozen=True, kw_only=True):
    """Of a basis in any symbol; `eth_basis` and `btc_basis` are presets of it."""

    symbol: Annotated[Symbol, Mark.RUN, "what is bought and sold short, in what the spot venue settles (SOLUSDT)"]


class BasisMemory(HedgeMemory, frozen=True, gc=False):
    """What the positions do not show."""

    is_out: bool = False  # the short was liquidated: it does not enter again


def of_symbol(parameters: SymbolParameters, venues: VenueFacts) -> Basis:
    """The basis in the symbol of its parameters."""
    return Basis(base_of(parameters.symbol, (venues[parameters.spot_venue].settle,)), parameters, venues)


class Basis:
    """Holds as much spot as it is short in the perp, with the perp's margin at notional / `leverage`.

    Both legs are one plan at every change. Margin that is off by more than `rebalance_threshold_bps` of the equity is
    brought back to its target, not merely to the threshold, so that small moves cost nothing.
    """

    memory_kinds = (BasisMemory,)

    def __init__(self, base: str, parameters: Parameters, venues: VenueFacts) -> None:
        self._hedge = Hedge(base, parameters, venues)
        self._rules = parameters

    # Decisions.

    def decide(self, step: Step, memory: BasisMemory | None) -> Plan:
        mean = self._mean_funding(step)
        legs, memory = self._hedge.read(step, memory or BasisMemory())
        if not legs.short:
            enters = not memory.is_out and self._wants_in(mean)
            if legs.long and legs.long * legs.price > self._hedge.smallest(legs, step.positions):
                return self._alone(legs, step.positions, enters, memory)
            if not enters:
                return [], memory
            blocks, memory = self._hedge.expand(legs, step.positions, memory)
            return because(self._entering(mean), blocks), memory
        leave_below = self._rules.leave_below_apr
        if leave_below is not None and mean is not None and mean < leave_below:
            blocks, memory = self._leave(legs, step.positions, memory)
            return because(f"mean funding {as_percent(mean)} a year < {as_percent(leave_below)}: leave", blocks), memory
        return self._rebalance(legs, step.positions, memory)

    def _alone(self, legs: Legs, positions: Holdings, enters: bool, memory: BasisMemory) -> Decision:
        """The spot leg alone is a bet, not a hedge. One that was given is hedged; one that a liquidation has left is sold for good."""
        if memory.has_been_short and not memory.is_out:
            memory = replace(memory, is_out=True)
        if enters and not memory.is_out and (hedged := self._hedge.take_on(legs, positions, legs.long)):
            return because("spot without its perp: hedge it", hedged), memory
        blocks, memory = self._leave(legs, positions, memory)
        return because("spot without its perp: sell it", blocks), memory

    def _wants_in(self, mean: Decimal | None) -> bool:
        """At least at the rate to enter by; without one, not where it would leave again at once."""
        enter_above, leave_below = self._rules.enter_above_apr, self._rules.leave_below_apr
        if enter_above is None:
            return leave_below is None or mean is None or mean >= leave_below
        return mean is not None and mean >= enter_above

    def _entering(self, mean: Decimal | None) -> str:
        bound = self._rules.enter_above_apr
        if bound is None or mean is None:
            return "enter"
        return f"mean funding {as_percent(mean)} a year >= {as_percent(bound)}: enter"

    def waiting(self, step: Step, memory: BasisMemory | None) -> Waiting | None:
        """Why there is no short; None where there is one."""
        legs, memory = self._hedge.read(step, memory or BasisMemory())
        if legs.short:
            return None
        if memory.is_out:
            return Waiting("the short was liquidated, and it does not enter again")
        enter_above, leave_below = self._rules.enter_above_apr, self._rules.leave_below_apr
        mean = self._mean_funding(step)
        if enter_above is not None and (mean is None or mean < enter_above):
            return Waiting("mean funding a year >= strategy.enter_above_apr", mean, enter_above)
        if enter_above is None and not self._wants_in(mean):
            return Waiting("mean funding a year >= strategy.leave_below_apr", mean, leave_below)
        too_little = self._hedge.too_little(legs, step.positions)
        return Waiting("capital for the smallest order that the strategy trades (initial_capital)") if too_little else None

    def leave(self, step: Step, memory: BasisMemory | None) -> Plan:
        legs, memory = self._hedge.read(step, memory or BasisMemory())
        blocks, memory = self._leave(legs, step.positions, memory)
        return because("the end: leave", blocks), memory

    def _leave(self, legs: Legs, positions: Holdings, memory: BasisMemory) -> Decision:
        """Sell the spot leg and buy the perp back; of a leg that is less than the exchange trades nothing is sent."""
        (spot_lot, minimum), (perp_lot, _) = self._hedge.smallest_orders(positions)
        blocks: list[Block] = []
        if legs.long >= spot_lot and (legs.long - spot_lot) * legs.price >= minimum:
            blocks.append(self._hedge.spot("sell", legs.long))
        if legs.short >= perp_lot:
            blocks.append(self._hedge.buy_back(legs.short))
        return blocks, not_growing(memory)

    def _rebalance(self, legs: Legs, positions: Holdings, memory: BasisMemory) -> Decision:
        allowed, missing = self._hedge.allowed(legs), legs.margin_missing
        blocks: list[Block] = []
        if self._hedge.lacks_margin(legs, missing, allowed):
            blocks, memory = self._on_shortfall(legs, positions, memory)
            blocks = because(f"margin {legs.margin:,.2f} is {missing:,.2f} below its target: bring margin or reduce", blocks)
        elif evened_out := self._hedge.even_out(legs, positions):  # before anything grows: a deleveraged short leaves cash and margin
            return because("the legs differ: make them even", evened_out), memory
        elif memory.is_to_grow or legs.cash > allowed or -missing > allowed:
            blocks, memory = self._hedge.expand(legs, positions, memory)
            blocks = because("cash or margin above target: grow", blocks)
        # Cutting the larger leg back to the other needs neither cash nor margin.
        return blocks or because("the legs differ: make them even", self._hedge.even_out(legs, positions)), memory

    def _on_shortfall(self, legs: Legs, positions: Holdings, memory: BasisMemory) -> Decision:
        """The margin is too small: bring collateral from the spot leg, or make both legs smaller."""
        hedge = self._hedge
        if hedge.on_shortfall == "ignore":
            return [], memory
        may_move = hedge.on_shortfall == "move"
        moves = may_move and hedge.can_bring(legs, positions)
        carried = legs.target if moves or (may_move and hedge.is_one_account) else legs.carried
        blocks, _, freed = hedge.shrink(legs, carried, positions)
        memory = not_growing(memory)
        if not moves:
            return blocks, memory
        sent, memory = hedge.bring(freed, legs, positions, memory)
        return [*blocks, *sent], memory

    # Funding.

    def _mean_funding(self, step: Step) -> Decimal | None:
        """Mean of the rates in the window, a fraction a year; None where no rule asks for it or no rate is known."""
        rules, hedge = self._rules, self._hedge
        if rules.enter_above_apr is None and rules.leave_below_apr is None:
            return None
        return step.snapshot.mean_funding(hedge.perp_exchange, hedge.perp_symbol, rules.funding_window_hours)

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        return self._hedge.series()

    def too_little(self, step: Step) -> str:
        """Why nothing can be done with what is there at the start; nothing where something can."""
        legs, _ = self._hedge.read(step, BasisMemory())
        return self._hedge.too_little(legs, step.positions)

    def windows(self, parameters: Any) -> list[Window]:
        hedge, rules = self._hedge, self._rules
        has_rule = rules.enter_above_apr is not None or rules.leave_below_apr is not None
        key = ("funding", hedge.perp_exchange, hedge.perp_symbol)
        return [Window("funding_window_hours", rules.funding_window_hours, key)] if has_rule else []

    def placed(self, capital: Decimal, parameters: Any) -> dict[str, dict[str, Decimal]]:
        return self._hedge.placed(capital)
