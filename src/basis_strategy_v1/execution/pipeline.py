"""The pipeline of an order: parse, simulate, approve, send, commit. One pass down, one report up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import getcontext, setcontext
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import EXACT, shown
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.instruction_steps import located
from basis_strategy_v1.core.instructions import COMPONENT, CexTrade, Chain, parse_instruction
from basis_strategy_v1.core.journal import STEP, Status, automatic_key, child_key, require_same_instruction
from basis_strategy_v1.core.market import StaleSeries
from basis_strategy_v1.execution.pretrade_check import PreTradeCheck, Problem, refusal, unfilled
from basis_strategy_v1.venues.chain import before_gas, with_output
from basis_strategy_v1.venues.venue import CEX
from basis_strategy_v1.venues.wallet import wallet_of

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import Instruction, SmartContractAction
    from basis_strategy_v1.core.journal import MemoryJournal
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.account import Account
    from basis_strategy_v1.execution.routing_record import RoutingRecord
    from basis_strategy_v1.execution.step import Destination, StepSimulator
    from basis_strategy_v1.venues.venue import SimulationResult

    Reports = tuple[ExecutionReport, ...]

SIMULATED = "simulated"
MOST_BLOCKS = 10_000
NOTHING: tuple[()] = ()


class SimulatedStep(Struct, gc=False):
    """An instruction that was simulated: where it goes, what accrued on chain just before it, and what it would do."""

    instruction: Instruction
    key: str
    destination: Destination
    settlements: Reports
    simulated: SimulationResult

    def state_after(self, state: State) -> State:
        return self.simulated.state


class StepSequence(Struct, gc=False):
    """A chain that is not atomic, simulated step by step: each is a transaction of its own, and what happens before a failure stays.

    `earlier` are the reports of the steps that an earlier call executed. `failure` is why it stops after its last step here.
    """

    instruction: Chain
    key: str
    steps: list[SimulatedStep]
    earlier: list[ExecutionReport]
    failure: ComponentError | None = None

    def state_after(self, state: State) -> State:
        return self.steps[-1].simulated.state if self.steps else state


class Repetition(Struct, gc=False):
    """An instruction that was executed before, or is in its plan already, under the same id."""

    instruction: Instruction
    key: str

    def state_after(self, state: State) -> State:
        return state


Prepared = SimulatedStep | StepSequence | Repetition


class Pipeline:
    """Runs the plans of one account in a backtest, where the simulated result is the outcome."""

    def __init__(self, account: Account, simulator: StepSimulator, journal: MemoryJournal, record: RoutingRecord) -> None:
        self.account = account
        self.simulator = simulator
        self.journal = journal
        self._record = record
        self._exchanges = simulator.exchanges
        self._lock = account.lock
        self._calls, self._plans = account.ledger.calls, account.ledger.plans
        self._is_recorded = account.ledger.state.checked
        self._exact = EXACT.copy()  # in which all of it is computed; what is given us (data, gateways) runs in a copy of it

    # Entrances.

    def run(self, at: datetime, blocks: Sequence[Any]) -> list[ExecutionReport]:
        """Execute a plan; a report for each block.

        Every block of a plan of two or more is simulated on the state that the ones before it leave, before the first one is sent: never
        one leg without the other.

        Raises:
            StaleSeries: a price is too old to trade on; nothing was sent. MissingData: a series is missing; the same.
            ComponentError: EXM-001, the plan would fail, or is no list of blocks; the message names each problem and its step;
                nothing was sent. Or what a single block was refused for. Its `reports` are of what was executed before.
        """
        require_plan(blocks, "EXM-001", "; nothing was sent")
        require_aware(at)
        outside = getcontext()
        with self._lock:
            setcontext(self._exact)
            try:
                place = f"p{self._plans.next(self.account.instant_of(at))}"
                if len(blocks) == 1:
                    return [self._run_one(at, blocks[0], f"{place}.0", None)[0]]
                return self._run_together(at, blocks, place) if blocks else []
            finally:
                setcontext(outside)

    def execute(self, at: datetime, block: Any, trigger: str | None = None) -> tuple[ExecutionReport, bytes]:
        """Execute one block that was handed in directly; its report, and its deltas packed. With a `trigger` its update is logged too.

        Raises:
            ComponentError: EIM-001, the block or the venue's answer says no (`original_exception` holds the venue's own
                error); EIM-002, the venue is not configured or not available; DAT-…, the data lack what is needed.
        """
        outside = getcontext()
        with self._lock:
            setcontext(self._exact)
            try:
                return self._run_one(at, block, None, trigger)
            finally:
                setcontext(outside)

    def check(self, at: datetime, blocks: Sequence[Any]) -> PreTradeCheck:
        """Simulate a plan as `run` does and find all of its problems. Nothing is sent, counted, logged or changed."""
        require_aware(at)
        require_plan(blocks, "EIM-001", "")
        outside = getcontext()
        with self._lock:
            setcontext(self._exact)
            try:
                market, state = self.account.look(at)
                check = PreTradeCheck(market, state, self.simulator, self.journal)
                check.run(blocks)
                return check
            finally:
                setcontext(outside)

    # A plan of one block, or a direct call.

    def _run_one(self, at: datetime, block: Any, place: str | None, trigger: str | None) -> tuple[ExecutionReport, bytes]:
        record = self._record
        record.current_instruction = block
        started_s = record.measured_s() if record.measured_s else 0.0
        settled: Reports = NOTHING
        try:
            if type(at) is not datetime or at.tzinfo is not UTC:  # the quick way for nearly all of them
                require_aware(at)
            instruction = parse_instruction(block)
            key = instruction.instruction_id
            if key is not None and (first := self._first_report(instruction)) is not None:
                return self._replay(at, first, block, trigger, started_s)
            market, settled = self._arrive(at)
            if key is None:
                instant = market.instant
                key = automatic_key(self.journal.run, instant, place or self._calls.next(instant), instruction)
            prepared = self._prepare(instruction, key, self.account.state(market), market)
            return self._deliver(at, block, prepared, settled, trigger, started_s)
        except Exception as error:
            failure = error if isinstance(error, ComponentError) else foreign(error)
            failure.settlements = settled
            record.failed(at, block, failure, trigger, started_s)
            if failure is error:
                raise
            raise failure from error

    def _arrive(self, at: datetime) -> tuple[MarketSnapshot, Reports]:
        """The snapshot to execute on, once everything that fell due before it is settled and logged."""
        arrived = self.account.arrive(at)
        self._record.last_routing_timestamp = at
        if arrived[1]:
            self.take_up(arrived[1])
        return arrived

    def take_up(self, settlements: Sequence[ExecutionReport]) -> None:
        """Log what fell due; the state holds it."""
        for report in settlements:
            self.account.ledger.expect(report)
        self._record.log_settlements(settlements)

    def _first_report(self, instruction: Instruction) -> ExecutionReport | None:
        """The report of what was executed under this id, where it was."""
        assert instruction.instruction_id is not None
        entry = self.journal.entry(instruction.instruction_id)
        if entry is None:
            return None
        require_same_instruction(entry.key, entry.instruction, instruction)
        return None if entry.is_open else structs.replace(entry.reports[-1], replayed=True, settlements=NOTHING)

    def _replay(
        self, at: datetime, first: ExecutionReport, block: Any, trigger: str | None, started_s: float
    ) -> tuple[ExecutionReport, bytes]:
        """Give the report of what was executed under this id before. Nothing is executed or counted."""
        self.account.ledger.expect(first)
        self._record.repeated(at, block, first, trigger, started_s)
        return first, first.deltas.packed()

    # A plan of several blocks: all are simulated, then all are sent.

    def _run_together(self, at: datetime, blocks: Sequence[Any], place: str) -> list[ExecutionReport]:
        plan: list[Prepared] = []
        settled: Reports = NOTHING
        try:
            instructions = [parse_instruction(block) for block in blocks]
            market, settled = self._arrive(at)
            state = self.account.state(market)
            for index, instruction in enumerate(instructions):
                one = self._prepare_next(instruction, f"{place}.{index}", state, market, plan)
                state = one.state_after(state)
                plan.append(one)
        except Exception as error:
            failure = error if isinstance(error, ComponentError) else foreign(error)
            refused = self._refused(at, blocks, len(plan), failure)
            refused.settlements = settled
            raise refused from error
        return self._deliver_all(at, blocks, plan, settled)

    def _prepare_next(
        self, instruction: Instruction, place: str, state: State, market: MarketSnapshot, before: Sequence[Prepared]
    ) -> Prepared:
        """Simulate a block of a plan on the state that those before it leave.

        Raises:
            ComponentError: it would be refused, or would fill nothing.
        """
        if instruction.instruction_id is not None and self._is_repeated(instruction, before):
            return Repetition(instruction, instruction.instruction_id)
        key = instruction.instruction_id or automatic_key(self.journal.run, market.instant, place, instruction)
        one = self._prepare(instruction, key, state, market)
        if isinstance(one, StepSequence):
            if one.failure is not None:
                raise one.failure
        elif (fault := unfilled(instruction, one.simulated)) is not None:
            raise ComponentError("EIM-001", fault)
        return one

    def _is_repeated(self, instruction: Instruction, before: Sequence[Prepared]) -> bool:
        """Whether a block of a plan was executed already, or is in the plan before, under the same id."""
        for one in before:
            if one.key == instruction.instruction_id:
                require_same_instruction(one.key, one.instruction, instruction)
                return True
        return self._first_report(instruction) is not None

    def _refused(self, at: datetime, blocks: Sequence[Any], index: int, failure: ComponentError) -> ComponentError:
        check = self.check(at, blocks)
        refused = refusal(check.problems or [Problem(index, failure.error_code, failure.message)], blocks, check.missing)
        refused.original_exception = refused.original_exception or failure.original_exception
        return refused

    def _deliver_all(self, at: datetime, blocks: Sequence[Any], plan: Sequence[Prepared], settled: Reports) -> list[ExecutionReport]:
        reports: list[ExecutionReport] = []
        record = self._record
        for block, one in zip(blocks, plan, strict=True):
            record.current_instruction = block
            started_s = record.measured_s() if record.measured_s else 0.0
            try:
                if isinstance(one, Repetition):
                    first = self._first_report(one.instruction)
                    assert first is not None  # what it repeats has been executed by now
                    reports.append(self._replay(at, first, block, None, started_s)[0])
                else:
                    reports.append(self._deliver(at, block, one, settled, None, started_s)[0])
                    settled = NOTHING
            except Exception as error:
                failure = error if isinstance(error, ComponentError) else foreign(error)
                record.failed(at, block, failure, None, started_s)
                failure.add_earlier(reports)
                if failure is error:
                    raise
                raise failure from error
        return reports

    # Simulating.

    def _prepare(self, instruction: Instruction, key: str, state: State, market: MarketSnapshot) -> SimulatedStep | StepSequence:
        if type(instruction) is Chain and not instruction.atomic:
            return self._prepare_sequence(instruction, key, state, market)
        known = self._exchanges.get(instruction.venue) if type(instruction) is CexTrade else None
        destination = known or self.simulator.destination(instruction)
        settlements: Reports = NOTHING
        if known is None and destination.kind != CEX:
            state, accrued = self.account.accrued_on_chain(state, market)
            settlements = tuple(accrued)
        try:
            simulated = self.simulator.simulate(instruction, destination, state, market)
        except VenueRejected as refused:
            raise VenueRejected("EIM-001", refused.message, COMPONENT, original_exception=refused) from refused
        return SimulatedStep(instruction, key, destination, settlements, simulated)

    def _prepare_sequence(self, chain: Chain, key: str, state: State, market: MarketSnapshot) -> StepSequence:
        """Under an `instruction_id` a repetition begins with the step that failed."""
        children = self.journal.children(key) if chain.instruction_id is not None else []
        earlier = [entry.reports[-1] for entry in children if entry.status is Status.SETTLED]
        outputs = [self._before_gas(report.deltas, report.costs, report.venue) for report in earlier]
        found = StepSequence(chain, key, [], earlier)
        for index, action in enumerate(chain.steps[len(earlier) :], len(earlier)):
            try:
                step = self._prepare(with_output(action, outputs), child_key(key, index), state, market)
            except Exception as raised:  # noqa: BLE001 raised again where the steps before it have been sent
                error = raised if isinstance(raised, ComponentError) else foreign(raised)
                found.failure = _stopped(index, action, error, is_begun=bool(found.steps))
                found.failure.__cause__ = raised
                return found
            assert isinstance(step, SimulatedStep)
            found.steps.append(step)
            state = step.simulated.state
            outputs.append(self._before_gas(step.simulated.deltas, step.simulated.costs, action.protocol))
        return found

    def _before_gas(self, deltas: Deltas, costs: Sequence[Cost], protocol: str) -> Deltas:
        return before_gas(deltas, costs, wallet_of(self.account.venues, protocol).name)

    # Sending.

    def _deliver(
        self, at: datetime, block: Any, prepared: SimulatedStep | StepSequence, settled: Reports, trigger: str | None, started_s: float
    ) -> tuple[ExecutionReport, bytes]:
        """Send what was prepared, commit it, count it and log it."""
        if isinstance(prepared, StepSequence):
            return self._deliver_sequence(at, block, prepared, settled, trigger, started_s)
        report = self._send(at, prepared, settled)
        packed = self.account.commit(prepared.simulated.state, report)
        if prepared.instruction.instruction_id is not None:
            self.journal.settled(prepared.key, prepared.instruction, report)
        self._record.executed(at, block, report, report, packed, trigger, started_s)
        return report, packed

    def _send(self, at: datetime, step: SimulatedStep, settled: Reports) -> ExecutionReport:
        """The report of one step: the simulated result is the outcome."""
        simulated, settlements = step.simulated, step.settlements
        if settlements:
            self.take_up(settlements)
        if settled:
            settlements = settled + settlements
        deltas = simulated.deltas
        return ExecutionReport(
            step.key, step.destination.venue, at, "execution", deltas, deltas, simulated.costs, SIMULATED, simulated.details, False,
            simulated.filled, settlements, self._is_recorded,
        )  # fmt: skip

    def _deliver_sequence(
        self, at: datetime, block: Any, prepared: StepSequence, settled: Reports, trigger: str | None, started_s: float
    ) -> tuple[ExecutionReport, bytes]:
        chain, key, failure, ledger = prepared.instruction, prepared.key, prepared.failure, self.account.ledger
        name, first = chain.instruction_id, len(prepared.earlier)
        done: list[ExecutionReport] = []
        for step in prepared.steps:
            report = self._send(at, step, settled)
            ledger.assign(step.simulated.state)
            settled = NOTHING
            done.append(report)
            if name is not None:
                self.journal.settled(step.key, step.instruction, report, parent=key)
        if failure is not None:
            raise self._partly_done(at, prepared, done, failure)
        executed = _joined(key, at, done, first)
        whole = _joined(key, at, [*prepared.earlier, *done], 0) if first else executed
        if name is not None:
            self.journal.settled(name, chain, whole)
        ledger.expect(whole)
        packed = whole.deltas.packed()
        self._record.executed(at, block, whole, executed, packed, trigger, started_s)
        return whole, packed

    def _partly_done(
        self, at: datetime, prepared: StepSequence, done: Sequence[ExecutionReport], failure: ComponentError
    ) -> ComponentError:
        """The error of a sequence, with the report of the steps before the one that failed."""
        if done:
            if prepared.instruction.instruction_id is not None:
                self.journal.begun(prepared.key, prepared.instruction)
            partly = _joined(prepared.key, at, done, len(prepared.earlier))
            self.account.ledger.expect(partly)
            failure.add_earlier([partly])
        return failure


def require_plan(blocks: Any, code: str, end: str) -> None:
    """Refuse what is no list of blocks, and one that is too long."""
    if type(blocks) is not list and (isinstance(blocks, Mapping | str | bytes) or not isinstance(blocks, Sequence)):
        raise ComponentError(code, f"a plan must be a list of instruction blocks, got {shown(blocks)}{end}")
    if len(blocks) > MOST_BLOCKS:
        raise ComponentError(code, f"a plan holds at most {MOST_BLOCKS:,} blocks, got {len(blocks):,}; hand in several plans{end}")


def require_aware(timestamp: Any) -> None:
    """Refuse a time without a zone."""
    try:
        to_instant(timestamp)
    except ValueError as fault:
        raise ComponentError("EIM-001", str(fault), COMPONENT) from None


def foreign(error: Exception) -> ComponentError:
    """What is raised for an error of somebody else's code: a data provider's, for one."""
    failure = ComponentError("EIM-001", f"routing failed: {type(error).__name__}: {error}", COMPONENT, original_exception=error)
    failure.__cause__ = error
    return failure


def _stopped(index: int, step: SmartContractAction, error: ComponentError, *, is_begun: bool) -> ComponentError:
    """What a sequence ends with that failed at a step."""
    code = "EIM-001" if isinstance(error, VenueRejected) else error.error_code
    # An old price is why nothing was sent; where something was, it is an error like any other.
    kind = ComponentError if is_begun and isinstance(error, StaleSeries) else type(error)
    return kind(code, located(index, step, error.message), error.component, error.severity, error)


def _joined(key: str, at: datetime, done: Sequence[ExecutionReport], first: int) -> ExecutionReport:
    """Several transactions as one report; `first` is the index of the first of them within its sequence."""
    return ExecutionReport(
        key=key,
        venue=done[0].venue,
        at=at,
        kind="execution",
        deltas=Deltas.total(report.deltas for report in done),
        expected=Deltas.total(report.expected for report in done),
        costs=tuple(cost for report in done for cost in report.costs),
        reference=", ".join(dict.fromkeys(report.reference for report in done)),
        details={f"{STEP}{index}": report.details for index, report in enumerate(done, first)},
        settlements=tuple(settled for report in done for settled in report.settlements),
        recorded=done[0].recorded,
    )
