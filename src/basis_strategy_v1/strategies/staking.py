"""Stake ether and hold; with a lender, as collateral of borrowed ether that is staked too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.strategies.loop import work_of
from basis_strategy_v1.strategies.staked_ether import StakedEther
from basis_strategy_v1.strategies.strategy import Block, Holdings, VenueFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from basis_strategy_v1.core.market import MarketSnapshot


class EthStaking:
    """Stakes all ETH of the wallet but the gas reserve, or builds and keeps the loop with it; from `leave_at` on gives it back, and
    claims what the queue pays."""

    def __init__(self, parameters: Mapping[str, Any], venues: VenueFacts) -> None:
        self._stake = StakedEther(parameters, venues)
        self._work = work_of(self._stake, parameters)

    def decide(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        if self._stake.is_leaving(snapshot):
            return self.leave(snapshot, positions, parameters)
        return self._work.decide(self._stake.read(snapshot, positions), snapshot, positions)

    def leave(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        held = self._stake.read(snapshot, positions)
        if not self._stake.can_give_back(held, snapshot, positions):
            return []
        return [*self._stake.claims(snapshot, positions), *self._stake.give_back(held, snapshot, positions)]

    def needs(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        return self._stake.series()

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return {WALLET: {"ETH": capital}}
