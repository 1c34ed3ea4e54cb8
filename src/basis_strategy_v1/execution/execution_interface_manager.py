"""Routes each instruction to its venue's interface and gives back what moved."""

from __future__ import annotations

import decimal
import traceback
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.config import Config, Environment, load_config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SystemClock, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer, parse_instruction
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.desk import Desk
from basis_strategy_v1.execution.execution_interfaces import (
    BACKTEST,
    INTERFACES,
    LIVE,
    CEXExecutionInterface,
    Context,
    DEXExecutionInterface,
    ExecutionInterface,
    OnChainExecutionInterface,
)
from basis_strategy_v1.execution.live_execution import LiveExecution
from basis_strategy_v1.execution.timing import REAL_TIME, Timing
from basis_strategy_v1.monitoring.health import ComponentHealth
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues import make_venue
from basis_strategy_v1.venues.chain import with_output
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.execution.gateway import Gateway
    from basis_strategy_v1.monitoring.event_logger import EventLogger
    from basis_strategy_v1.monitoring.health import UnifiedHealthManager

COMPONENT = "ExecutionInterfaceManager"
TRIGGERS = ("execution_manager", "manual", "retry")
HISTORY = 10_000


class Problem(NamedTuple):
    """Why a step of a plan would be refused. `step` counts the blocks of the plan from 0."""

    step: int
    code: str
    message: str


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
        self.execution_mode = _mode(execution_mode or environment.execution_mode)
        self.environment = environment
        self.data_provider = data_provider
        self.event_logger = event_logger
        self.health_manager = health_manager
        self.clock = clock or getattr(data_provider, "clock", None) or SystemClock()
        self.positions = positions if isinstance(positions, PositionUpdateHandler) or positions is None else PositionUpdateHandler(positions)
        self._gateways: Mapping[str, Gateway] = gateways or {}
        self._timing = timing
        self._initialize_interfaces()
        self.current_instruction: dict[str, Any] | None = None
        self.instructions_routed = 0
        self.instructions_failed = 0
        self.last_routing_timestamp: datetime | None = None
        self._history: deque[tuple[datetime, Any, ExecutionReport | BaseException]] = deque(maxlen=history)
        self._done: dict[str, ExecutionReport] = {}
        self._lock = RLock()
        self.health = ComponentHealth()
        if health_manager is not None:
            health_manager.register_component(component_name=COMPONENT, checker=self._health_check)
        self._log_initialization()

    # Setting up.

    def _initialize_interfaces(self) -> None:
        venues = self.settings.venues
        configured = {CEX: dict(venues.cex), DEX: dict(venues.dex), ONCHAIN: dict(venues.onchain)}
        if configured[DEX] or configured[ONCHAIN]:
            configured[ONCHAIN].setdefault(WALLET, {})  # what protocols pay and take is in the wallet, named or not
        simulators = {name: make_venue(kind, name, row) for kind, rows in configured.items() for name, row in rows.items()}
        self.desk = Desk(simulators, self.data_provider, self.positions)
        self.cex_execution_interfaces: dict[str, CEXExecutionInterface] = self._interfaces(CEX, configured)
        self.dex_execution_interfaces: dict[str, DEXExecutionInterface] = self._interfaces(DEX, configured)
        self.onchain_execution_interfaces: dict[str, OnChainExecutionInterface] = self._interfaces(ONCHAIN, configured)
        self.venue_interfaces: dict[str, ExecutionInterface] = {
            **self.cex_execution_interfaces,
            **self.dex_execution_interfaces,
            **self.onchain_execution_interfaces,
        }

    def _interfaces(self, kind: str, configured: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            name: INTERFACES[kind](name, settings, self.data_provider, self.execution_mode, desk=self.desk, live=self._live(kind, name))
            for name, settings in configured[kind].items()
        }

    def _live(self, kind: str, name: str) -> LiveExecution | None:
        gateway = self._gateways.get(name) if self.execution_mode == LIVE else None
        return None if gateway is None else LiveExecution.configured(gateway, name, kind, self.settings, self._timing)

    def _log_initialization(self) -> None:
        data = {"execution_mode": self.execution_mode, "venue_interfaces": list(self.venue_interfaces), "config_hash": self.settings.hash}
        started = self.settings.start if self.execution_mode == BACKTEST else None
        self._log(started or self.clock.now(), "component_initialization", data)

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
            raise ComponentError("EIM-001", f"trigger_source must be {', '.join(TRIGGERS)}, got {trigger_source!r}", COMPONENT)
        if instruction_block is None:
            return {}
        try:
            return self.route_instruction(timestamp, instruction_block)
        finally:
            self._log_update(timestamp, trigger_source)

    def route_instruction(self, timestamp: datetime, instruction_block: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a block and give the net changes: venue -> token -> float, zeros left out."""
        return self.execute(timestamp, instruction_block).deltas.as_floats()

    def execute(self, timestamp: datetime, block: dict[str, Any]) -> ExecutionReport:
        """Execute a block and give its report, with the exact deltas, costs and the venue's reference.

        Raises:
            ComponentError: EIM-001, the block or the venue's answer says no (`original_exception` holds the venue's own
                error); EIM-002, the venue is not configured or not available; DAT-…, the data lack what is needed.
        """
        with self._lock:
            outside = decimal.getcontext()
            decimal.setcontext(EXACT)
            try:
                return self._execute(timestamp, block)
            except ComponentError as error:
                self._note_failure(timestamp, block, error)
                raise
            finally:
                decimal.setcontext(outside)

    def _execute(self, timestamp: datetime, block: dict[str, Any]) -> ExecutionReport:
        self.current_instruction = block
        self.last_routing_timestamp = timestamp
        _require_aware(timestamp)
        instruction = parse_instruction(block)
        if instruction.instruction_id in self._done:
            return self._replay(timestamp, self._done[instruction.instruction_id])
        report = self._route(timestamp, instruction)
        self.instructions_routed += 1
        self._history.append((timestamp, block["instruction_type"], report))
        if instruction.instruction_id is not None:
            self._done[instruction.instruction_id] = report
        self.health.record(True, 0.0, timestamp=timestamp)
        if self.event_logger is not None:
            self._log(timestamp, "execution", execution_event(report, block))
        return report

    def _route(self, timestamp: datetime, instruction: Instruction) -> ExecutionReport:
        if isinstance(instruction, Chain) and not instruction.atomic:
            return self._route_sequence(timestamp, instruction)
        interface = self._interface_of(instruction)
        market = self.desk.market(timestamp)
        if interface.kind != CEX:
            self.log_settlements(self.desk.settle_growth(market))
        key = instruction.instruction_id or self.desk.next_key(market.instant)
        try:
            report, after = interface.execute(instruction, Context(timestamp, key, self.desk.state(market), market))
        except VenueRejected as refused:
            raise VenueRejected("EIM-001", refused.message, COMPONENT, original_exception=refused) from refused
        self.desk.commit(after, report.deltas)
        return report

    def _route_sequence(self, timestamp: datetime, chain: Chain) -> ExecutionReport:
        """One step after another, each a transaction of its own; what happened before a failure stays."""
        done: list[ExecutionReport] = []
        for index, step in enumerate(chain.steps):
            try:
                done.append(self._route(timestamp, with_output(step, [report.deltas for report in done])))
            except ComponentError as error:
                moved = sum((report.deltas for report in done[1:]), done[0].deltas).as_floats() if done else {}
                message = f"step {index}: {error.message}"
                raise type(error)(error.error_code, message, error.component, error.severity, error, moved) from error
        first = done[0]
        deltas = sum((report.deltas for report in done[1:]), first.deltas)
        costs = tuple(cost for report in done for cost in report.costs)
        details = {f"step_{index}": report.details for index, report in enumerate(done)}
        key = chain.instruction_id or first.key
        return ExecutionReport(
            key=key, venue=first.venue, at=timestamp, kind="execution", deltas=deltas, expected=deltas, costs=costs, details=details
        )

    def _interface_of(self, instruction: Instruction) -> ExecutionInterface:
        if isinstance(instruction, CexTrade):
            return self._configured(self.cex_execution_interfaces, "cex", instruction.venue)
        if isinstance(instruction, WalletTransfer):
            return self._interface_of_transfer(instruction)
        steps = instruction.steps if isinstance(instruction, Chain) else (instruction,)
        if isinstance(instruction, Chain) and not self.settings.enable_atomic_chaining:
            raise ComponentError("EIM-001", "an atomic chain is refused: enable_atomic_chaining is false in the config", COMPONENT)
        found = [self._interface_of_action(step) for step in _flat(steps)]
        return found[0]

    def _interface_of_action(self, action: SmartContractAction) -> ExecutionInterface:
        kind, interfaces = ("dex", self.dex_execution_interfaces) if action.action == "swap" else ("onchain", self.onchain_execution_interfaces)
        if action.protocol in self.desk.venues and action.action not in (has := getattr(self.desk.venues[action.protocol], "actions", ())):
            raise ComponentError("EIM-001", f"{action.protocol} has {', '.join(has) or 'no actions'}; got {action.action}", COMPONENT)
        return self._configured(interfaces, kind, action.protocol)

    def _interface_of_transfer(self, transfer: WalletTransfer) -> ExecutionInterface:
        for name in (transfer.from_venue, transfer.to_venue):
            self._configured(self.venue_interfaces, "cex or venues.onchain", name)
        for name in (transfer.from_venue, transfer.to_venue):
            if name in self.cex_execution_interfaces:
                return self.cex_execution_interfaces[name]
        return self.onchain_execution_interfaces[WALLET]

    def _configured(self, interfaces: Mapping[str, ExecutionInterface], kind: str, name: str) -> ExecutionInterface:
        try:
            return interfaces[name]
        except KeyError:
            listed = ", ".join(interfaces) or "none"
            message = f"venue {name} is not configured; configured are {listed}: add it under venues.{kind}"
            raise ComponentError("EIM-002", message, COMPONENT) from None

    # The specification's own routes: dicts in, floats out, at the last routing's time.

    def _route_cex_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self.route_instruction(self._latest(), instruction)

    def _route_smart_contract_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self.route_instruction(self._latest(), instruction)

    def _route_wallet_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self.route_instruction(self._latest(), instruction)

    def _latest(self) -> datetime:
        return self.last_routing_timestamp or self.clock.now()

    # Time, and looking ahead of sending.

    def settle(self, until: datetime) -> list[ExecutionReport]:
        """What falls due by time up to `until` (funding, interest, arrivals, liquidation), each at its own instant."""
        with self._lock, decimal.localcontext(EXACT):
            reports = self.desk.settle(until)
            self.log_settlements(reports)
            return reports

    def log_settlements(self, reports: Iterable[ExecutionReport]) -> None:
        """Log what fell due."""
        if self.event_logger is not None:
            for report in reports:
                self._log(report.at, "settlement", settlement_event(report))

    def preflight(self, timestamp: datetime, blocks: Sequence[Any]) -> list[Problem]:
        """All problems of all blocks, each checked on the state that the ones before it would leave. Nothing is sent."""
        with self._lock, decimal.localcontext(EXACT):
            market = self.desk.market(timestamp)
            state = self.desk.state(market)
            problems: list[Problem] = []
            for index, block in enumerate(blocks):
                try:
                    instruction = parse_instruction(block)
                    context = Context(timestamp, "preflight", state, market)
                    state = self._interface_of(instruction).simulate(instruction, context).state
                except ComponentError as error:
                    problems.append(Problem(index, error.error_code, error.message))
            return problems

    # What others may ask.

    @property
    def routing_history(self) -> list[dict[str, Any]]:
        """The last instructions, oldest first: timestamp, instruction_type, success, and deltas or error."""
        return [_history_row(*row) for row in self._history]

    def gas_is_free(self) -> bool:
        """Whether transactions cost nothing here, or there are none."""
        wallet = self.desk.venues.get(WALLET)
        return wallet is None or bool(wallet.is_free())

    def get_routing_status(self) -> dict[str, Any]:
        """The specification's status: health, counters, mode, and the venues that there are."""
        with self._lock:
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
        with self._lock:
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

    # Events.

    def _replay(self, timestamp: datetime, first: ExecutionReport) -> ExecutionReport:
        self._log(timestamp, "replayed", {"key": first.key, "first_executed": first.at, "deltas": first.deltas.as_texts()})
        return first

    def _note_failure(self, timestamp: datetime, block: Any, error: ComponentError) -> None:
        self.instructions_failed += 1
        kind = block.get("instruction_type", "unknown") if isinstance(block, dict) else "unknown"
        self._history.append((timestamp, kind, error))
        self.health.record(False, 0.0, error=error, timestamp=timestamp)
        if self.event_logger is None or not _is_aware(timestamp):
            return
        data = {"error_code": error.error_code, "error_message": error.message, "error_severity": error.severity}
        trace = "".join(traceback.format_exception(error))
        self._log(timestamp, "error", {**data, "stack_trace": trace})
        special = {"EIM-002": "venue_interface_unavailable", "EIM-003": "execution_delta_aggregation_failed"}
        if not isinstance(error, MissingData):
            self._log(timestamp, special.get(error.error_code, "instruction_routing_failed"), {**data, "instruction_type": kind})

    def _log_update(self, timestamp: datetime, trigger_source: str) -> None:
        if self.event_logger is None or not _is_aware(timestamp):
            return
        block = self.current_instruction
        data = {
            "trigger_source": trigger_source,
            "instructions_routed": self.instructions_routed,
            "instructions_failed": self.instructions_failed,
            "current_instruction_type": block.get("instruction_type") if isinstance(block, dict) else None,
            "processing_time_ms": 0,
        }
        self._log(timestamp, "state_update", data)

    def _log(self, timestamp: datetime, event_type: str, data: dict[str, Any]) -> None:
        if self.event_logger is not None:
            self.event_logger.log_event(timestamp, event_type, COMPONENT, data)


def execution_event(report: ExecutionReport, block: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an `execution` event."""
    return {
        "key": report.key,
        "venue": report.venue,
        "instruction_type": block["instruction_type"],
        "action": block.get("side") or block.get("action") or ("transfer" if "to_venue" in block else "chain"),
        "deltas": report.deltas.as_texts(),
        "costs": _cost_rows(report),
        "reference": report.reference,
        "details": report.details,
    }


def settlement_event(report: ExecutionReport) -> dict[str, Any]:
    """The data of a `settlement` event."""
    return {
        "key": report.key,
        "kind": report.kind,
        "venue": report.venue,
        "deltas": report.deltas.as_texts(),
        "costs": _cost_rows(report),
        "details": report.details,
    }


def _cost_rows(report: ExecutionReport) -> list[dict[str, str]]:
    return [{"source": source, "token": token, "amount": format(amount, "f")} for source, token, amount in report.costs]


def _history_row(timestamp: datetime, kind: Any, outcome: ExecutionReport | BaseException) -> dict[str, Any]:
    row: dict[str, Any] = {"timestamp": timestamp, "instruction_type": kind, "success": isinstance(outcome, ExecutionReport)}
    if isinstance(outcome, ExecutionReport):
        row["deltas"] = outcome.deltas.as_floats()
    else:
        row["error"] = str(outcome)
    return row


def _flat(steps: Iterable[SmartContractAction]) -> list[SmartContractAction]:
    return [found for step in steps for found in (step, *_flat(step.steps))]


def _mode(name: str) -> str:
    if name not in (BACKTEST, LIVE):
        raise ComponentError("CFG-002", f"execution_mode must be backtest or live, got {name!r}", COMPONENT)
    return name


def _require_aware(timestamp: Any) -> None:
    try:
        to_instant(timestamp)
    except ValueError as fault:
        raise ComponentError("EIM-001", str(fault), COMPONENT) from None


def _is_aware(timestamp: Any) -> bool:
    return getattr(timestamp, "tzinfo", None) is not None
