"""What a transaction offers for gas (EIP-1559), from the fee history and within the limits. Pure; wei per gas unit."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.chain_abi import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

WEI_PER_GWEI, WEI_PER_ETH = 10**9, 10**18
HISTORY_BLOCKS, PERCENTILE = 10, 50
LEAST_PRIORITY_WEI = 10**7  # 0.01 gwei
ROOM = 2  # base fees: six full blocks in a row
RAISE, RAISED_OF = 1125, 1000  # what a node asks for a replacement is 10 %


class Fees(Struct, frozen=True):
    """What a transaction pays at most, and of it to the block's builder."""

    most_wei: int
    priority_wei: int

    def raised(self) -> Fees:
        """Both by 12.5 %, rounded up: what replaces a transaction with these."""
        return Fees(-(-self.most_wei * RAISE // RAISED_OF), -(-self.priority_wei * RAISE // RAISED_OF))


class FeeMarket(Struct, frozen=True):
    """The base fee of the next block, and what the builders of the last ones were paid in the middle."""

    base_wei: int
    priority_wei: int


def fee_market(history: Mapping[str, Any]) -> FeeMarket:
    """The answer to eth_feeHistory.

    Raises:
        MalformedAnswer.
    """
    bases, rewards = history.get("baseFeePerGas"), history.get("reward") or []
    if not isinstance(bases, list) or not bases:
        raise MalformedAnswer("a fee history without base fees", dict(history))
    paid = sorted(number_of(row[0], "a reward") for row in rewards if row)
    return FeeMarket(number_of(bases[-1], "a base fee"), max(paid[len(paid) // 2] if paid else 0, LEAST_PRIORITY_WEI))


def fees_within(market: FeeMarket, cap_gwei: Decimal | None) -> Fees:
    """The fees of a new transaction. Where the next block takes more than the cap they are beyond it, and it is refused."""
    needed = market.base_wei + market.priority_wei
    wanted = ROOM * market.base_wei + market.priority_wei
    if cap_gwei is not None:
        wanted = max(min(wanted, wei_of(cap_gwei)), needed)
    return Fees(wanted, market.priority_wei)


def wei_of(gwei: Decimal) -> int:
    return int(gwei * WEI_PER_GWEI)


def gwei_of(wei: int) -> Decimal:
    return Decimal(wei) / WEI_PER_GWEI


def in_gwei(wei: int) -> str:
    """For a person."""
    return plain(round(gwei_of(wei), 6))
