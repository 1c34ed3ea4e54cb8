"""How much worse the simulated outcome of an instruction is than the one that its sender estimated."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.market import base_of
from basis_strategy_v1.core.state import SHARE_TOKENS
from basis_strategy_v1.venues.venue import Moved, reject

if TYPE_CHECKING:
    from basis_strategy_v1.core.deltas import Deltas
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot

BPS = Decimal(10_000)


def require_estimate_met(instruction: Instruction, moved: Moved, market: MarketSnapshot, kind: str) -> None:
    """Refuse an instruction whose outcome is worse than `estimated_deltas` by more than `max_deviation_bps`.

    Both are valued at the snapshot's prices; a perp counts by its slippage and by what is missing of it. The gross
    notional is the larger of what comes in and what goes out.
    """
    estimated, allowed = instruction.estimated_deltas, instruction.max_deviation_bps
    if estimated is None or allowed is None:
        reject(kind, "max_deviation_bps needs estimated_deltas to compare with; add them or leave it out")
    slipped = sum((cost.amount * market.price(cost.token) for cost in moved.costs if cost.source == "slippage"), Decimal(0))
    perps = any(token.endswith("-PERP") for (_, token), _ in moved.deltas.items())
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
        notional = amount * (market.price(base_of(token.removesuffix("-PERP"))) if token.endswith("-PERP") else _price(token, market))
        inwards, outwards = (inwards + notional, outwards) if notional > 0 else (inwards, outwards - notional)
    return max(inwards, outwards)


def _perps_missing(estimated: Deltas, simulated: Deltas, market: MarketSnapshot) -> Decimal:
    missing = Decimal(0)
    for (venue, token), amount in estimated.items():
        if token.endswith("-PERP"):
            missing += abs(amount - simulated.get(venue, token)) * market.price(base_of(token.removesuffix("-PERP")))
    return missing


def _price(token: str, market: MarketSnapshot) -> Decimal:
    """USD per unit of a delta's token: a deposit is worth its underlying, a debt costs it, a perp is worth nothing by itself."""
    if token.endswith("-PERP"):
        return Decimal(0)
    if token.startswith("variableDebt"):
        return -market.price(token.removeprefix("variableDebt"))
    if token.startswith("morpho:"):
        _, pair, side = token.split(":")
        collateral, _, loan = pair.partition("/")
        return market.price(collateral) if side == "collateral" else market.price(loan) * (-1 if side == "debt" else 1)
    if token.endswith("-QUEUED"):
        return market.price(token.removesuffix("-QUEUED"))
    return market.price(token[1:] if token[:1] == "a" and (token[1:2].isupper() or token[1:] in SHARE_TOKENS) else token)
