"""Core Methods: update_state, route_instruction and the three routes."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest

from basis_strategy_v1 import ExecutionInterfaceManager
from basis_strategy_v1.core.clock import SimulatedClock

from ..world import refused
from .examples import EXAMPLES, LATER, NOON, SUPPLY, TRADE, TRANSFER, Prices, manager

METHODS = ("update_state", "route_instruction", "_route_cex_trade", "_route_smart_contract_action", "_route_wallet_transfer")
ROUTES = {"_route_cex_trade": TRADE, "_route_smart_contract_action": SUPPLY, "_route_wallet_transfer": TRANSFER}


@pytest.mark.parametrize("trigger_source", ["execution_manager", "manual", "retry"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_update_state_routes_the_block_and_returns_its_deltas(trigger_source, name):
    found = manager()
    assert found.update_state(NOON, trigger_source, EXAMPLES[name]) == EXAMPLES[name]["estimated_deltas"]
    assert found.instructions_routed == 1


@pytest.mark.parametrize("trigger_source", ["execution_manager", "manual", "retry"])
def test_update_state_without_a_block_changes_nothing_and_gives_nothing(trigger_source):
    found = manager()
    found.route_instruction(NOON, TRADE)
    before = found.get_state_snapshot()
    assert (found.update_state(LATER, trigger_source), found.get_state_snapshot()) == ({}, before)


@pytest.mark.parametrize("trigger_source", ["strategy", "", None, 7, "MANUAL"])
def test_update_state_refuses_another_trigger_source(trigger_source):
    found = manager()
    error = refused(found.update_state, NOON, trigger_source, TRADE)
    assert (error.error_code, error.message) == (
        "EIM-001", f"trigger_source must be execution_manager, manual, retry, got {trigger_source!r}",
    )  # fmt: skip
    assert found.routing_count == 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_synchronous(method):
    assert not inspect.iscoroutinefunction(getattr(ExecutionInterfaceManager, method))


def test_deltas_are_plain_floats_by_venue_and_token_without_zeros():
    deltas = manager().route_instruction(NOON, TRADE)
    assert {type(deltas), type(deltas["binance"]), *map(type, deltas["binance"].values())} == {dict, float}
    there_and_back = [SUPPLY, {**SUPPLY, "action": "withdraw", "estimated_deltas": {}}]
    assert manager().route_instruction(NOON, {"instruction_type": "smart_contract_action", "sub_instructions": there_and_back}) == {}


@pytest.mark.parametrize("method", ROUTES)
def test_a_route_takes_its_own_type_called_directly(method):
    block = ROUTES[method]
    found = manager()
    untyped = {name: value for name, value in block.items() if name != "instruction_type"}
    assert [getattr(found, method)(block), getattr(found, method)(untyped)] == [block["estimated_deltas"]] * 2


@pytest.mark.parametrize("method", ROUTES)
def test_a_route_refuses_another_type(method):
    other = TRANSFER if method == "_route_cex_trade" else TRADE
    error = refused(getattr(manager(), method), other)
    kind = method.removeprefix("_route_")
    assert (error.error_code, error.message) == ("EIM-001", f"{method} takes a {kind}, got '{other['instruction_type']}'")
    assert refused(getattr(manager(), method), None).message == "an instruction block must be a dict, got None"


def test_a_route_called_directly_is_at_the_time_of_the_last_routing():
    prices = Prices()
    found = manager(prices)
    found.route_instruction(LATER, TRADE)
    found._route_cex_trade(TRADE)
    assert prices.asked == [LATER, LATER]


def test_a_route_called_directly_is_at_the_clocks_time_where_there_is_a_clock():
    prices, clock = Prices(), SimulatedClock(NOON)
    found = manager(prices, clock=clock)
    found._route_cex_trade(TRADE)
    clock.move_to(LATER)
    found._route_cex_trade(TRADE)
    found.route_instruction(LATER + timedelta(hours=1), TRADE)
    found._route_cex_trade(TRADE)
    assert prices.asked == [NOON, LATER, LATER + timedelta(hours=1), LATER + timedelta(hours=1)]
