"""Routes each instruction to its venue's interface and gives back what moved."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import getcontext, localcontext, setcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config import Config, Environment, load_config
from basis_strategy_v1.core.amounts import EXACT, shown
from basis_strategy_v1.core.clock import SystemClock, to_instant
from basis_strategy_v1.core.deltas import floats_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.execution.desk import Desk
from basis_strategy_v1.execution.execution_interfaces import BACKTEST, LIVE, require_mode
from basis_strategy_v1.execution.interface_registry import InterfaceRegistry
from basis_strategy_v1.execution.preflight import Preflight, Problem
from basis_strategy_v1.execution.router import Router, foreign
from basis_strategy_v1.execution.routing_events import COMPONENT, RoutingEvents, UpdateData, execution_events, settlement_data
from basis_strategy_v1.execution.timing import REAL_TIME, Timing
from basis_strategy_v1.monitoring.health import ComponentHealth
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.wallet import gas_is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.market import MissingData
    from basis_strategy_v1.execution.execution_interfaces import (
        CEXExecutionInterface,
        DEXExecutionInterface,
        ExecutionInterface,
        OnChainExecutionInterface,
    )
    from basis_strategy_v1.execution.gateway import Gateway
    from basis_strategy_v1.execution.preflight import Foreseen
    from basis_strategy_v1.execution.routing_events import Told
    from basis_strategy_v1.monitoring.event_logger import EventLogger
    from basis_strategy_v1.monitoring.health import UnifiedHealthManager

# What the details of a report name, where the instruction came through only after some trouble.
SHAKY = frozenset({"attempts", "looked_up", "malformed"})
TRIGGERS = ("execution_manager", "manual", "retry")
HISTORY = 10_000


class ExecutionInterfaceManager:
    """Routes cex_trade, smart_contract_action and wallet_transfer blocks.

    Args:
        config: a dict, or what load_config gives; at least strategy_mode, share_class, initial_capital and venues.
        data_provider: anything with `get_data(timestamp)`.
        execution_mode: backtest or live; None reads BASIS_EXECUTION_MODE.
        positions: what is held; with it, spending more than is held is rejected. A PositionUpdateHandler, or venue -> token -> amount.

    Raises:
        ComponentError: CFG-001 (all faults of the config), CFG-002 (environment).
    """

    def __init__(
        self,
        config: Any,
        data_provider: Any = None,
        execution_mode: str | None = None,
        *,
        positions: PositionUpdateHandler | Mapping[str, Mapping[str, Any]] | None = None,
        event_logger: EventLogger | None = None,
        health_manager: UnifiedHealthManager | None = None,
        clock: Clock | None = None,
        history: int = HISTORY,
        gateways: Mapping[str, Gateway] | None = None,
        timing: Timing = REAL_TIME,
    ) -> None:
        environment = Environment.read()
        self.config = config
        self.settings = config if isinstance(config, Config) else load_config(config)
        self.execution_mode = require_mode(execution_mode or environment.execution_mode)
        self.environment = environment
        self.data_provider = data_provider
        self.event_logger = event_logger
        self.health_manager = health_manager
        self.clock = clock or getattr(data_provider, "clock", None) or SystemClock()
        self._events = RoutingEvents(event_logger, live=self.execution_mode == LIVE)
        if positions is not None and not isinstance(positions, PositionUpdateHandler):
            positions = PositionUpdateHandler(positions)
        self.positions = positions
        self._timing = timing
        # Live a clock for differences; in a backtest none, so that two runs write the same.
        self._measured_s = timing.monotonic if self.execution_mode == LIVE else None
        self._initialize_interfaces(clock, gateways or {})
        self.current_instruction: dict[str, Any] | None = None
        self.instructions_routed = 0
        self.instructions_failed = 0
        self.last_routing_timestamp: datetime | None = None
        self._history: deque[tuple[datetime, Any, bytes | BaseException]] = deque(maxlen=history)  # at, type, packed deltas
        self._router = Router(self._registry, self._settled_by_the_way)
        self.on_settlements: Callable[[Sequence[ExecutionReport]], None] | None = None  # told of what `settle` is not asked for
        self._exact = EXACT.copy()  # in which all of it is computed; what is given us (data, gateways) runs in a copy of it
        self._by_the_way: list[ExecutionReport] = []
        self._lock = self.desk.lock
        self._health = ComponentHealth()
        self._counted = 0  # of the instructions routed, how many the health account knows
        self._counting = Lock()
        if health_manager is not None:
            health_manager.register_component(component_name=COMPONENT, checker=self._health_check)
        self._log_initialization()

    # Setting up.

    def _initialize_interfaces(self, clock: Clock | None, gateways: Mapping[str, Gateway]) -> None:
        # A venue knows a live instruction by its key for ever, so that the keys of one run must not be those of the next.
        is_live = self.execution_mode == LIVE
        run = f"{to_instant(self.clock.now()):x}-" if is_live else ""
        on_passed = None if is_live else self._settled_by_the_way
        self._registry = InterfaceRegistry(
            self.settings,
            self.execution_mode,
            lambda venues: Desk(venues, self.data_provider, self.positions, clock, run, on_passed),
            gateways,
            self._timing,
        )
        self.desk = self._registry.desk
        self.cex_execution_interfaces: dict[str, CEXExecutionInterface] = self._registry.cex
        self.dex_execution_interfaces: dict[str, DEXExecutionInterface] = self._registry.dex
        self.onchain_execution_interfaces: dict[str, OnChainExecutionInterface] = self._registry.onchain
        self.venue_interfaces: dict[str, ExecutionInterface] = self._registry.every

    def _log_initialization(self) -> None:
        data = {"execution_mode": self.execution_mode, "venue_interfaces": list(self.venue_interfaces), "config_hash": self.settings.hash}
        started = self.settings.start if self.execution_mode == BACKTEST else None
        self._events.tell(started or self.clock.now(), [("component_initialization", data)])

    @property
    def interfaces(self) -> dict[str, ExecutionInterface]:
        """The registry under the specification's second name."""
        return self.venue_interfaces

    @property
    def routing_count(self) -> int:
        """How many instructions were routed or refused."""
        return self.instructions_routed + self.instructions_failed

    # The specification's entrances.

    def update_state(
        self, timestamp: datetime, trigger_source: str, instruction_block: dict[str, Any] | None = None
    ) -> dict[str, dict[str, float]]:
        """Route a block, if there is one, and give the net changes: venue -> token -> float.

        Raises:
            ComponentError: EIM-001, an unknown trigger source or a block that cannot be routed; EIM-002, no such venue.
        """
        if trigger_source not in TRIGGERS:
            raise ComponentError("EIM-001", f"trigger_source must be {', '.join(TRIGGERS)}, got {shown(trigger_source)}", COMPONENT)
        if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:  # the quick way for nearly all of them
            _require_aware(timestamp)
        started_s = self._measured_s() if self._measured_s else 0.0
        if instruction_block is None:
            self._events.tell(timestamp, [self._updated(trigger_source, None, started_s)])
            return {}
        with self._lock:
            try:
                report, packed = self._run(timestamp, instruction_block, None)
            except BaseException:
                self._events.tell(timestamp, [self._updated(trigger_source, _kind_of(instruction_block, None), started_s)])
                raise
            if self.event_logger is not None:
                told = execution_events(report, instruction_block)
                told.append(self._updated(trigger_source, instruction_block["instruction_type"], started_s))
                self._events.tell(timestamp, told)
        return floats_of(packed)

    def route_instruction(self, timestamp: datetime, instruction_block: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a block and give the net changes: venue -> token -> float, zeros left out."""
        return self.execute(timestamp, instruction_block).deltas.as_floats()

    def execute(self, timestamp: datetime, block: dict[str, Any], foreseen: Foreseen | None = None) -> ExecutionReport:
        """Execute a block and give its report, with the exact deltas, costs and the venue's reference.

        `foreseen` is what `plan` gave for this block: what was simulated then is not simulated again.

        Raises:
            ComponentError: EIM-001, the block or the venue's answer says no (`original_exception` holds the venue's own
                error); EIM-002, the venue is not configured or not available; DAT-…, the data lack what is needed; LOG-001,
                live: nothing was sent, because what was done before could not be logged.
        """
        with self._lock:
            report, _ = self._run(timestamp, block, foreseen)
            if self.event_logger is not None:
                self._events.tell(timestamp, execution_events(report, block))
            return report

    def _run(self, timestamp: datetime, block: dict[str, Any], foreseen: Foreseen | None) -> tuple[ExecutionReport, bytes]:
        """Execute a block in the house's decimal context, and count it; its report, and its deltas packed."""
        outside = getcontext()
        setcontext(self._exact)
        self.current_instruction = block
        measured, router = self._measured_s, self._router
        started_s = measured() if measured else 0.0
        try:
            if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
                _require_aware(timestamp)
            instruction = parse_instruction(block) if foreseen is None else foreseen.instruction
            name = instruction.instruction_id
            if name is not None and router.is_done(name):
                report = router.replay(name)
                return report, report.deltas.packed()
            if measured:
                self._events.require_written()
            self.last_routing_timestamp = timestamp
            report, packed = router.route(timestamp, instruction, foreseen)
        except ComponentError as error:
            self._note_failure(timestamp, block, error)
            raise
        except Exception as error:
            failure = foreign(error)
            self._note_failure(timestamp, block, failure)
            raise failure from error
        finally:
            setcontext(outside)
        self.instructions_routed += 1
        self._history.append((timestamp, block["instruction_type"], packed))
        if measured:
            retried = not SHAKY.isdisjoint(report.details)
            self._health.record(True, (measured() - started_s) * 1000, None, retried, timestamp)
        return report, packed

    # The specification's own routes: dicts in, floats out, at the clock's or the last routing's time.

    def _route_cex_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._route_as("cex_trade", instruction)

    def _route_smart_contract_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._route_as("smart_contract_action", instruction)

    def _route_wallet_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._route_as("wallet_transfer", instruction)

    def _route_as(self, kind: str, block: dict[str, Any]) -> dict[str, dict[str, float]]:
        if isinstance(block, dict):
            block = {"instruction_type": kind, **block}
            if block["instruction_type"] != kind:
                raise ComponentError("EIM-001", f"_route_{kind} takes a {kind}, got {shown(block['instruction_type'])}", COMPONENT)
        return self.route_instruction(self.desk.now(), block)

    # Time, and looking ahead of sending.

    def settle(self, until: datetime) -> list[ExecutionReport]:
        """What falls due by time up to `until` (funding, interest, arrivals, claims, liquidation), each at its own instant.

        With it come the reports of what fell due before an instruction since the last call.
        """
        with self._lock, localcontext(self._exact):
            for reports in self.desk.passing(until):
                self._take_up(reports)
                self._by_the_way += reports
            found, self._by_the_way = self._by_the_way, []
            return found

    def _settled_by_the_way(self, reports: Sequence[ExecutionReport]) -> None:
        self._take_up(reports)
        if self.on_settlements is not None:
            self.on_settlements(reports)
        else:
            self._by_the_way += reports

    def _take_up(self, reports: Sequence[ExecutionReport]) -> None:
        for report in reports:
            self.desk.expect(report.key, report.deltas)
        self.log_settlements(reports)

    def log_settlements(self, reports: Iterable[ExecutionReport]) -> None:
        """Log what fell due."""
        if self.event_logger is not None:
            for report in reports:
                self._events.tell(report.at, [("settlement", settlement_data(report))])

    def preflight(self, timestamp: datetime, blocks: Sequence[Any]) -> list[Problem]:
        """All problems of all steps of all blocks, each checked on the state that those before it would leave.

        A step that would fail counts as not there for those after it; a block that was executed already would be replayed
        and has no problem. Nothing is sent, counted, logged or changed.

        Raises:
            ComponentError: EIM-001, no timestamp or no list of blocks; DAT-…, no data at all at that time.
        """
        return self.plan(timestamp, blocks)[0]

    def plan(self, timestamp: datetime, blocks: Sequence[Any]) -> tuple[list[Problem], list[Foreseen | None], MissingData | None]:
        """The problems of `preflight`, what each block that has none would do, for `execute`, and the first data that were missing."""
        if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
            _require_aware(timestamp)
        if type(blocks) is not list and (isinstance(blocks, Mapping | str | bytes) or not isinstance(blocks, Sequence)):
            raise ComponentError("EIM-001", f"a plan must be a list of instruction blocks, got {shown(blocks)}", COMPONENT)
        with self._lock:
            outside = getcontext()
            setcontext(self._exact)
            try:
                market, state = self.desk.look(timestamp)
                chaining = self.settings.enable_atomic_chaining
                flight = Preflight(timestamp, market, state, self.desk.venues, self._registry.interface_of, chaining=chaining)
                return *flight.plan(blocks, self._router.is_done), flight.missing
            finally:
                setcontext(outside)

    # What others may ask.

    @property
    def routing_history(self) -> list[dict[str, Any]]:
        """The last instructions, oldest first: timestamp, instruction_type, success, and deltas or error."""
        return [_history_row(*row) for row in self._history.copy()]

    def gas_is_free(self) -> bool:
        """Whether transactions cost nothing here, or there are none."""
        return gas_is_free(self.desk.venues)

    # These wait for no instruction that is on its way to a venue.

    def get_routing_status(self) -> dict[str, Any]:
        """The specification's status: health, counters, mode, and the venues that there are."""
        return {
            "status": self.health.check()["status"],
            "current_instruction": self.current_instruction,
            "instructions_routed": self.instructions_routed,
            "instructions_failed": self.instructions_failed,
            "execution_mode": self.execution_mode,
            "available_venues": {
                "cex": list(self.cex_execution_interfaces),
                "dex": list(self.dex_execution_interfaces),
                "onchain": list(self.onchain_execution_interfaces),
            },
        }

    def get_state_snapshot(self) -> dict[str, Any]:
        """The manager's state as plain values, for an event log."""
        return {
            "current_instruction": self.current_instruction,
            "instructions_routed": self.instructions_routed,
            "instructions_failed": self.instructions_failed,
            "routing_count": self.routing_count,
            "last_routing_timestamp": self.last_routing_timestamp,
            "venue_interfaces": list(self.venue_interfaces),
            "routing_history_length": len(self._history),
        }

    @property
    def health(self) -> ComponentHealth:
        """This manager's account of its updates. What went well in a backtest is counted in when somebody looks."""
        with self._counting:
            uncounted = self.instructions_routed - self._counted
            if uncounted and self._measured_s is None:
                self._counted += uncounted
                self._health.record_unmeasured(uncounted, self.last_routing_timestamp)
        return self._health

    def _health_check(self) -> dict[str, Any]:
        found = self.health.check()
        found["metrics"].update(
            instructions_routed=self.instructions_routed,
            instructions_failed=self.instructions_failed,
            venue_interfaces_available=len(self.venue_interfaces),
        )
        return found

    # What is counted and told of each.

    def _note_failure(self, timestamp: Any, block: Any, failure: ComponentError) -> None:
        at = timestamp if _is_aware(timestamp) else self.desk.now()
        kind = _kind_of(block, "unknown")
        self.instructions_failed += 1
        self._history.append((at, kind, failure))
        retried = isinstance(failure, VenueUnreachable) and self.settings.max_retry_attempts > 1
        self.health.record(False, 0.0, error=failure, retried=retried, timestamp=at)
        if failure.done is not None and self.event_logger is not None:
            self._events.tell(at, execution_events(failure.done, block))
        if failure.severity == "CRITICAL" and self.health_manager is not None:
            self.health_manager.report_critical(failure)
        self._events.tell_failure(at, kind, failure)

    def _updated(self, trigger_source: str, kind: Any, started_s: float) -> Told:
        took_ms = (self._measured_s() - started_s) * 1000 if self._measured_s else 0.0
        return "state_update", UpdateData(trigger_source, self.instructions_routed, self.instructions_failed, kind, took_ms)


def _history_row(timestamp: datetime, kind: Any, outcome: bytes | BaseException) -> dict[str, Any]:
    row: dict[str, Any] = {"timestamp": timestamp, "instruction_type": kind, "success": isinstance(outcome, bytes)}
    if isinstance(outcome, bytes):
        row["deltas"] = floats_of(outcome)
    else:
        row["error"] = str(outcome)
    return row


def _kind_of(block: Any, otherwise: Any) -> Any:
    """What a block says that it is, whatever was handed in."""
    return block.get("instruction_type", otherwise) if isinstance(block, dict) else otherwise


def _require_aware(timestamp: Any) -> None:
    try:
        to_instant(timestamp)
    except ValueError as fault:
        raise ComponentError("EIM-001", str(fault), COMPONENT) from None


def _is_aware(timestamp: Any) -> bool:
    return isinstance(timestamp, datetime) and timestamp.utcoffset() is not None


__all__ = ["HISTORY", "TRIGGERS", "ExecutionInterfaceManager", "Problem"]
