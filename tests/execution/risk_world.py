"""Every venue at fixed prices, an account that holds some of everything, and orders simulated in it."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.instructions import CexTrade, WalletTransfer, parse_instruction
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.state import WALLET, State
from basis_strategy_v1.execution.exposure import Exposures, exposures_of, leaves
from basis_strategy_v1.execution.risk import Spent, approve
from basis_strategy_v1.venues.venue import SimulationResult, Venues

from .. import world
from ..world import AT, action, chain, trade, transfer

__all__ = ["AT", "MARKET", "RICH", "VENUES", "action", "approved", "chain", "enters_or_leaves", "exposed", "simulated", "trade", "transfer"]

D = Decimal

VENUES: Venues = world.venues()
MARKET = world.market()
RICH = world.rich(VENUES, MARKET)
NOTHING_SPENT = Spent()
WIDE = Limits(
    max_notional_per_instruction=D(10**9), max_notional_per_day=D(10**9), max_slippage_bps=D(100), max_unhedged_notional=D(5000),
    withdrawal_addresses=("0x" + "aB" * 20,),
)  # fmt: skip


def simulated(*blocks: dict[str, Any], state: State = RICH, market: Any = MARKET, venues: Venues = VENUES) -> list[SimulationResult]:
    """What each block does to the state that the one before it leaves."""
    found: list[SimulationResult] = []
    for block in blocks:
        found.append(world.run(block, venues, state, market))
        state = found[-1].state
    return found


def after(*blocks: dict[str, Any], state: State = RICH) -> State:
    return simulated(*blocks, state=state)[-1].state


def exposed(state: State, market: Any = MARKET) -> Exposures:
    with localcontext(EXACT):
        return exposures_of(state, VENUES, market)


def enters_or_leaves(*blocks: dict[str, Any], state: State = RICH, market: Any = MARKET) -> str:
    """`leaves` or `enters`."""
    plan = simulated(*blocks, state=state, market=market)
    with localcontext(EXACT):
        return "leaves" if leaves([parse_instruction(block) for block in blocks], state, plan, VENUES, market) else "enters"


def approved(
    block: dict[str, Any], limits: Limits = WIDE, *, state: State = RICH, market: Any = MARKET, venues: Venues = VENUES,
    spent: Spent = NOTHING_SPENT, leaves: bool = False, **named: Any,
) -> Approved:  # fmt: skip
    """The block as an approved order, at noon of the first of June 2024."""
    (moved,) = simulated(block, state=state, market=market, venues=venues)
    instruction = parse_instruction(block)
    sender = instruction.venue if isinstance(instruction, CexTrade) else WALLET
    if isinstance(instruction, WalletTransfer):
        sender = instruction.from_venue
    order = Order(key="k1", at=from_instant(MARKET.instant), venue=sender, instruction=instruction, expected=moved.deltas)
    with localcontext(EXACT):
        return approve(order, moved, market, venues=venues, limits=limits, spent=spent, leaves=leaves, **named)
