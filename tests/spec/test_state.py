"""State: what the manager remembers."""

from __future__ import annotations

from ..world import refused
from .examples import CONFIG, LATER, NOON, NOT_CONFIGURED, SUPPLY, TRADE, manager


def test_it_begins_empty():
    found = manager()
    assert (found.current_instruction, found.routing_history, found.instructions_routed, found.instructions_failed) == (None, [], 0, 0)


def test_current_instruction_is_the_last_block():
    found = manager()
    found.route_instruction(NOON, TRADE)
    found.route_instruction(NOON, SUPPLY)
    assert found.current_instruction is SUPPLY


def test_routing_history_shows_of_each_instruction_what_became_of_it():
    found = manager()
    found.route_instruction(NOON, TRADE)
    error = refused(found.route_instruction, LATER, NOT_CONFIGURED)
    assert found.routing_history == [
        {"timestamp": NOON, "instruction_type": "cex_trade", "success": True, "deltas": {"binance": {"ETH": -1.0, "USDT": 3300.0}}},
        {"timestamp": LATER, "instruction_type": "cex_trade", "success": False, "error": str(error)},
    ]


def test_instructions_routed_and_failed_are_counted():
    found = manager()
    for block in (TRADE, SUPPLY, TRADE):
        found.route_instruction(NOON, block)
    refused(found.route_instruction, NOON, NOT_CONFIGURED)
    assert (found.instructions_routed, found.instructions_failed) == (3, 1)


def test_venue_interfaces_holds_one_interface_for_each_configured_venue():
    configured = [name for kind in CONFIG["venues"].values() for name in kind]
    assert [(name, interface.venue) for name, interface in manager().venue_interfaces.items()] == [(name, name) for name in configured]
