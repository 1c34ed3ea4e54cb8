"""Lido: ETH staked as stETH, whose balances grow by themselves; wstETH is one share of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from basis_strategy_v1.venues.staking import StakingProtocol, StakingRow
from basis_strategy_v1.venues.staking_shares import Protocol

# Gas units as seen on mainnet for a typical call of each kind; the queue's waiting time is its usual length in 2024-25.
GAS = {"stake": 78_000, "unstake": 240_000, "claim": 75_000, "wrap": 105_000, "unwrap": 85_000}
ROW = StakingRow.of("lido", Decimal(5), GAS)


def lido(settings: dict[str, Any]) -> StakingProtocol:
    """The simulator of Lido; `withdrawal_days` in the settings overrides the length of the queue."""
    return StakingProtocol(ROW.with_settings(settings), Protocol.LIDO)
