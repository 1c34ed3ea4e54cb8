"""Routes each instruction to its venue's interface and gives back what moved."""

from __future__ import annotations

import decimal
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.config import Config, Environment, load_config
from basis_strategy_v1.core.amounts import EXACT, plain, shown
from basis_strategy_v1.core.clock import SystemClock, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import CexTrade, Chain, parse_instruction
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.desk import Desk
from basis_strategy_v1.execution.execution_interfaces import BACKTEST, LIVE, Context, require_mode
from basis_strategy_v1.execution.interface_registry import InterfaceRegistry
from basis_strategy_v1.execution.preflight import Preflight, Problem
from basis_strategy_v1.execution.routing_events import COMPONENT, RoutingEvents, UpdateData, execution_data, settlement_data, unbooked_data
from basis_strategy_v1.execution.steps import located
from basis_strategy_v1.execution.timing import REAL_TIME, Timing
from basis_strategy_v1.monitoring.health import ComponentHealth
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.chain import with_output
from basis_strategy_v1.venues.venue import CEX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.execution_interfaces import (
        CEXExecutionInterface,
        DEXExecutionInterface,
        ExecutionInterface,
        OnChainExecutionInterface,
    )
    from basis_strategy_v1.execution.gateway import Gateway
    from basis_strategy_v1.execution.preflight import Fault, Foreseen
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
        self._events = RoutingEvents(event_logger, live=self.execution_mode == LIVE)
        self.clock = clock or getattr(data_provider, "clock", None) or SystemClock()
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
        self._history: deque[tuple[datetime, Any, Deltas | BaseException]] = deque(maxlen=history)
        self._done: dict[str, ExecutionReport] = {}
        self._parts_done: dict[str, list[ExecutionReport]] = {}
        self._lock = self.desk.lock
        self.health = ComponentHealth()
        if health_manager is not None:
            health_manager.register_component(component_name=COMPONENT, checker=self._health_check)
        self._log_initialization()

    # Setting up.

    def _initialize_interfaces(self, clock: Clock | None, gateways: Mapping[str, Gateway]) -> None:
        # A venue knows a live instruction by its key for ever, so that the keys of one run must not be those of the next.
        run = f"{to_instant(self.clock.now()):x}-" if self.execution_mode == LIVE else ""
        self._registry = InterfaceRegistry(
            self.settings,
            self.execution_mode,
            lambda venues: Desk(venues, self.data_provider, self.positions, clock, run),
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
        self._events.tell(started or self.clock.now(), "component_initialization", COMPONENT, data)

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
        measured = self._measured_s
        started_s = measured() if measured else 0.0
        try:
            return {} if instruction_block is None else self.route_instruction(timestamp, instruction_block)
        finally:
            if self.event_logger is not None:
                took_ms = (measured() - started_s) * 1000 if measured else 0.0
                self._tell_update(timestamp, trigger_source, instruction_block, took_ms)

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
            outside = decimal.getcontext()
            if outside is not EXACT:
                decimal.setcontext(EXACT)
            try:
                report = self._execute(timestamp, block, foreseen)
            except ComponentError as error:
                self._note_failure(timestamp, block, error)
                raise
            except Exception as error:
                failure = _foreign(error)
                self._note_failure(timestamp, block, failure)
                raise failure from error
            finally:
                if outside is not EXACT:
                    decimal.setcontext(outside)
            if self.event_logger is not None:
                self._tell_execution(timestamp, report, block)
            return report

    def _execute(self, timestamp: datetime, block: dict[str, Any], foreseen: Foreseen | None) -> ExecutionReport:
        self.current_instruction = block
        measured = self._measured_s
        started_s = measured() if measured else 0.0
        if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
            _require_aware(timestamp)
        instruction = parse_instruction(block) if foreseen is None else foreseen.instruction
        name = instruction.instruction_id
        if name is not None and name in self._done:
            return self._replay(self._done[name])
        self._events.require_written()
        self.last_routing_timestamp = timestamp
        if type(instruction) is Chain and not instruction.atomic:
            report = self._route_sequence(timestamp, instruction)
        else:
            report, after = self._one(timestamp, instruction, name, foreseen)
            self.desk.commit(after, report.deltas)
        self.instructions_routed += 1
        self._history.append((timestamp, block["instruction_type"], report.deltas))
        if name is not None:
            self._done[name] = report
        retried = not SHAKY.isdisjoint(report.details)
        self.health.record(True, (measured() - started_s) * 1000 if measured else 0.0, None, retried, timestamp)
        return report

    def _replay(self, first: ExecutionReport) -> ExecutionReport:
        self.desk.expect(first.deltas)
        return structs.replace(first, replayed=True)

    def _one(
        self, timestamp: datetime, instruction: Instruction, key: str | None, foreseen: Foreseen | None = None
    ) -> tuple[ExecutionReport, State]:
        interface, desk = self._registry.interface_of(instruction), self.desk
        market = desk.market(timestamp)
        if interface.kind != CEX:
            self.log_settlements(desk.settle_growth(market))
        context = Context(timestamp, key or desk.next_key(market.instant), desk.state(market), market)
        known = foreseen.moved if foreseen is not None and foreseen.holds(context) else None
        try:
            return interface.execute(instruction, context, known)
        except VenueRejected as refused:
            raise VenueRejected("EIM-001", refused.message, COMPONENT, original_exception=refused) from refused

    def _route_sequence(self, timestamp: datetime, chain: Chain) -> ExecutionReport:
        """One step after another, each a transaction of its own; what happened before a failure stays.

        Under an `instruction_id` a repetition begins with the step that failed, and its report is that of the whole chain.
        """
        name = chain.instruction_id
        done = self._parts_done.setdefault(name, []) if name is not None else []
        known = len(done)
        for index, step in enumerate(chain.steps[known:], known):
            key = None if name is None else f"{name}-{index}"
            try:
                resolved = with_output(step, [report.deltas for report in done])
                report, after = self._one(timestamp, resolved, key)
            except Exception as raised:
                error = raised if isinstance(raised, ComponentError) else _foreign(raised)
                moved = _total(done[known:])
                self.desk.expect(moved)
                message = located(index, step, error.message)
                code = "EIM-001" if isinstance(error, VenueRejected) else error.error_code
                raise type(error)(code, message, error.component, error.severity, error, moved.as_floats()) from raised
            self.desk.assign(after)
            done.append(report)
        self.desk.expect(_total(done[known:]))
        return _joined(name or done[0].key, timestamp, done)

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
        """What falls due by time up to `until` (funding, interest, arrivals, liquidation), each at its own instant."""
        with self._lock, decimal.localcontext(EXACT):
            reports = self.desk.settle(until)
            for report in reports:
                self.desk.expect(report.deltas)
            self.log_settlements(reports)
            return reports

    def log_settlements(self, reports: Iterable[ExecutionReport]) -> None:
        """Log what fell due."""
        if self.event_logger is not None:
            for report in reports:
                self._events.tell(report.at, "settlement", COMPONENT, settlement_data(report))

    def preflight(self, timestamp: datetime, blocks: Sequence[Any]) -> list[Problem]:
        """All problems of all steps of all blocks, each checked on the state that those before it would leave.

        A step that would fail counts as not there for those after it; a block that was executed already would be replayed
        and has no problem. Nothing is sent, counted, logged or changed.

        Raises:
            ComponentError: EIM-001, no timestamp or no list of blocks; DAT-…, no data at all at that time.
        """
        return self.plan(timestamp, blocks)[0]

    def plan(self, timestamp: datetime, blocks: Sequence[Any]) -> tuple[list[Problem], list[Foreseen | None]]:
        """The problems of `preflight`, and what each block that has none would do, for `execute`."""
        if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
            _require_aware(timestamp)
        if type(blocks) is not list and (isinstance(blocks, Mapping | str | bytes) or not isinstance(blocks, Sequence)):
            raise ComponentError("EIM-001", f"a plan must be a list of instruction blocks, got {shown(blocks)}", COMPONENT)
        with self._lock:
            outside = decimal.getcontext()
            decimal.setcontext(EXACT)
            try:
                return self._plan(timestamp, blocks)
            finally:
                decimal.setcontext(outside)

    def _plan(self, timestamp: datetime, blocks: Sequence[Any]) -> tuple[list[Problem], list[Foreseen | None]]:
        market, state = self.desk.look(timestamp)
        chaining = self.settings.enable_atomic_chaining
        flight = Preflight(timestamp, market, state, self.desk.venues, self._registry.interface_of, chaining=chaining)
        problems: list[Problem] = []
        foreseen: list[Foreseen | None] = []
        known: set[str] = set()
        for index, block in enumerate(blocks):
            if faults := self._faults(flight, block, known):
                problems += [Problem(index, *fault) for fault in faults]
            elif len(blocks) > 1 and (fault := _unfilled(flight.foreseen)):
                problems.append(Problem(index, "EIM-001", fault))
            foreseen.append(flight.foreseen)
        return problems, foreseen

    def _faults(self, flight: Preflight, block: Any, known: set[str]) -> list[Fault]:
        """The faults of one block of a plan; `known` are the ids of those before it."""
        flight.foreseen = None
        try:
            instruction = parse_instruction(block)
        except ComponentError as error:
            return [(error.error_code, error.message)]
        name = instruction.instruction_id
        if name is not None and (name in known or name in self._done):
            return []
        found = flight.faults(instruction)
        if name is not None and not found:
            known.add(name)
        return found

    # What others may ask.

    @property
    def routing_history(self) -> list[dict[str, Any]]:
        """The last instructions, oldest first: timestamp, instruction_type, success, and deltas or error."""
        return [_history_row(*row) for row in self._history.copy()]

    def gas_is_free(self) -> bool:
        """Whether transactions cost nothing here, or there are none."""
        wallet = self.desk.venues.get(WALLET)
        return wallet is None or bool(wallet.is_free())

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

    def _health_check(self) -> dict[str, Any]:
        found = self.health.check()
        found["metrics"].update(
            instructions_routed=self.instructions_routed,
            instructions_failed=self.instructions_failed,
            venue_interfaces_available=len(self.venue_interfaces),
        )
        return found

    # What is counted and told of each.

    def _tell_execution(self, timestamp: datetime, report: ExecutionReport, block: dict[str, Any]) -> None:
        if report.replayed:
            data = {"key": report.key, "first_executed": report.at, "deltas": report.deltas.as_texts()}
            self._events.tell(timestamp, "replayed", COMPONENT, data)
            return
        if "malformed" in report.details:
            self._events.tell(timestamp, "execution_delta_aggregation_failed", COMPONENT, unbooked_data(report))
        self._events.tell(timestamp, "execution", COMPONENT, execution_data(report, block))

    def _note_failure(self, timestamp: Any, block: Any, failure: ComponentError) -> None:
        at = timestamp if _is_aware(timestamp) else self.desk.now()
        kind = block.get("instruction_type", "unknown") if isinstance(block, dict) else "unknown"
        self.instructions_failed += 1
        self._history.append((at, kind, failure))
        retried = isinstance(failure, VenueUnreachable) and self.settings.max_retry_attempts > 1
        self.health.record(False, 0.0, error=failure, retried=retried, timestamp=at)
        if failure.severity == "CRITICAL" and self.health_manager is not None:
            self.health_manager.report_critical(failure)
        self._events.tell_failure(at, kind, failure)

    def _tell_update(self, timestamp: datetime, trigger_source: str, block: Any, took_ms: float) -> None:
        kind = block.get("instruction_type") if isinstance(block, dict) else None
        data = UpdateData(trigger_source, self.instructions_routed, self.instructions_failed, kind, took_ms)
        self._events.tell(timestamp, "state_update", COMPONENT, data)


def _unfilled(foreseen: Foreseen | None) -> str | None:
    """Why a leg of a plan would fill nothing: the others would then be sent without it."""
    if foreseen is None or not isinstance(foreseen.instruction, CexTrade) or foreseen.moved.deltas:
        return None
    trade = foreseen.instruction
    limit, price = plain(foreseen.moved.details["limit"]), plain(foreseen.moved.details["price"])
    what = f"{trade.side} of {plain(trade.amount)} {trade.symbol} {trade.trade_type}"
    return f"{what} would fill nothing: its limit is {limit}, the price {price}"


def _total(reports: Sequence[ExecutionReport]) -> Deltas:
    return sum((report.deltas for report in reports), Deltas())


def _joined(key: str, timestamp: datetime, done: Sequence[ExecutionReport]) -> ExecutionReport:
    """Several transactions as one report."""
    return ExecutionReport(
        key=key,
        venue=done[0].venue,
        at=timestamp,
        kind="execution",
        deltas=_total(done),
        expected=sum((report.expected for report in done), Deltas()),
        costs=tuple(cost for report in done for cost in report.costs),
        reference=", ".join(dict.fromkeys(report.reference for report in done)),
        details={f"step_{index}": report.details for index, report in enumerate(done)},
    )


def _foreign(error: Exception) -> ComponentError:
    """What is raised for an error that is none of ours: a data provider's, for one."""
    failure = ComponentError("EIM-001", f"routing failed: {type(error).__name__}: {error}", COMPONENT, original_exception=error)
    failure.__cause__ = error
    return failure


def _history_row(timestamp: datetime, kind: Any, outcome: Deltas | BaseException) -> dict[str, Any]:
    row: dict[str, Any] = {"timestamp": timestamp, "instruction_type": kind, "success": isinstance(outcome, Deltas)}
    if isinstance(outcome, Deltas):
        row["deltas"] = outcome.as_floats()
    else:
        row["error"] = str(outcome)
    return row


def _require_aware(timestamp: Any) -> None:
    try:
        to_instant(timestamp)
    except ValueError as fault:
        raise ComponentError("EIM-001", str(fault), COMPONENT) from None


def _is_aware(timestamp: Any) -> bool:
    return isinstance(timestamp, datetime) and timestamp.utcoffset() is not None


__all__ = ["HISTORY", "TRIGGERS", "ExecutionInterfaceManager", "Problem"]
