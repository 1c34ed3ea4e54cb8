"""ether.fi: ETH staked as eETH, whose balances grow by themselves; weETH is one share of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.venues.staking import StakingProtocol, StakingRow
from basis_strategy_v1.venues.staking_shares import Protocol

if TYPE_CHECKING:
    from basis_strategy_v1.venues.staking import Settings
    from basis_strategy_v1.venues.venue import Place

# Gas units as seen on mainnet for a typical call of each kind; the queue's waiting time is its usual length in 2024-25.
GAS = {"stake": 110_000, "unstake": 260_000, "claim": 120_000, "wrap": 90_000, "unwrap": 80_000}
DAYS = 7
DEX = "curve"


def etherfi(place: Place, settings: Settings) -> StakingProtocol:
    """The simulator of ether.fi."""
    return StakingProtocol(place, StakingRow.of("etherfi", DAYS, GAS, DEX, settings), Protocol.ETHERFI)
