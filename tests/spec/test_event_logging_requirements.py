"""Event Logging Requirements: a file of JSON lines for the component, each type of event, and a CSV at the end."""

from __future__ import annotations

import csv
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1 import load_config

from ..world import refused
from .examples import CONFIG, FILE, LATER, NOON, NOT_CONFIGURED, SUPPLY, TRADE, TRANSFER, UNKNOWN_TYPE, Logged
from .test_error_codes import executed_and_unreadable

COMMON = {"timestamp", "event_type", "component", "data", "sequence"}


def test_the_components_events_are_in_a_file_of_their_own(tmp_path):
    logged = Logged(tmp_path)
    logged.manager.route_instruction(NOON, TRADE)
    assert [path.name for path in (tmp_path / "events").iterdir()] == [FILE]
    assert [set(line) for line in logged.lines()] == [COMMON, COMMON]
    assert {line["component"] for line in logged.lines()} == {"ExecutionInterfaceManager"}


def test_events_are_numbered_without_gaps(tmp_path):
    logged = Logged(tmp_path)
    for block in (TRADE, SUPPLY, TRANSFER):
        logged.manager.update_state(NOON, "execution_manager", block)
    refused(logged.manager.route_instruction, NOON, UNKNOWN_TYPE)
    assert [line["sequence"] for line in logged.lines()] == list(range(1, 10))


def test_1_component_initialization(tmp_path):
    (first,) = Logged(tmp_path, config={"start": "2024-06-01"}).lines()
    venues = ["binance", "hyperliquid", "uniswap", "curve", "aave", "lido", "etherfi", "wallet"]
    assert (first["event_type"], first["timestamp"]) == ("component_initialization", "2024-06-01T00:00:00Z")
    assert {**first["data"], "config_hash": ""} == {"execution_mode": "backtest", "venue_interfaces": venues, "config_hash": ""}


def test_the_config_hash_is_a_sha256_that_is_the_same_in_every_process(tmp_path):
    (first,) = Logged(tmp_path).lines()
    assert first["data"]["config_hash"] == load_config(CONFIG).hash
    assert re.fullmatch(r"[0-9a-f]{64}", first["data"]["config_hash"])


@pytest.mark.parametrize("trigger_source", ["execution_manager", "manual", "retry"])
def test_2_a_state_update_for_every_call_of_update_state(tmp_path, trigger_source):
    logged = Logged(tmp_path)
    logged.manager.update_state(NOON, trigger_source, TRADE)
    logged.manager.update_state(NOON, trigger_source)
    updates = [event["data"] for event in logged.events() if event["event_type"] == "state_update"]
    common = {"trigger_source": trigger_source, "instructions_routed": 1, "instructions_failed": 0, "processing_time_ms": 0.0}
    assert updates == [{**common, "current_instruction_type": "cex_trade"}, {**common, "current_instruction_type": None}]


def test_2_a_state_update_for_one_that_failed(tmp_path):
    logged = Logged(tmp_path)
    refused(logged.manager.update_state, NOON, "manual", NOT_CONFIGURED)
    assert logged.types() == ["error", "venue_interface_unavailable", "state_update"]
    assert logged.events()[-1]["data"]["instructions_failed"] == 1


def test_3_error_events_have_code_message_stack_trace_and_severity(tmp_path):
    logged = Logged(tmp_path)
    error = refused(logged.manager.route_instruction, NOON, UNKNOWN_TYPE)
    data = logged.events()[0]["data"]
    trace = data.pop("stack_trace").splitlines()
    assert (trace[0], trace[1].startswith('  File "')) == ("Traceback (most recent call last):", True)
    assert trace[-1].endswith(f"EIM-001: {error.message}")
    assert data == {
        "error_code": "EIM-001", "error_message": error.message, "error_severity": "HIGH", "component": "ExecutionInterfaceManager",
    }  # fmt: skip


FAILURES = {
    "Instruction Routing Failed": ("backtest", UNKNOWN_TYPE, "instruction_routing_failed"),
    "Venue Interface Unavailable": ("backtest", NOT_CONFIGURED, "venue_interface_unavailable"),
    "Execution Delta Aggregation Failed": ("live", TRADE, "execution_delta_aggregation_failed"),
}


@pytest.mark.parametrize(("mode", "block", "event_type"), FAILURES.values(), ids=FAILURES)
def test_4_each_of_the_three_critical_events_is_logged(tmp_path, mode, block, event_type, live_run):
    logged = Logged(tmp_path, mode)
    if mode == "live":
        _, logged.manager = executed_and_unreadable(live_run, event_logger=logged.logger)
    begun = len(logged.lines())
    error = refused(logged.manager.route_instruction, NOON, block)
    raw = {"raw": "{'orderId': 71}"} if error.error_code == "EIM-003" else {}
    events = logged.lines()[begun:]
    assert [event["event_type"] for event in events] == ["error", event_type]
    assert events[1]["data"] == {
        "error_code": error.error_code, "error_message": error.message, "error_severity": error.severity,
        "instruction_type": block["instruction_type"], **raw,
    }  # fmt: skip


def exact(value):
    """The data with amounts written as text read as Decimals: trailing zeros say nothing."""
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    return Decimal(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) else value


def test_an_execution_logs_what_was_asked_and_what_came_of_it(tmp_path):
    logged = Logged(tmp_path)
    for block in ({**TRADE, "instruction_id": "a1"}, SUPPLY, TRANSFER):
        logged.manager.route_instruction(NOON, block)
    logged_data = [exact(event["data"]) for event in logged.events()]
    assert logged_data[0] == {
        "key": "a1", "venue": "binance", "instruction_type": "cex_trade", "action": "sell",
        "deltas": {"binance": {"ETH": -1, "USDT": 3300}}, "costs": [], "reference": "simulated",
        "details": {"filled": 1, "price": 3300}, "symbol": "ETHUSDT", "trade_type": "spot", "amount": 1.0,
    }  # fmt: skip
    assert [[data[name] for name in ("action", "token", "amount")] for data in logged_data[1:]] == [
        ["supply", "USDT", 1000.0], ["transfer", "USDT", 1000.0],
    ]  # fmt: skip
    assert (logged_data[1]["protocol"], logged_data[2]["to_venue"]) == ("aave", "wallet")


def test_a_repeated_instruction_is_logged_as_replayed(tmp_path):
    logged = Logged(tmp_path)
    for at in (NOON, LATER):
        logged.manager.route_instruction(at, {**TRADE, "instruction_id": "a1"})
    assert logged.types() == ["execution", "replayed"]
    replayed = logged.events()[1]
    assert (replayed["timestamp"], exact(replayed["data"])) == (
        "2024-06-01T13:00:00Z",
        {"key": "a1", "first_executed": "2024-06-01T12:00:00Z", "deltas": {"binance": {"ETH": -1, "USDT": 3300}}},
    )


def test_in_a_backtest_the_file_can_be_read_while_the_run_goes_on(tmp_path):
    logged = Logged(tmp_path)
    for index in range(50):
        logged.manager.route_instruction(NOON + timedelta(minutes=index), TRADE)
    logged.logger.flush()
    assert len((tmp_path / "events" / FILE).read_text().splitlines()) == 51


def test_live_an_event_is_in_the_file_before_the_call_returns(tmp_path):
    logged = Logged(tmp_path, "live")
    refused(logged.manager.route_instruction, NOON, UNKNOWN_TYPE)
    types = re.findall(r'"event_type":"(\w+)"', (tmp_path / "events" / FILE).read_text())
    assert types == ["component_initialization", "error", "instruction_routing_failed"]


def test_a_csv_of_all_events_is_written_on_demand(tmp_path):
    logged = Logged(tmp_path, config={"start": "2024-06-01"})
    logged.manager.route_instruction(NOON, TRADE)
    logged.logger.export_csv(tmp_path / "events.csv")
    with (tmp_path / "events.csv").open(newline="") as file:
        assert [row["event_type"] for row in csv.DictReader(file)] == ["component_initialization", "execution"]
