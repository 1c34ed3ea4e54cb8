"""Component References (Set at Init): stored once, used throughout, never handed over again."""

from __future__ import annotations

import inspect

import pytest

from basis_strategy_v1 import CEXExecutionInterface, DEXExecutionInterface, ExecutionInterfaceManager, OnChainExecutionInterface

from .examples import CONFIG, Prices, manager

KINDS = {
    "cex_execution_interfaces": (CEXExecutionInterface, ["binance", "hyperliquid"]),
    "dex_execution_interfaces": (DEXExecutionInterface, ["uniswap", "curve"]),
    "onchain_execution_interfaces": (OnChainExecutionInterface, ["aave", "lido", "etherfi", "wallet"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_interfaces_of_a_kind_are_keyed_by_venue(name):
    kind, venues = KINDS[name]
    found = getattr(manager(), name)
    assert {venue: type(interface) for venue, interface in found.items()} == dict.fromkeys(venues, kind)


def test_the_data_provider_the_config_and_the_mode_are_the_ones_given():
    prices = Prices()
    found = ExecutionInterfaceManager(CONFIG, prices, "backtest")
    assert found.data_provider is prices
    assert found.config is CONFIG
    assert found.execution_mode == "backtest"


def test_every_interface_has_its_own_settings_the_provider_and_the_mode():
    prices = Prices()
    for interface in manager(prices).venue_interfaces.values():
        assert interface.data_provider is prices
        assert interface.execution_mode == "backtest"
    assert manager().cex_execution_interfaces["binance"].config["slippage_bps"] == 0


@pytest.mark.parametrize(
    "method", ["update_state", "route_instruction", "_route_cex_trade", "_route_smart_contract_action", "_route_wallet_transfer"]
)
def test_no_method_takes_a_reference_as_a_parameter(method):
    given = set(inspect.signature(getattr(ExecutionInterfaceManager, method)).parameters)
    assert given.isdisjoint({"config", "data_provider", "execution_mode", "market_data", "prices", "interface"})
