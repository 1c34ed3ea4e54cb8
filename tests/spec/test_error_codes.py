"""Error Codes: EIM-001 to EIM-003, the structured error, propagation by severity, and health."""

from __future__ import annotations

from datetime import timedelta

import pytest

from basis_strategy_v1 import ComponentError, ErrorCodeRegistry, UnifiedHealthManager
from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY

from ..simulated_live_run import NONSENSE, REFUSED, Silent
from ..world import refused
from .examples import NOON, NOT_CONFIGURED, TRADE, UNKNOWN_TYPE, Prices, manager

SPECIFIED = {
    "EIM-001": ("HIGH", "Instruction routing failed"),
    "EIM-002": ("HIGH", "Venue interface unavailable"),
    "EIM-003": ("MEDIUM", "Execution delta aggregation failed"),
}


@pytest.mark.parametrize("code", SPECIFIED)
def test_each_code_is_registered_with_component_severity_message_and_resolution(code):
    entry = ErrorCodeRegistry().get(code)
    severity, message = SPECIFIED[code]
    assert entry[:4] == (code, "ExecutionInterfaceManager", severity, message)
    assert entry.resolution


def test_all_codes_of_the_component_have_the_prefix():
    own = {code for code, entry in REGISTRY.items() if entry.component == "ExecutionInterfaceManager"}
    assert own == {code for code in ErrorCodeRegistry().codes() if code.startswith("EIM-")} == set(SPECIFIED)


def test_the_error_is_raised_as_the_specification_writes_it():
    error = ComponentError(
        error_code="EIM-001", message="Instruction routing failed", component="ExecutionInterfaceManager", severity="HIGH"
    )
    assert (error.error_code, error.message, error.component, error.severity) == (
        "EIM-001", "Instruction routing failed", "ExecutionInterfaceManager", "HIGH",
    )  # fmt: skip


def test_eim_001_an_invalid_instruction_type():
    assert refused(manager().route_instruction, NOON, UNKNOWN_TYPE).error_code == "EIM-001"


def test_eim_002_a_venue_that_is_not_configured():
    assert refused(manager().route_instruction, NOON, NOT_CONFIGURED).error_code == "EIM-002"


def live(live_run, *faults, **parts):
    """A live manager whose binance meets these, in a time that only waiting moves; and that binance."""
    made = live_run(faults={"binance": faults}, **parts)
    return made, made.gateways["binance"], made.manager


def test_eim_003_an_answer_that_cannot_be_recorded_keeps_what_the_venue_said(live_run):
    _, found = executed_and_unreadable(live_run)
    error = refused(found.route_instruction, NOON, TRADE)
    assert (error.error_code, error.severity, error.original_exception.raw) == ("EIM-003", "MEDIUM", {"orderId": 71})


def executed_and_unreadable(live_run, **parts):
    """A binance that executes, and answers nonsense the first time; and the manager."""
    _, binance, found = live(live_run, **parts)

    def send(message, first=binance.send):
        first(message)
        raise NONSENSE

    binance.send = send
    return binance, found


def test_eim_003_never_drops_a_real_fill(live_run):
    binance, found = executed_and_unreadable(live_run)
    block = {**TRADE, "instruction_id": "a1"}
    refused(found.route_instruction, NOON, block)
    assert found.route_instruction(NOON, block) == TRADE["estimated_deltas"]
    assert (binance.executed, found.positions.positions["binance"]["ETH"]) == (["a1"], 99)


class Broken:
    def get_data(self, timestamp):
        raise KeyError("a fault of the provider")


def test_any_other_exception_becomes_a_structured_error_with_the_original():
    found = manager(Broken())
    error = refused(found.route_instruction, NOON, TRADE)
    assert (error.error_code, error.component, error.severity) == ("EIM-001", "ExecutionInterfaceManager", "HIGH")
    assert error.message == "routing failed: KeyError: 'a fault of the provider'"
    assert isinstance(error.original_exception, KeyError)
    assert error.__cause__ is error.original_exception
    assert found.instructions_failed == 1


def test_critical_goes_to_the_health_system_which_asks_for_a_restart(live_run):
    health = UnifiedHealthManager()
    _, _, found = live(live_run, Silent, health_manager=health)
    error = refused(found.route_instruction, NOON, TRADE)
    assert (error.severity, health.critical_errors, health.restart_required) == ("CRITICAL", (error,), True)


def test_high_is_retried_with_exponential_backoff_where_nothing_was_sent(live_run):
    made, binance, found = live(live_run, *[REFUSED] * 3)
    error = refused(found.route_instruction, NOON, TRADE)
    assert (error.severity, len(binance.calls), made.time.slept) == ("HIGH", 3, [0.1, 0.2])


def test_high_for_an_instruction_that_is_wrong_is_not_retried(live_run):
    made, binance, found = live(live_run)
    refused(found.route_instruction, NOON, {**TRADE, "amount": 0})
    assert (binance.calls, made.time.slept) == ([], [])


def test_medium_degrades_the_component(live_run):
    health = UnifiedHealthManager()
    _, found = executed_and_unreadable(live_run, health_manager=health)
    refused(found.route_instruction, NOON, TRADE)
    assert (health.status, health.restart_required) == ("degraded", False)


# Component health.


def test_the_manager_registers_its_check_when_it_is_made():
    health = UnifiedHealthManager()
    manager(health_manager=health)
    assert list(health.check_health()) == ["ExecutionInterfaceManager"]


def test_the_health_check_has_the_specified_shape():
    found = manager()
    found.route_instruction(NOON, TRADE)
    error = refused(found.route_instruction, NOON, UNKNOWN_TYPE)
    shown = {"timestamp": NOON, "error_code": "EIM-001", "error_message": error.message, "error_severity": "HIGH"}
    assert found._health_check() == {
        "status": "degraded",
        "last_update": NOON,
        "errors": [shown],
        "metrics": {
            "update_count": 2, "avg_processing_time_ms": 0.0, "error_rate": 0.5,
            "instructions_routed": 1, "instructions_failed": 1, "venue_interfaces_available": 8,
        },
    }  # fmt: skip


def test_only_the_last_ten_errors_are_shown():
    found = manager()
    for minute in range(12):
        refused(found.route_instruction, NOON + timedelta(minutes=minute), UNKNOWN_TYPE)
    assert [error["timestamp"].minute for error in found._health_check()["errors"]] == list(range(2, 12))


def test_healthy_is_no_error_in_the_last_hundred_updates():
    found = manager()
    refused(found.route_instruction, NOON, UNKNOWN_TYPE)
    for _ in range(99):
        found.route_instruction(NOON, TRADE)
    assert found.get_routing_status()["status"] == "degraded"
    found.route_instruction(NOON, TRADE)
    assert found.get_routing_status()["status"] == "healthy"


def test_degraded_is_a_retry_that_succeeded(live_run):
    _, _, found = live(live_run, REFUSED)
    found.route_instruction(NOON, TRADE)
    assert found.get_routing_status()["status"] == "degraded"


def test_unhealthy_is_a_retry_that_failed(live_run):
    _, _, found = live(live_run, *[REFUSED] * 3)
    refused(found.route_instruction, NOON, TRADE)
    assert found.get_routing_status()["status"] == "unhealthy"


def test_unhealthy_is_a_critical_error(live_run):
    _, _, found = live(live_run, Silent)
    refused(found.route_instruction, NOON, TRADE)
    assert found.get_routing_status()["status"] == "unhealthy"


def test_unhealthy_is_being_unable_to_process():
    found = manager(Prices(ETH=None))
    for _ in range(10):
        refused(found.route_instruction, NOON, TRADE)
    assert found.get_routing_status()["status"] == "unhealthy"
