"""What one live instruction may move and lose; told before it is sent, and in a preflight."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.instruction_steps import all_steps
from basis_strategy_v1.core.instructions import CexTrade, WalletTransfer
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.deviation import BPS, gross_notional
from basis_strategy_v1.venues.venue import reject

if TYPE_CHECKING:
    from basis_strategy_v1.config import Limits
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.venue import Moved

LEAVES = {"withdraw", "repay", "unstake", "claim"}
ENTERS = {"supply", "supply_collateral", "borrow", "stake"}


def require_within_limits(instruction: Instruction, moved: Moved, market: MarketSnapshot, limits: Limits, kind: str) -> None:
    """Refuse what moves more than `max_notional_per_instruction`, unless it reduces risk, or slips by more than `max_slippage_bps`."""
    notional = gross_notional(moved.deltas, market)
    most = limits.max_notional_per_instruction
    if most is not None and notional > most and not reduces_risk(instruction):
        reject(kind, f"the instruction moves {plain(round(notional, 2))} USD, limits.max_notional_per_instruction is {plain(most)}; "
                     "split it or raise the limit")  # fmt: skip
    slipped = sum((cost.amount * market.price(cost.token) for cost in moved.costs if cost.source == "slippage"), Decimal(0))
    worst, notional = limits.max_slippage_bps, notional or slipped
    if worst is not None and slipped * BPS > worst * notional:
        reject(kind, f"the instruction would slip by {plain(round(slipped / notional * BPS, 2))} bps, limits.max_slippage_bps is "
                     f"{plain(worst)}; trade less at once or raise the limit")  # fmt: skip


def reduces_risk(instruction: Instruction) -> bool:
    """Whether it only takes back: a reduce-only trade, a transfer to the own wallet, leaving a protocol, an unwind."""
    if isinstance(instruction, CexTrade):
        return instruction.reduce_only
    if isinstance(instruction, WalletTransfer):
        return instruction.to_venue == WALLET
    actions = {step.action for step in all_steps(instruction)}
    return bool(actions & LEAVES) and not actions & ENTERS
