"""Takes each instruction to its venue's interface, once, and commits what it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import Chain
from basis_strategy_v1.core.market import StaleSeries
from basis_strategy_v1.execution.routing_events import COMPONENT
from basis_strategy_v1.execution.steps import located
from basis_strategy_v1.venues.chain import before_gas, with_output
from basis_strategy_v1.venues.venue import CEX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.instructions import Instruction, SmartContractAction
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.interface_registry import InterfaceRegistry
    from basis_strategy_v1.execution.preflight import Foreseen

    Settled = Callable[[list[ExecutionReport]], None]


class Router:
    """Executes at the interfaces of one registry. An instruction with an `instruction_id` is executed once: a repetition gets its report.

    `on_settled` is told what had grown on chain before an instruction changed it.
    """

    def __init__(self, registry: InterfaceRegistry, on_settled: Settled) -> None:
        self._interface_of = registry.interface_of
        self._desk = registry.desk
        self._on_settled = on_settled
        self._done = registry.desk.done
        self._parts_done = registry.desk.book.parts_done

    def is_done(self, name: str) -> bool:
        """Whether the instruction of this id was executed."""
        return name in self._done

    def replay(self, name: str) -> ExecutionReport:
        """The report of what was executed under this id; nothing is executed."""
        first = self._done[name]
        self._desk.expect(first.key, first.deltas)
        return structs.replace(first, replayed=True)

    def route(self, at: datetime, instruction: Instruction, foreseen: Foreseen | None) -> tuple[ExecutionReport, bytes]:
        """Execute an instruction and commit what it moved; its report, and its deltas packed.

        Raises:
            VenueRejected: EIM-001; nothing was changed. Of a sequence `partial_deltas` tell what came before the failure.
        """
        name = instruction.instruction_id
        if name is not None and name in self._desk.keys:
            raise ComponentError("EIM-001", f"instruction_id {name!r} is the key of another instruction; choose another id", COMPONENT)
        if type(instruction) is Chain and not instruction.atomic:
            report = self._sequence(at, instruction)
            if name is not None:
                self._desk.note_done(name, report)
            return report, report.deltas.packed()
        report, after = self._one(at, instruction, name, foreseen)
        # Noted and held before anything else can fail: the venue has done it.
        if name is not None:
            self._desk.note_done(name, report)
        return report, self._desk.commit(after, report)

    def _one(self, at: datetime, instruction: Instruction, key: str | None, foreseen: Foreseen | None) -> tuple[ExecutionReport, State]:
        interface, desk = self._interface_of(instruction), self._desk
        if interface.kind != CEX and (grown := desk.settle_growth(at)):
            self._on_settled(grown)
        context = desk.context(at, key)
        known = foreseen.moved if foreseen is not None and foreseen.holds(context) else None
        try:
            return interface.execute(instruction, context, known)
        except BaseException as failure:
            if key is None:
                desk.keys.withdraw(context.key)
            if isinstance(failure, VenueRejected):
                raise VenueRejected("EIM-001", failure.message, COMPONENT, original_exception=failure) from failure
            raise

    def _sequence(self, at: datetime, chain: Chain) -> ExecutionReport:
        """One step after another, each a transaction of its own; what happened before a failure stays.

        Under an `instruction_id` a repetition begins with the step that failed, and its report is that of the whole chain.
        """
        name = chain.instruction_id
        done = self._parts_done.setdefault(name, []) if name is not None else []
        known = len(done)
        for index, step in enumerate(chain.steps[known:], known):
            key = None if name is None else f"{name}-{index}"
            try:
                resolved = with_output(step, [before_gas(report.deltas, report.costs) for report in done])
                report, after = self._one(at, resolved, key, None)
            except Exception as raised:
                error = raised if isinstance(raised, ComponentError) else foreign(raised)
                raise self._stopped(at, index, step, error, done[known:]) from raised
            self._desk.assign(after)
            done.append(report)
        report = _joined(name or done[0].key, at, done)
        self._desk.expect(report.key, report.deltas)
        return report

    def _stopped(
        self, at: datetime, index: int, step: SmartContractAction, error: ComponentError, done: Sequence[ExecutionReport]
    ) -> ComponentError:
        """What a sequence ends with that failed at a step, with the report of what it did before."""
        message = located(index, step, error.message)
        code = "EIM-001" if isinstance(error, VenueRejected) else error.error_code
        moved = _total(done)
        # An old price is why nothing was sent; where something was, it is an error like any other.
        kind = ComponentError if done and isinstance(error, StaleSeries) else type(error)
        failure = kind(code, message, error.component, error.severity, error, moved.as_floats())
        if done:
            failure.done = _joined(f"{done[0].key}-to-{done[-1].key}", at, done)
            self._desk.expect(failure.done.key, moved)
        return failure


def foreign(error: Exception) -> ComponentError:
    """What is raised for an error that is none of ours: a data provider's, for one."""
    failure = ComponentError("EIM-001", f"routing failed: {type(error).__name__}: {error}", COMPONENT, original_exception=error)
    failure.__cause__ = error
    return failure


def _total(reports: Sequence[ExecutionReport]) -> Deltas:
    return Deltas.total(report.deltas for report in reports)


def _joined(key: str, at: datetime, done: Sequence[ExecutionReport]) -> ExecutionReport:
    """Several transactions as one report."""
    return ExecutionReport(
        key=key,
        venue=done[0].venue,
        at=at,
        kind="execution",
        deltas=_total(done),
        expected=Deltas.total(report.expected for report in done),
        costs=tuple(cost for report in done for cost in report.costs),
        reference=", ".join(dict.fromkeys(report.reference for report in done)),
        details={f"step_{index}": report.details for index, report in enumerate(done)},
    )
