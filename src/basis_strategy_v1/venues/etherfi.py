"""ether.fi: ETH staked as eETH, whose balances grow by themselves; weETH is one share of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from basis_strategy_v1.venues.staking import StakingProtocol, StakingRow
from basis_strategy_v1.venues.staking_shares import Protocol

# Gas units as seen on mainnet for a typical call of each kind; the queue's waiting time is its usual length in 2024-25.
GAS = {"stake": 110_000, "unstake": 260_000, "claim": 120_000, "wrap": 90_000, "unwrap": 80_000}
ROW = StakingRow.of("etherfi", Decimal(7), GAS)


def etherfi(settings: dict[str, Any]) -> StakingProtocol:
    """The simulator of ether.fi; `withdrawal_days` in the settings overrides the length of the queue."""
    return StakingProtocol(ROW.with_settings(settings), Protocol.ETHERFI)
