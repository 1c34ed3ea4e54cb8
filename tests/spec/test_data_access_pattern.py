"""Data Access Pattern: by the shared clock, per instruction, never later than now, never cached across timestamps."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from basis_strategy_v1 import DataProvider
from basis_strategy_v1.core.clock import SimulatedClock

from ..world import refused
from .examples import LATER, NOON, TRADE, Prices, data_folder, manager


def test_data_are_never_cached_across_timestamps():
    prices = Prices()
    found = manager(prices)
    first = found.route_instruction(NOON, TRADE)
    prices.prices["ETH"] = 3400.0
    second = found.route_instruction(LATER, TRADE)
    assert (first["binance"]["USDT"], second["binance"]["USDT"], prices.asked) == (3300.0, 3400.0, [NOON, LATER])


def test_data_after_the_shared_clock_are_refused(tmp_path):
    found = manager(DataProvider(data_folder(tmp_path), clock=SimulatedClock(NOON)))
    assert found.route_instruction(NOON, TRADE) == TRADE["estimated_deltas"]
    assert refused(found.route_instruction, LATER, TRADE).error_code == "DAT-004"


def test_the_interfaces_are_reached_through_the_references():
    found = manager()
    assert found.cex_execution_interfaces.get("binance").execute_trade(TRADE) == TRADE["estimated_deltas"]


def test_a_timestamp_is_kept_as_given_in_any_zone():
    elsewhere = (NOON + timedelta(hours=2)).astimezone(ZoneInfo("Asia/Tokyo"))
    found = manager()
    found.route_instruction(elsewhere, TRADE)
    assert found.last_routing_timestamp is elsewhere


def test_a_naive_timestamp_is_refused():
    error = refused(manager().route_instruction, NOON.replace(tzinfo=None), TRADE)
    assert (error.error_code, "needs a time zone" in error.message) == ("EIM-001", True)
