"""Mode-Aware Behavior: a backtest simulates, live asks the venue; the deltas have one shape."""

from __future__ import annotations

import pytest

from basis_strategy_v1 import CEXExecutionInterface, DEXExecutionInterface, OnChainExecutionInterface

from ..world import refused
from .examples import NOON, SUPPLY, SWAP, TRADE, TRANSFER, Prices, manager

OWN_SETTINGS = {
    "binance": {"slippage_bps": 0, "spot_taker_fee_bps": 0},
    "uniswap": {"slippage_bps": 0, "fee": 500},
    "aave": {"revision": "3.7"},
}
METHODS = {
    "trade": (CEXExecutionInterface, "binance", TRADE, TRADE["estimated_deltas"]),
    "swap": (DEXExecutionInterface, "uniswap", SWAP, {"uniswap": {"WETH": -1.0, "USDT": 3298.35}}),
    "action": (OnChainExecutionInterface, "aave", SUPPLY, SUPPLY["estimated_deltas"]),
}


def test_in_a_backtest_the_execution_is_simulated_with_the_data(live_run):
    gateways = live_run().gateways
    found = manager(gateways=gateways)
    assert (found.route_instruction(NOON, TRADE), gateways["binance"].calls) == ({"binance": {"ETH": -1.0, "USDT": 3300.0}}, [])


def test_live_the_venue_executes_and_its_answer_is_what_counts(live_run):
    made = live_run(at_venues={"binance": {"spot_taker_fee_bps": 0, "slippage_bps": 1}})
    assert made.manager.route_instruction(NOON, {**TRADE, "instruction_id": "a1"}) == {"binance": {"ETH": -1.0, "USDT": 3299.67}}
    assert made.gateways["binance"].executed == ["a1"]


@pytest.mark.parametrize("name", METHODS)
def test_an_interface_has_a_method_for_each_mode(name):
    kind, venue, block, deltas = METHODS[name]
    own = kind(venue, OWN_SETTINGS[venue], Prices(), "backtest")
    assert getattr(own, f"execute_{name}")(block) == deltas
    assert getattr(own, f"execute_backtest_{name}")(block) == deltas
    error = refused(getattr(own, f"execute_live_{name}"), block)
    assert error.message == f"this interface of {venue} runs in backtest mode; its live methods cannot be called"


def test_an_interface_of_its_own_takes_the_settings_of_its_venue_only():
    for kind, venue in ((CEXExecutionInterface, "binance"), (DEXExecutionInterface, "uniswap"), (OnChainExecutionInterface, "aave")):
        error = refused(kind, venue, {"withdrawal_days": 3}, Prices(), "backtest")
        assert (error.error_code, error.message.partition(": unknown key")[0]) == ("CFG-001", f"venues.{kind.kind}.{venue}.withdrawal_days")


@pytest.mark.parametrize("venue", ["binance", "wallet"])
def test_a_transfer_has_them_too_at_either_end(venue):
    interface = manager().venue_interfaces[venue]
    deltas = TRANSFER["estimated_deltas"]
    assert [interface.execute_transfer(TRANSFER), interface.execute_backtest_transfer(TRANSFER)] == [deltas, deltas]
    assert "its live methods cannot be called" in refused(interface.execute_live_transfer, TRANSFER).message


@pytest.mark.parametrize("name", METHODS)
def test_live_the_methods_of_a_backtest_cannot_be_called(name):
    kind, venue, block, _ = METHODS[name]
    own = kind(venue, {}, Prices(), "live")
    assert "its backtest methods cannot be called" in refused(getattr(own, f"execute_backtest_{name}"), block).message
    assert refused(getattr(own, f"execute_live_{name}"), block).error_code == "EIM-002"


def test_a_third_mode_is_refused():
    assert refused(manager, execution_mode="paper").message == "execution_mode must be backtest or live, got 'paper'"
