"""Lido: ETH staked as stETH, whose balances grow by themselves; wstETH is one share of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.venues.staking import StakingProtocol, StakingRow
from basis_strategy_v1.venues.staking_shares import Protocol

if TYPE_CHECKING:
    from basis_strategy_v1.venues.staking import Settings
    from basis_strategy_v1.venues.venue import Place

# Gas units as seen on mainnet for a typical call of each kind; the queue's waiting time is its usual length in 2024-25.
GAS = {"stake": 78_000, "unstake": 240_000, "claim": 75_000, "wrap": 105_000, "unwrap": 85_000}
DAYS = 5
DEX = "uniswap"


def lido(place: Place, settings: Settings) -> StakingProtocol:
    """The simulator of Lido."""
    return StakingProtocol(place, StakingRow.of("lido", DAYS, GAS, DEX, settings), Protocol.LIDO)
