"""Stake ether and hold; with a lender, as collateral of borrowed ether that is staked too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.strategies.loop import LoopMemory, work_of
from basis_strategy_v1.strategies.spread import SpreadMemory
from basis_strategy_v1.strategies.staked_ether import StakedEther
from basis_strategy_v1.strategies.strategy import Plan, Step, VenueFacts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal


class EthStaking:
    """Stakes all ETH of the wallet but the gas reserve, or builds and keeps the loop with it; from `leave_at` on gives it back, and
    claims what the queue pays."""

    memory_kinds = (LoopMemory, SpreadMemory)

    def __init__(self, parameters: Mapping[str, Any], venues: VenueFacts) -> None:
        self._stake = StakedEther(parameters, venues)
        self._work = work_of(self._stake, parameters)

    def decide(self, step: Step, memory: LoopMemory | None) -> Plan:
        if self._stake.is_leaving(step):
            return self.leave(step, memory)
        return self._work.decide(self._stake.read(step), step, memory)

    def leave(self, step: Step, memory: LoopMemory | None) -> Plan:
        held = self._stake.read(step)
        if not self._stake.can_give_back(held, step):
            return [], memory
        return [*self._stake.claims(step), *self._stake.give_back(held, step)], memory

    def needs(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        return self._stake.series()

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return {WALLET: {"ETH": capital}}
