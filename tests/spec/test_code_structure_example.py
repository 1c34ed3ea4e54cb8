"""Code Structure Example: the constructor, the history, the routes and get_routing_status, as they are written out there."""

from __future__ import annotations

import pytest

from basis_strategy_v1 import ExecutionInterfaceManager

from ..world import refused
from .examples import CONFIG, NOON, NOT_CONFIGURED, TRADE, UNKNOWN_TYPE, Prices, manager


def test_it_is_made_from_config_data_provider_and_mode():
    found = ExecutionInterfaceManager(CONFIG, Prices(), "backtest")
    assert found.route_instruction(NOON, TRADE) == TRADE["estimated_deltas"]


@pytest.mark.parametrize(
    ("venues", "names"),
    [
        ({}, []),
        ({"cex": None}, []),
        ({"cex": ["binance", "bybit"]}, ["binance", "bybit"]),
        ({"cex": {"binance": None}, "dex": None, "onchain": []}, ["binance"]),
        ({"onchain": ["aave"]}, ["aave", "wallet"]),
        ({"dex": ["curve"]}, ["curve", "wallet"]),
    ],
)
def test_venues_may_be_a_list_a_mapping_or_left_out(venues, names):
    assert list(manager(config={"venues": venues}).interfaces) == names


def test_an_unknown_type_is_counted_and_kept_in_the_history():
    found = manager()
    error = refused(found.route_instruction, NOON, UNKNOWN_TYPE)
    assert found.routing_history == [{"timestamp": NOON, "instruction_type": "nft_mint", "success": False, "error": str(error)}]
    assert (found.instructions_routed, found.instructions_failed, found.current_instruction) == (0, 1, UNKNOWN_TYPE)


@pytest.mark.parametrize("block", [None, [], "cex_trade", 7, {}])
def test_what_names_no_type_is_in_the_history_as_unknown(block):
    found = manager()
    refused(found.route_instruction, NOON, block)
    assert [row["instruction_type"] for row in found.routing_history] == ["unknown"]


def test_get_routing_status_has_the_specified_shape():
    found = manager()
    found.route_instruction(NOON, TRADE)
    refused(found.route_instruction, NOON, NOT_CONFIGURED)
    assert found.get_routing_status() == {
        "status": "degraded",
        "current_instruction": NOT_CONFIGURED,
        "instructions_routed": 1,
        "instructions_failed": 1,
        "execution_mode": "backtest",
        "available_venues": {
            "cex": ["binance", "hyperliquid"],
            "dex": ["uniswap", "curve"],
            "onchain": ["aave", "lido", "etherfi", "wallet"],
        },
    }


def test_without_failures_the_status_is_healthy():
    assert manager().get_routing_status()["status"] == "healthy"
