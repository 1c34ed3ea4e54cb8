"""Lido: ETH staked as stETH, whose balances grow by themselves; wstETH is one share of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from basis_strategy_v1.venues.staking import StakingProtocol, StakingRow

# Gas units as seen on mainnet for a typical call of each kind; the queue's waiting time is its usual length in 2024-25.
GAS = {"stake": 78_000, "unstake": 240_000, "claim": 75_000, "wrap": 105_000, "unwrap": 85_000}
ROW = StakingRow("lido", "stETH", "wstETH", Decimal(5), GAS)


def lido(settings: dict[str, Any]) -> StakingProtocol:
    """The simulator of Lido; `withdrawal_days` in the settings overrides the length of the queue."""
    days = settings.get("withdrawal_days")
    return StakingProtocol(ROW if days is None else ROW._replace(withdrawal_days=Decimal(str(days))))
