"""What a manager remembers of the instructions it executed: counters, history, health, and the event log."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.deltas import floats_of
from basis_strategy_v1.core.error_codes.error_code_registry import error_data
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.execution.routing_events import RoutingEvents, UpdateData, block_of, execution_events, settlement_data
from basis_strategy_v1.monitoring.health import ComponentHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.execution.routing_events import Event
    from basis_strategy_v1.monitoring.event_logger import EventLogger
    from basis_strategy_v1.monitoring.health import UnifiedHealthManager

HISTORY = 10_000
LONGEST_KIND = 60
# What the details of a report name, where the instruction succeeded only after some trouble.
DEGRADED = frozenset({"attempts", "looked_up", "malformed"})


def _machine_time() -> datetime:
    return SystemClock().now()


class RoutingRecord:
    """Counts, remembers and logs. Exact when several threads route.

    `measured_s` is live a clock for differences; None in a backtest, so that two runs write the same.
    """

    def __init__(
        self,
        event_logger: EventLogger | None = None,
        health_manager: UnifiedHealthManager | None = None,
        now: Callable[[], datetime] = _machine_time,
        *,
        history: int = HISTORY,
        measured_s: Callable[[], float] | None = None,
        retries: bool = False,
    ) -> None:
        self.events = RoutingEvents(event_logger, live=measured_s is not None)
        self.is_logged = event_logger is not None
        self.current_instruction: Any = None
        self.instructions_routed = 0
        self.instructions_failed = 0
        self.last_routing_timestamp: datetime | None = None
        self.history: deque[tuple[datetime, Any, bytes | BaseException]] = deque(maxlen=history)  # at, type, packed deltas or error
        self.measured_s = measured_s
        self._health_manager = health_manager
        self._health = ComponentHealth()
        self._counted = 0  # of the instructions executed, how many the health account knows
        self._counting = Lock()
        self._now = now
        self._retries = retries

    def executed(
        self, at: datetime, block: Mapping[str, Any], report: ExecutionReport, logged: ExecutionReport, packed: bytes, trigger: str | None,
        started_s: float,
    ) -> None:  # fmt: skip
        """Count an instruction that was executed, and log it. `logged` is what this call executed: the rest of a resumed sequence."""
        self.instructions_routed += 1
        kind = block["instruction_type"]
        self.history.append((at, kind, packed))
        if self.measured_s is not None:
            had_trouble = not DEGRADED.isdisjoint(report.details)
            self._health.record(True, (self.measured_s() - started_s) * 1000, None, had_trouble, at)
        if self.is_logged:
            events = execution_events(logged, block, packed if logged is report else None)
            if trigger is not None:
                took_ms = 0.0 if self.measured_s is None else (self.measured_s() - started_s) * 1000
                update = UpdateData(trigger, self.instructions_routed, self.instructions_failed, kind, took_ms)
                events.append(("state_update", update))
            self.events.log(at, events)

    def repeated(self, at: datetime, block: Mapping[str, Any], report: ExecutionReport, trigger: str | None, started_s: float) -> None:
        """Log a repetition, and the update that asked for it."""
        if self.is_logged:
            events = execution_events(report, block)
            if trigger is not None:
                events.append(self._update(trigger, block["instruction_type"], started_s))
            self.events.log(at, events)

    def failed(self, timestamp: Any, block: Any, failure: ComponentError, trigger: str | None, started_s: float) -> None:
        """Count and log an instruction that was refused, or failed; its `reports` are of what of it was executed."""
        at = timestamp if _is_aware(timestamp) else self._now()
        kind = kind_of(block, "unknown")
        self.instructions_failed += 1
        self.history.append((at, kind, failure))
        retried = isinstance(failure, VenueUnreachable) and self._retries
        self.health.record(False, 0.0, error=failure, retried=retried, timestamp=at)
        if self.is_logged:
            for done in failure.reports:
                self.events.log(at, execution_events(done, block))
        if failure.severity == "CRITICAL" and self._health_manager is not None:
            self._health_manager.report_critical(failure)
        self.events.log_failure(at, kind, failure)
        if trigger is not None:
            self.log_update(at, trigger, kind_of(block, None), started_s)

    def is_known(self, key: str) -> None:
        """What became of an instruction that was CRITICAL is known by now: health recovers."""
        self._health.resolve(key)
        if self._health_manager is not None:
            self._health_manager.resolve(key)

    def recovered(self, report: ExecutionReport, instruction: Instruction, block: Mapping[str, Any] | None) -> None:
        """Log an execution that an earlier process did not log; `block` is what it was asked for by, where that is known."""
        if self.is_logged:
            self.events.log(report.at, execution_events(report, block_of(instruction) if block is None else block))

    def log_update(self, at: datetime, trigger: str, kind: Any, started_s: float) -> None:
        """Log an update of the manager."""
        if self.is_logged:
            self.events.log(at, [self._update(trigger, kind, started_s)])

    def log_settlements(self, reports: Iterable[ExecutionReport]) -> None:
        """Log what fell due."""
        if self.is_logged:
            for report in reports:
                self.events.log(report.at, [("settlement", settlement_data(report))])

    def log_error(self, at: datetime, error: ComponentError) -> None:
        """Log an error that belongs to no instruction."""
        if self.is_logged:
            self.events.log(at, [("error", error_data(error.error_code, error.message))])

    def _update(self, trigger_source: str, kind: Any, started_s: float) -> Event:
        took_ms = (self.measured_s() - started_s) * 1000 if self.measured_s else 0.0
        return "state_update", UpdateData(trigger_source, self.instructions_routed, self.instructions_failed, kind, took_ms)

    @property
    def routing_history(self) -> list[dict[str, Any]]:
        """The last instructions, oldest first: timestamp, instruction_type, success, and deltas or error."""
        return [_history_row(*row) for row in self.history.copy()]

    @property
    def health(self) -> ComponentHealth:
        """The account of all updates. What went well in a backtest is counted in when somebody looks."""
        with self._counting:
            uncounted = self.instructions_routed - self._counted
            if uncounted and self.measured_s is None:
                self._counted += uncounted
                self._health.record_unmeasured(uncounted, self.last_routing_timestamp)
        return self._health


def _history_row(timestamp: datetime, kind: Any, outcome: bytes | BaseException) -> dict[str, Any]:
    row: dict[str, Any] = {"timestamp": timestamp, "instruction_type": kind, "success": isinstance(outcome, bytes)}
    if isinstance(outcome, bytes):
        row["deltas"] = floats_of(outcome)
    else:
        row["error"] = str(outcome)
    return row


def kind_of(block: Any, otherwise: Any) -> Any:
    """The instruction_type of a block; of one that is none, as much as a message shows."""
    if not isinstance(block, dict) or "instruction_type" not in block:
        return otherwise
    given = block["instruction_type"]
    return given if type(given) is str and len(given) <= LONGEST_KIND and given.isprintable() else shown(given)


def _is_aware(timestamp: Any) -> bool:
    return isinstance(timestamp, datetime) and timestamp.utcoffset() is not None
