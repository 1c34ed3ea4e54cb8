"""On the wall clock an order may take its time, a plan may stop, and the process may end meanwhile: nothing is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import EventLogger
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.gateway import Due, Pending
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.core.order import HEDGE
from basis_strategy_v1.core.state import ExchangeAccount
from basis_strategy_v1.core.state_change import change_between
from basis_strategy_v1.engine import RunResult
from basis_strategy_v1.live.journal_reader import JournalReader
from basis_strategy_v1.live_engine import LiveEngine
from basis_strategy_v1.monitoring.logged_errors import errors_since

from .live_runs import Steps, engine_in, gateway_of, moves, shipped
from .test_paper_equals_backtest import LIMITS


@pytest.fixture
def config(repository: Path) -> dict[str, Any]:
    return shipped(repository, "eth_basis", end="2024-06-03")


def errors(result: RunResult) -> list[str]:
    return [line for line in result.paths["events.csv"].read_text().splitlines() if ",error," in line or "_failed" in line]


def run(engine: LiveEngine) -> RunResult:
    try:
        return engine.run()
    finally:
        engine.live.journal.close_file()


class Slow:
    """From now on what is sent to the venue is executed, and pending until `end` is called."""

    def __init__(self, engine: LiveEngine) -> None:
        self.gateway = gateway_of(engine)
        self.sends, self.finds = self.gateway.send, self.gateway.find
        self.gateway.send = self._sent  # type: ignore[method-assign,assignment]
        self.gateway.find = lambda message, reference=None: Pending("in the book")  # type: ignore[method-assign,assignment]

    def _sent(self, message: Any) -> Pending:
        self.sends(message)
        return Pending("in the book")

    def end(self) -> None:
        self.gateway.send, self.gateway.find = self.sends, self.finds  # type: ignore[method-assign]


def test_a_pending_order_holds_nothing_up_and_its_plan_goes_on_when_it_has_ended(
    config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    engine = engine_in(tmp_path, config, sample)
    slow = Slow(engine)
    seen: list[Any] = []
    Steps(engine, 4, {2: lambda: seen.append(engine.live.journal.open_entries()), 3: slow.end})
    result = run(engine)
    assert [entry.instruction.trade_type for entry in seen[0]] == ["spot"]
    assert (result.summary["instructions_routed"], result.summary["instructions_failed"]) == (2, 0)
    held = engine.manager.positions.positions["bybit"]  # type: ignore[union-attr]
    assert held["ETH"] > 1 and abs(held["ETH"] + held["ETHUSDT-PERP"]) < Decimal("0.1")
    assert (errors(result), engine.manager.get_routing_status()["status"]) == ([], "healthy")


def test_a_pending_order_is_counted_once_where_another_process_finds_its_end(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    engine = engine_in(tmp_path, config, sample)
    Slow(engine)
    Steps(engine, 2, {})
    assert run(engine).summary["instructions_routed"] == 0
    again = engine_in(tmp_path, config, sample)
    Steps(again, 2, {}, timedelta(hours=3))
    result = run(again)
    assert (result.summary["instructions_routed"], errors(result)) == (2, [])
    assert len([line for line in result.paths["events.csv"].read_text().splitlines() if ",execution," in line]) == 2


def test_a_pending_order_does_not_keep_the_next_process_from_its_guard_and_nothing_new_is_decided(
    config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    engine = engine_in(tmp_path, config, sample)
    Slow(engine)
    Steps(engine, 2, {})
    run(engine)
    again = engine_in(tmp_path, config, sample)
    slow = Slow(again)
    slept: list[float] = []
    again.live.recovery._timing = again.live.recovery._timing._replace(sleep=slept.append)
    guarded: list[Any] = []
    guard = again._guard
    again._guard = lambda at, market, **more: guarded.append(more.get("busy")) or guard(at, market, **more)  # type: ignore[method-assign]
    sent: list[int] = []
    Steps(again, 5, {2: lambda: sent.append(len(again.live.journal.plans_after(JournalMark()))), 3: slow.end}, timedelta(hours=3))
    result = run(again)
    assert 20 <= sum(slept) < 40
    assert (guarded[0], sent) == (["bybit"], [1])
    assert (result.summary["instructions_routed"], errors(result)) == (2, [])
    assert len([line for line in result.paths["events.csv"].read_text().splitlines() if ",execution," in line]) == 2


def test_a_pending_order_that_does_not_end_in_its_time_ends_the_run(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    engine = engine_in(tmp_path, config, sample)
    Slow(engine)
    steps = Steps(engine, 9, {})
    timing = engine.live.recovery._timing
    engine.live.recovery._timing = timing._replace(monotonic=lambda: to_instant(steps.clock.now()) / 1e6)
    with pytest.raises(ComponentError) as ended:
        run(engine)
    assert (ended.value.error_code, ended.value.severity, steps.hour) == ("JRN-006", "CRITICAL", 2)
    assert "bybit has it pending: in the book" in ended.value.message


# A plan that is stopped.


def refuses_once(engine: LiveEngine, what: str) -> None:
    """The venue refuses the first order of a kind."""
    gateway = gateway_of(engine)
    sends = gateway.send

    def sent(message: Any) -> Any:
        if what in message.body:
            gateway.send = sends  # type: ignore[method-assign]
            raise VenueRejected("CEX-001", "the account is restricted")
        return sends(message)

    gateway.send = sent  # type: ignore[method-assign]


def test_a_process_that_ends_between_a_stopped_plan_and_its_unwinding_leaves_no_leg_behind(
    config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    """Closing note: the next process took the leg that was left as what was meant."""
    config = {**config, "end": "2024-06-01T05:00:00Z"}
    whole = engine_in(tmp_path / "whole", config, sample)
    refuses_once(whole, "perp")
    expected = run(whole)

    def ends(point: str) -> None:
        if point == "after end_plan":
            raise KeyboardInterrupt

    engine = engine_in(tmp_path / "parts", config, sample, at=ends)
    refuses_once(engine, "perp")
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    result = run(engine_in(tmp_path / "parts", config, sample))
    for name in ("equity.csv", "positions.csv"):
        assert result.paths[name].read_bytes() == expected.paths[name].read_bytes()
    with JournalReader(tmp_path / "parts" / "state") as journal:
        plans = [(stored.plan.purpose, len(stored.plan.blocks)) for stored in journal.plans_after(JournalMark())]
    assert plans[:3] == [("decision", 2), ("decision", 0), (HEDGE, 1)], "its memory is taken back before it is unwound"


# The hedge guard.


def foreign_fill(engine: LiveEngine) -> None:
    """One ETH is bought at the venue by somebody else, and the venue reports it."""
    moves(engine, ETH=1)
    gateway = gateway_of(engine)
    given, at = gateway.due, engine.clock.now()
    changes = {"bybit": change_between(ExchangeAccount(), ExchangeAccount({"ETH": Decimal(1)}))}
    item = Due(id="foreign", venue="bybit", kind="foreign fill", at=at, deltas=Deltas.at("bybit", {"ETH": Decimal(1)}), changes=changes)

    def due(since: str | None) -> Any:
        items, cursor = given(since)
        return [*items, item], cursor

    gateway.due = due  # type: ignore[method-assign]


def hedged_at(folder: Path) -> list[str]:
    with JournalReader(folder / "state") as journal:
        return [f"{stored.plan.at:%H:%M}" for stored in journal.plans_after(JournalMark()) if stored.plan.purpose == HEDGE]


@pytest.mark.parametrize("ends_after", [None, 3, 4])
def test_what_is_unhedged_is_closed_at_its_time_also_by_another_process(
    ends_after: int | None, config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    """Closing note: the guard's clock began again with each process."""
    config["limits"] = {**LIMITS, "max_unhedged_notional": 1000, "max_unhedged_seconds": 3 * 3600}
    engine = engine_in(tmp_path, config, sample)
    hours = ends_after or 9
    steps = Steps(engine, hours, {2: lambda: foreign_fill(engine)})
    engine.is_halted = lambda: steps.hour > 1  # the strategy would even it out
    run(engine)
    if ends_after is not None:
        again = engine_in(tmp_path, config, sample)
        again.is_halted = lambda: True
        Steps(again, 5, {}, timedelta(hours=hours))
        run(again)
    assert hedged_at(tmp_path) == ["05:20"]


def test_what_becomes_unhedged_while_an_order_is_pending_is_closed_elsewhere_and_once(
    config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    config["limits"] = {**LIMITS, "max_unhedged_notional": 1000, "max_unhedged_seconds": 3600}
    config["venues"] = {"cex": ["bybit", "binance"]}
    config["initial_positions"] = {"bybit": {"USDT": 80_000}, "binance": {"USDT": 20_000}}
    engine = engine_in(tmp_path, config, sample)
    slow = Slow(engine)
    Steps(engine, 8, {2: lambda: foreign_fill(engine), 6: slow.end})
    engine.is_halted = lambda: engine.live.journal.newest_plan() is not None  # only the plan that waits
    result = run(engine)
    held = engine.manager.positions.positions  # type: ignore[union-attr]
    assert round(held["binance"]["ETHUSDT-PERP"], 1) == -1
    assert abs(held["bybit"]["ETH"] + held["bybit"]["ETHUSDT-PERP"] - 1) < Decimal("0.1")
    assert (result.summary["instructions_routed"], errors(result)) == (3, [])


# A plan that is refused.


@pytest.mark.parametrize("point", ["after event", "before record", "within record"])
def test_a_refused_plan_is_logged_once_also_where_the_process_ends_before_its_step_is_recorded(
    point: str, config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    """Closing note: its error was logged again by the next process."""
    config = {**config, "end": "2024-06-01T03:00:00Z", "limits": {**LIMITS, "max_notional_per_instruction": 10}}
    expected = run(engine_in(tmp_path / "whole", config, sample))
    passed = iter(range(100))

    def ends(name: str) -> None:
        if name == point and next(passed) == 1:
            raise KeyboardInterrupt

    engine = engine_in(tmp_path / "parts", config, sample, at=ends)
    logs = engine.event_logger.log_event

    def logged(*event: Any) -> None:
        logs(*event)
        ends("after event")

    engine.event_logger.log_event = logged  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    result = run(engine_in(tmp_path / "parts", config, sample))
    (first, *_) = errors(expected)
    assert "limits.max_notional_per_instruction is 10" in first

    def without_numbers(found: RunResult) -> list[list[str]]:
        return [line.split(",", 3)[:2] for line in errors(found)]

    assert without_numbers(result) == without_numbers(expected)
    assert result.summary["skipped"] == expected.summary["skipped"]
    assert result.summary["instructions_failed"] == expected.summary["instructions_failed"]


def test_an_error_that_is_there_twice_is_left_out_twice(tmp_path: Path) -> None:
    data = {"error_code": "EIM-001", "error_message": "no", "error_severity": "HIGH"}
    at = datetime(2024, 6, 1, tzinfo=UTC)
    with EventLogger(tmp_path, "live") as log:
        for hour, kind in ((0, "error"), (1, "error"), (1, "error"), (1, "instruction_routing_failed"), (1, "execution")):
            log.log_event(at.replace(hour=hour), kind, "Engine", data)
    known = errors_since(tmp_path, to_instant(at.replace(hour=1)))
    assert sorted((error.event_type, count) for error, count in known.items()) == [("error", 2), ("instruction_routing_failed", 1)]
    with EventLogger(tmp_path, "live") as log:
        log.leave_out(known)
        for message in ("no", "no", "no", "other"):
            log.log_event(at.replace(hour=1), "error", "Engine", {**data, "error_message": message})
    assert errors_since(tmp_path, 0).total() == 6
