"""Health by the specification's definitions."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.health import ComponentHealth, UnifiedHealthManager

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
MINOR = ComponentError("CEX-001", "balance too small")
CRITICAL = ComponentError("CEX-003", "perhaps sent", "CEXExecutionInterface")


def shown(code, message, severity, timestamp=NOON):
    return {"timestamp": timestamp, "error_code": code, "error_message": message, "error_severity": severity}


def answer(status="healthy", **metrics):
    return {"status": status, "last_update": NOON, "errors": [], "metrics": metrics}


# One component


def test_a_component_without_updates_is_healthy():
    assert ComponentHealth().check() == {
        "status": "healthy",
        "last_update": None,
        "errors": [],
        "metrics": {"update_count": 0, "avg_processing_time_ms": 0.0, "error_rate": 0.0},
    }


def test_the_account_counts_updates_times_and_errors_and_adds_the_components_own_figures():
    health = ComponentHealth(metrics=lambda: {"instructions_routed": 3})
    health.record(True, 1.0, timestamp=NOON - timedelta(hours=1))
    health.record(True, 2.0)
    health.record(True, 3.0)
    health.record(False, 6.0, MINOR, timestamp=NOON)
    assert health.check() == {
        "status": "degraded",
        "last_update": NOON,
        "errors": [shown("CEX-001", "balance too small", "MEDIUM")],
        "metrics": {"update_count": 4, "avg_processing_time_ms": 3.0, "error_rate": 0.25, "instructions_routed": 3},
    }


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ({"ok": True}, "healthy"),
        ({"ok": True, "processing_time_ms": 9.999}, "healthy"),
        ({"ok": True, "processing_time_ms": 10.0}, "degraded"),
        ({"ok": True, "retried": True}, "degraded"),
        ({"ok": False, "error": MINOR}, "degraded"),
        ({"ok": False}, "degraded"),
        ({"ok": False, "error": MINOR, "retried": True}, "unhealthy"),
        ({"ok": False, "error": CRITICAL}, "unhealthy"),
    ],
)
def test_the_definitions_of_the_specification(record, status):
    health = ComponentHealth(processing_threshold_ms=10.0)
    health.record(**record)
    assert health.check()["status"] == status


@pytest.mark.parametrize("trouble", [{"error": MINOR}, {"error": CRITICAL}, {"error": MINOR, "retried": True}])
def test_a_component_is_healthy_again_after_a_hundred_good_updates(trouble):
    health = ComponentHealth()
    health.record(False, **trouble)
    for _ in range(99):
        health.record(True)
    assert health.check()["status"] != "healthy"
    health.record(True)
    assert health.check()["status"] == "healthy"
    assert health.check()["metrics"]["error_rate"] == 1 / 101


def test_a_component_whose_last_ten_updates_all_failed_is_unable_to_process():
    health = ComponentHealth()
    seen = []
    for _ in range(10):
        health.record(False, error=MINOR)
        seen.append(health.check()["status"])
    assert seen == ["degraded"] * 9 + ["unhealthy"]
    health.record(True)
    assert health.check()["status"] == "degraded"


def test_the_last_ten_errors_are_shown_and_text_will_do_for_one():
    health = ComponentHealth()
    for number in range(12):
        health.record(False, error=f"no. {number}", timestamp=NOON)
    assert health.check()["errors"] == [shown(None, f"no. {number}", "MEDIUM") for number in range(2, 12)]


@pytest.mark.parametrize(("error", "message"), [(ValueError("bad"), "bad"), (None, "the update failed"), ("", "the update failed")])
def test_an_error_without_a_code_is_shown_with_what_it_says(error, message):
    health = ComponentHealth()
    health.record(False, error=error, timestamp=NOON)
    assert health.check()["errors"] == [shown(None, message, "MEDIUM")]


def test_four_threads_count_exactly():
    health = ComponentHealth()

    def work(thread):
        for number in range(5_000):
            health.record(number % 10 != 0, error=MINOR, retried=thread == 0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert health.check()["metrics"] | {"avg_processing_time_ms": 0.0} == {
        "update_count": 20_000,
        "avg_processing_time_ms": 0.0,
        "error_rate": 0.1,
    }


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([MINOR, CRITICAL])), max_size=250))
def test_the_status_follows_from_the_last_hundred_updates(updates):
    health = ComponentHealth()
    for ok, retried, error in updates:
        health.record(ok, error=error, retried=retried)
    recent = updates[-100:]
    failed = [(retried, error) for ok, retried, error in recent if not ok]
    hopeless = len(recent) >= 10 and not any(ok for ok, _, _ in recent[-10:])
    if hopeless or any(retried or error is CRITICAL for retried, error in failed):
        expected = "unhealthy"
    else:
        expected = "degraded" if failed or any(retried for _, retried, _ in recent) else "healthy"
    assert health.check()["status"] == expected


# All components


def test_every_registered_component_is_asked_and_the_worst_status_is_that_of_all():
    manager = UnifiedHealthManager()
    assert (manager.check_health(), manager.status) == ({}, "healthy")
    manager.register_component("A", lambda: answer(update_count=1))
    assert (manager.check_health(), manager.status) == ({"A": answer(update_count=1)}, "healthy")
    manager.register_component(component_name="B", checker=lambda: answer("degraded"))
    assert (manager.check_health(), manager.status) == ({"A": answer(update_count=1), "B": answer("degraded")}, "degraded")
    manager.register_component("C", lambda: answer("unhealthy"))
    assert manager.status == "unhealthy"


def test_a_component_built_again_takes_the_place_of_the_one_before_it():
    manager = UnifiedHealthManager()
    manager.register_component("A", lambda: answer("unhealthy"))
    manager.register_component("A", answer)
    assert manager.check_health() == {"A": answer()}


def test_a_checker_that_cannot_be_called_is_refused():
    with pytest.raises(ValueError, match="the checker of A must be callable, got 5"):
        UnifiedHealthManager().register_component("A", 5)


def test_a_checker_that_raises_makes_its_component_unhealthy_and_the_others_are_still_asked():
    def broken():
        raise RuntimeError("no connection")

    manager = UnifiedHealthManager(clock=SimulatedClock(NOON))
    manager.register_component("A", broken)
    manager.register_component("B", answer)
    message = "A: its health check raised RuntimeError: no connection"
    assert manager.check_health() == {
        "A": {"status": "unhealthy", "last_update": None, "errors": [shown("HLT-001", message, "MEDIUM")], "metrics": {}},
        "B": answer(),
    }


@pytest.mark.parametrize("given_answer", [None, "healthy", {}, {"status": "fine"}, {"status": ["healthy"]}])
def test_an_answer_that_is_none_counts_as_unhealthy(given_answer):
    manager = UnifiedHealthManager(clock=SimulatedClock(NOON))
    manager.register_component("A", lambda: given_answer)
    message = f"A: its health check must give a dict with status healthy, degraded, unhealthy, got {given_answer!r}"
    assert manager.check_health()["A"] == {
        "status": "unhealthy",
        "last_update": None,
        "errors": [shown("HLT-001", message, "MEDIUM")],
        "metrics": {},
    }


def test_what_an_answer_leaves_out_is_filled_in_and_ten_errors_are_kept():
    manager = UnifiedHealthManager()
    manager.register_component("A", lambda: {"status": "degraded", "errors": list(range(15))})
    manager.register_component("B", lambda: {"status": "healthy", "errors": None})
    assert manager.check_health() == {
        "A": {"status": "degraded", "last_update": None, "errors": list(range(5, 15)), "metrics": {}},
        "B": {"status": "healthy", "last_update": None, "errors": [], "metrics": {}},
    }


@pytest.mark.parametrize(
    ("status", "average_ms", "expected"),
    [("healthy", 9.9, "healthy"), ("healthy", 10.0, "degraded"), ("unhealthy", 10.0, "unhealthy")],
)
def test_a_slow_component_is_degraded_at_best(status, average_ms, expected):
    manager = UnifiedHealthManager(processing_threshold_ms=10.0)
    manager.register_component("A", lambda: answer(status, avg_processing_time_ms=average_ms))
    assert manager.check_health()["A"]["status"] == expected


def test_a_critical_error_makes_its_component_unhealthy_and_asks_for_a_restart():
    manager = UnifiedHealthManager(clock=SimulatedClock(NOON))
    manager.register_component("CEXExecutionInterface", answer)
    assert (manager.restart_required, manager.critical_errors) == (False, ())
    manager.report_critical(CRITICAL)
    manager.report_critical(MemoryError("out of memory"))
    assert (manager.restart_required, manager.status) == (True, "unhealthy")
    assert [str(error) for error in manager.critical_errors] == ["CEX-003: perhaps sent", "out of memory"]
    found = manager.check_health()
    assert found["CEXExecutionInterface"] == answer("unhealthy") | {
        "errors": [{"component": "CEXExecutionInterface", **shown("CEX-003", "perhaps sent", "CRITICAL")}]
    }
    assert found["unknown"]["status"] == "unhealthy"


def test_a_critical_error_is_logged_with_its_stack_trace(tmp_path):
    with EventLogger(tmp_path) as log:
        manager = UnifiedHealthManager(event_logger=log, clock=SimulatedClock(NOON))
        try:
            raise CRITICAL
        except ComponentError as error:
            manager.report_critical(error)
    line = json.loads((tmp_path / "events" / "unified_health_manager_events.jsonl").read_bytes())
    trace = line["data"].pop("stack_trace")
    assert line == {
        "timestamp": "2024-06-01T12:00:00Z",
        "event_type": "error",
        "component": "UnifiedHealthManager",
        "data": {
            "component": "CEXExecutionInterface",
            "error_code": "CEX-003",
            "error_message": "perhaps sent",
            "error_severity": "CRITICAL",
        },
        "sequence": 1,
    }
    assert trace.startswith("Traceback")
    assert trace.endswith("CEX-003: perhaps sent\n")


def test_a_critical_error_is_remembered_even_where_the_log_cannot_be_written(tmp_path, no_room):
    with EventLogger(tmp_path) as log, no_room():
        manager = UnifiedHealthManager(event_logger=log)
        manager.report_critical(CRITICAL)
    assert [error.error_code for error in manager.critical_errors] == ["CEX-003", "LOG-001"]
    assert list(manager.check_health()) == ["CEXExecutionInterface", "EventLogger"]


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def test_an_error_without_a_text_is_named_by_its_kind():
    def raises():
        raise Mute

    manager = UnifiedHealthManager()
    manager.register_component("A", raises)
    manager.register_component("B", lambda: {"status": Mute()})
    first, second = ([error["error_message"] for error in answer["errors"]] for answer in manager.check_health().values())
    assert first == ["A: its health check raised Mute: <Mute whose text raises RuntimeError>"]
    assert second[0].startswith(
        "B: its health check must give a dict with status healthy, degraded, unhealthy, got {'status': <Mute instance"
    )
