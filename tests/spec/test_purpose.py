"""Purpose: routes 3 types of instructions to CEX, DEX and OnChain interfaces."""

from __future__ import annotations

import pytest

from .examples import NOON, SUPPLY, SWAP, TRADE, TRANSFER, manager

ROUTES = {
    "cex_trade": (TRADE, {"binance": {"ETH": -1.0, "USDT": 3300.0}}),
    "smart_contract_action": (SUPPLY, {"aave": {"USDT": -1000.0, "aUSDT": 1000.0}}),
    "smart_contract_action, a swap": (SWAP, {"uniswap": {"WETH": -1.0, "USDT": 3298.35}}),
    "wallet_transfer": (TRANSFER, {"binance": {"USDT": -1000.0}, "wallet": {"USDT": 1000.0}}),
}


@pytest.mark.parametrize(("block", "deltas"), ROUTES.values(), ids=ROUTES)
def test_each_type_of_instruction_is_routed_to_its_venue(block, deltas):
    assert manager().route_instruction(NOON, block) == deltas
