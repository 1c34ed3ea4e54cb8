"""Responsibilities: parse the type, route, chain atomically, return the net deltas."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from ..world import refused
from .examples import NOON, NOT_CONFIGURED, SUPPLY, TRADE, UNKNOWN_TYPE, manager

CHAIN = {"instruction_type": "smart_contract_action", "atomic": True}
WITHDRAW = {**SUPPLY, "action": "withdraw", "amount": 400.0, "estimated_deltas": {}}


def test_1_the_type_is_parsed_from_the_block():
    error = refused(manager().route_instruction, NOON, UNKNOWN_TYPE)
    expected = "instruction_type must be one of cex_trade, smart_contract_action, wallet_transfer, got 'nft_mint'"
    assert (error.error_code, error.message) == ("EIM-001", expected)


def test_2_the_block_goes_to_the_venue_that_it_names():
    found = manager()
    deltas = [found.route_instruction(NOON, {**TRADE, "venue": name, "symbol": f"ETH{quote}"}) for name, quote in VENUES]
    assert deltas == [{"binance": {"ETH": -1.0, "USDT": 3300.0}}, {"hyperliquid": {"ETH": -1.0, "USDC": 3300.0}}]
    assert refused(found.route_instruction, NOON, NOT_CONFIGURED).message == (
        "venue okx is not configured; configured are binance, hyperliquid: add it under venues.cex"
    )


VENUES = (("binance", "USDT"), ("hyperliquid", "USDC"))


def test_3_smart_contract_actions_are_chained_all_or_none():
    held = {"wallet": {"USDT": 1000}}
    found = manager(HELD_DATA, positions=held)
    steps = [SUPPLY, {**SUPPLY, "action": "borrow", "token": "WETH", "amount": 10.0}]
    error = refused(found.route_instruction, NOON, {**CHAIN, "sub_instructions": steps})
    assert (error.error_code, error.message.split(":")[0]) == ("EIM-001", "step 1 (aave borrow)")
    assert found.positions.positions == {"wallet": {"USDT": Decimal(1000)}}


def test_4_the_deltas_of_all_steps_are_added_up():
    deltas = manager().route_instruction(NOON, {**CHAIN, "sub_instructions": [SUPPLY, WITHDRAW]})
    assert deltas == {"aave": {"USDT": -600.0, "aUSDT": 600.0}}


class HeldData:
    """Prices, and the two lending rows that a borrow needs."""

    row: ClassVar = {
        "liquidity_index": 1.0, "liquidity_rate": 0.03, "variable_borrow_index": 1.0, "variable_borrow_rate": 0.04,
        "total_supplied": 1e6, "total_borrowed": 4e5,
    }  # fmt: skip

    def get_data(self, timestamp):
        rows = {"USDT": {**self.row, "oracle_price_usd": 1.0}, "WETH": {**self.row, "oracle_price_usd": 3300.0}}
        prices = {"ETH": 3300.0, "USDT": 1.0, "USDC": 1.0}
        return {"timestamp": timestamp, "market_data": {"prices": prices}, "protocol_data": {"aave": rows}}


HELD_DATA = HeldData()
