"""The events that the manager logs of each instruction."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Raw, Struct, structs

from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.error_code_registry import error_data
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer
from basis_strategy_v1.core.market import StaleSeries
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.event_memory import EventMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.monitoring.event_logger import AppendAll

    Data = Mapping[str, Any] | Struct
    Event = tuple[str, Data]  # the type of an event, and its data

    class Log(Protocol):
        def __call__(self, at: datetime, events: Sequence[Event]) -> None: ...


COMPONENT = "ExecutionInterfaceManager"
CRITICAL_EVENTS = {"EIM-002": "venue_interface_unavailable", "EIM-003": "execution_delta_aggregation_failed"}
UNWRITABLE = "LOG-001"


class RoutingEvents:
    """Writes the manager's events, one after another.

    In a backtest an event that cannot be written raises at once. Live it must not lose the report of what has been sent:
    the event is kept, `require_written` stops the next instruction until it is on the disk, and `once_written` waits for it.
    """

    def __init__(self, logger: EventLogger | None, *, live: bool) -> None:
        self._logger = logger
        # Writes the events of one time: (at, [(event_type, data)]).
        self.log: Log = _to_nobody if logger is None else self._log_live if live else self._log
        self._append: AppendAll = self._append_first
        self._unwritten: list[tuple[datetime, str, str, Data] | Callable[[], None]] = []
        self._lock = Lock()

    def _log(self, at: datetime, events: Sequence[Event]) -> None:
        if type(at) is not datetime or at.tzinfo is not UTC:
            at = from_instant(to_instant(at))
        try:
            self._append(at, COMPONENT, events)
        except ValueError as closed:
            raise ComponentError(UNWRITABLE, str(closed), original_exception=closed) from closed

    def _append_first(self, at: datetime, component: str, events: Sequence[Event]) -> None:
        assert self._logger is not None
        # What stands in for the logger, or overrides its method, is asked for every event.
        is_own = type(self._logger).log_event in (EventLogger.log_event, EventMemory.log_event)
        self._append = self._logger.appender(component, at) if is_own else self._append_each
        self._append(at, component, events)

    def _append_each(self, at: datetime, component: str, events: Sequence[Event]) -> None:
        assert self._logger is not None
        for event_type, data in events:
            self._logger.log_event(at, event_type, component, _unpacked(data))

    def _log_live(self, at: datetime, events: Sequence[Event]) -> None:
        with self._lock:
            self._unwritten += [(at, event_type, COMPONENT, data) for event_type, data in events]
            self._write()

    def require_written(self) -> None:
        """Write what could not be written before.

        Raises:
            ComponentError: LOG-001, it still cannot be.
        """
        if self._unwritten:
            with self._lock:
                failure = self._write()
            if failure is not None:
                raise failure

    def once_written(self, then: Callable[[], None]) -> None:
        """Call `then` when every event so far is on the disk: now, or after what could not be written is."""
        with self._lock:
            if self._unwritten:
                self._unwritten.append(then)
                return
        then()

    def _write(self) -> ComponentError | None:
        assert self._logger is not None
        while self._unwritten:
            first = self._unwritten[0]
            try:
                if callable(first):
                    first()
                else:
                    self._logger.log_event(*first)
            except ComponentError as failure:
                return failure
            except ValueError as closed:
                return ComponentError(UNWRITABLE, str(closed), original_exception=closed)
            self._unwritten.pop(0)
        return None

    def log_failure(self, at: datetime, kind: Any, error: ComponentError) -> None:
        """The error, and what it means for the routing. An old price is none of its failures: nothing was wrong with the block."""
        if self._logger is None or error.error_code == UNWRITABLE:
            return
        data: dict[str, Any] = {"error_code": error.error_code, "error_message": error.message, "error_severity": error.severity}
        trace = "".join(traceback.format_exception(error))
        self.log(at, [("error", {**data, "component": error.component, "stack_trace": trace})])
        if isinstance(error, StaleSeries):
            return
        raw = getattr(error.original_exception, "raw", None)
        failed = {**data, "instruction_type": kind, **({} if raw is None else {"raw": repr(raw)})}
        self.log(at, [(CRITICAL_EVENTS.get(error.error_code, "instruction_routing_failed"), failed)])


def _unpacked(data: Data) -> Data:
    """The data with deltas that can be read."""
    if isinstance(data, ExecutedData) and isinstance(data.deltas, Raw):
        return structs.replace(data, deltas=Deltas.unpacked(bytes(data.deltas)).amounts)
    return data


def _to_nobody(at: datetime, events: Sequence[Event]) -> None:
    """Where there is no log."""


class ExecutedData(Struct, frozen=True, gc=False):
    """What came of an instruction, in its `execution` event. Amounts are exact, as text."""

    key: str
    venue: str
    instruction_type: str
    action: str
    deltas: Mapping[str, Mapping[str, Decimal]] | Raw  # Raw: as they are packed, which is as the line has them
    costs: tuple[Cost, ...]
    reference: str
    details: Mapping[str, Any]


class TradeData(ExecutedData, frozen=True, gc=False, omit_defaults=True):
    """The same and what was asked of an exchange."""

    symbol: Any
    trade_type: Any
    amount: Any
    reason: Any = None
    tag: Any = None


class ExecutionData(ExecutedData, frozen=True, gc=False, omit_defaults=True):
    """The same and what was asked of the wallet; what the block does not have is left out."""

    protocol: Any = None
    token: Any = None
    amount: Any = None
    to_venue: Any = None
    steps: Sequence[str] = ()
    reason: Any = None
    tag: Any = None


class SettlementData(Struct, frozen=True, gc=False):
    """The data of a `settlement` event."""

    key: str
    kind: str
    venue: str
    deltas: Mapping[str, Mapping[str, Decimal]]
    costs: tuple[Cost, ...]
    details: Mapping[str, Any]


class UpdateData(Struct, frozen=True, gc=False):
    """The data of a `state_update` event."""

    trigger_source: str
    instructions_routed: int
    instructions_failed: int
    current_instruction_type: Any
    processing_time_ms: float


def execution_events(report: ExecutionReport, block: Mapping[str, Any], packed: bytes | None = None) -> list[Event]:
    """The events of an execution, of a repetition, and of an answer that could not be read; `packed` are the report's deltas."""
    if report.replayed:
        return [("replayed", {"key": report.key, "first_executed": report.at, "deltas": report.deltas.as_texts()})]
    asked = block.get
    deltas = report.deltas.amounts if packed is None else Raw(packed)
    data: Struct
    if (side := asked("side")) is not None:
        data = TradeData(
            report.key, report.venue, "cex_trade", side, deltas, report.costs, report.reference, report.details,
            block["symbol"], block["trade_type"], block["amount"], asked("reason"), asked("tag"),
        )  # fmt: skip
    else:
        action = asked("action") or ("transfer" if "to_venue" in block else "chain")
        data = ExecutionData(
            report.key, report.venue, block["instruction_type"], action, deltas, report.costs, report.reference,
            report.details, asked("protocol"), asked("token"), asked("amount"), asked("to_venue"),
            () if asked("sub_instructions") is None else _steps(block["sub_instructions"]), asked("reason"), asked("tag"),
        )  # fmt: skip
    if "malformed" in report.details:
        return [("execution_delta_aggregation_failed", _unbooked(report)), ("execution", data)]
    return [("execution", data)]


def block_of(instruction: Instruction) -> dict[str, Any]:
    """As much of an instruction's block as its event names."""
    if isinstance(instruction, CexTrade):
        names: tuple[str, ...] = ("side", "symbol", "trade_type", "amount")
        return {"instruction_type": "cex_trade", **{name: getattr(instruction, name) for name in names}}
    if isinstance(instruction, WalletTransfer):
        return {"instruction_type": "wallet_transfer", **{name: getattr(instruction, name) for name in ("token", "amount", "to_venue")}}
    if isinstance(instruction, Chain):
        return {"instruction_type": "smart_contract_action", "sub_instructions": [_step_block(step) for step in instruction.steps]}
    assert isinstance(instruction, SmartContractAction)
    return {"instruction_type": "smart_contract_action", "protocol": instruction.protocol, **_step_block(instruction)}


def _step_block(step: SmartContractAction) -> dict[str, Any]:
    block = {"action": step.action, "token": step.token, "amount": step.amount}
    return {**block, "sub_instructions": [_step_block(inner) for inner in step.steps]} if step.steps else block


def _steps(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each step does to which token, those within a flash loan in brackets after it."""
    inner = [f" ({', '.join(_steps(block['sub_instructions']))})" if block.get("sub_instructions") else "" for block in blocks]
    return [f"{block['action']} {block.get('token', '')}".rstrip() + within for block, within in zip(blocks, inner, strict=True)]


def settlement_data(report: ExecutionReport) -> SettlementData:
    """The data of a settlement event."""
    return SettlementData(report.key, report.kind, report.venue, report.deltas.amounts, report.costs, report.details)


def _unbooked(report: ExecutionReport) -> dict[str, Any]:
    """The data of `execution_delta_aggregation_failed` where the venue confirmed that nothing moved."""
    message = f"{report.venue} answered {report.key} with {report.details['malformed']}; it holds what it held before, nothing is recorded"
    return {**error_data("EIM-003", message), "raw": report.details["raw"]}
