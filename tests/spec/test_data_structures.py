"""Data Structures: the interface registry and the routing statistics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ..world import refused
from .examples import FREE, LATER, NOON, NOT_CONFIGURED, TRADE, manager


def test_the_registry_is_keyed_by_the_configured_names():
    found = manager(config={"venues": {"cex": {"binance_spot": FREE, "bybit_perp": FREE}}})
    assert list(found.interfaces) == ["binance_spot", "bybit_perp"]
    assert found.interfaces is found.venue_interfaces
    assert found.route_instruction(NOON, {**TRADE, "venue": "binance_spot"}) == {"binance_spot": {"ETH": -1.0, "USDT": 3300.0}}


def test_routing_count_counts_what_was_routed_and_what_failed():
    found = manager()
    found.route_instruction(NOON, TRADE)
    refused(found.route_instruction, NOON, NOT_CONFIGURED)
    assert found.routing_count == 2


def test_routing_count_is_exact_with_four_threads():
    found = manager()

    def route(index):
        if index % 4:
            found.route_instruction(NOON, TRADE)
        else:
            refused(found.route_instruction, NOON, NOT_CONFIGURED)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(route, range(1000)))
    assert (found.instructions_routed, found.instructions_failed, found.routing_count) == (750, 250, 1000)
    assert sum(row["success"] for row in found.routing_history) == 750


def test_last_routing_timestamp_is_the_last_ones():
    found = manager()
    found.route_instruction(NOON, TRADE)
    found.route_instruction(LATER, TRADE)
    assert found.last_routing_timestamp is LATER
