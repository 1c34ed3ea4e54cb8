"""How much worse the simulated outcome of an instruction is than the one that its sender estimated."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.venues.exchanges import base_of
from basis_strategy_v1.venues.position_names import read_name
from basis_strategy_v1.venues.venue import SimulationResult, reject

if TYPE_CHECKING:
    from basis_strategy_v1.core.deltas import Deltas
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot

BPS = Decimal(10_000)


def require_estimate_met(instruction: Instruction, moved: SimulationResult, market: MarketSnapshot, kind: str) -> None:
    """Refuse an instruction whose outcome is worse than `estimated_deltas` by more than `max_deviation_bps`.

    Both are valued at the snapshot's prices; a perp counts by its slippage and by what is missing of it. The gross
    notional is the larger of what comes in and what goes out.
    """
    estimated, allowed = instruction.estimated_deltas, instruction.max_deviation_bps
    if estimated is None or allowed is None:
        reject(kind, "max_deviation_bps needs estimated_deltas to compare with; add them or leave it out")
    slipped = sum((cost.amount * market.price(cost.token) for cost in moved.costs if cost.source == "slippage"), Decimal(0))
    perps = any(read_name(token).kind is Kind.PERP for (_, token), _ in moved.deltas.items())
    worth = _value(moved.deltas, market) - (slipped if perps else 0)
    short = _value(estimated, market) - worth + _perps_missing(estimated, moved.deltas, market)
    gross = max(gross_notional(estimated, market), gross_notional(moved.deltas, market))
    deviation = short / gross * BPS if gross else Decimal(0)
    if deviation > allowed:
        reject(kind, f"the simulated outcome is {plain(round(deviation, 2))} bps of the notional worse than estimated_deltas, "
                     f"max_deviation_bps is {plain(allowed)}; estimate again or allow more")  # fmt: skip


def _value(deltas: Deltas, market: MarketSnapshot) -> Decimal:
    return sum((amount * _price(token, market) for (_, token), amount in deltas.items()), Decimal(0))


def gross_notional(deltas: Deltas, market: MarketSnapshot) -> Decimal:
    """USD that come in or that go out, whichever is more; a perp counts by what it is a position in."""
    inwards = outwards = Decimal(0)
    for (_, token), amount in deltas.items():
        name = read_name(token)
        notional = amount * (market.price(base_of(name.of)) if name.kind is Kind.PERP else _price(token, market))
        inwards, outwards = (inwards + notional, outwards) if notional > 0 else (inwards, outwards - notional)
    return max(inwards, outwards)


def _perps_missing(estimated: Deltas, simulated: Deltas, market: MarketSnapshot) -> Decimal:
    missing = Decimal(0)
    for (venue, token), amount in estimated.items():
        name = read_name(token)
        if name.kind is Kind.PERP:
            missing += abs(amount - simulated.get(venue, token)) * market.price(base_of(name.of))
    return missing


def _price(token: str, market: MarketSnapshot) -> Decimal:
    """USD per unit of a delta's token: a deposit is worth its underlying, a debt costs it, a perp is worth nothing by itself."""
    name = read_name(token)
    if name.kind is Kind.PERP:
        return Decimal(0)
    price = market.price(name.of)
    return -price if name.is_owed else price
