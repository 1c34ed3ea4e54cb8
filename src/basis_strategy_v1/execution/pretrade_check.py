"""Looks at a plan before it is sent: all problems of all steps of all legs, at once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.instruction_steps import all_steps, located
from basis_strategy_v1.core.instructions import CexTrade, Chain, OutputOf, SmartContractAction, parse_instruction
from basis_strategy_v1.core.journal import require_same_instruction
from basis_strategy_v1.core.market import MissingData, StaleSeries
from basis_strategy_v1.venues.chain import before_gas, gas_units, simulate_transaction, with_output
from basis_strategy_v1.venues.venue import SimulationResult
from basis_strategy_v1.venues.wallet import WalletVenue, receive, wallet_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.journal import Journal
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.step import StepSimulator
    from basis_strategy_v1.venues.venue import Venues

Fault = tuple[str, str]  # code and message


class Problem(NamedTuple):
    """Why a step of a plan would be refused. `step` counts the blocks of the plan from 0; `code` is the one that routing would raise."""

    step: int
    code: str
    message: str


class PreTradeCheck:
    """Carries the state from step to step and collects every problem. A step that would fail counts as not there for those after it."""

    def __init__(self, market: MarketSnapshot, state: State, simulator: StepSimulator, journal: Journal) -> None:
        self.problems: list[Problem] = []
        self.missing: MissingData | None = None  # what the steps met; of a series that is old and one that is missing, the latter
        self._market = market
        self._state = state
        self._simulator = simulator
        self._venues = simulator.venues
        self._journal = journal
        self._instructions: dict[str, Instruction] = {}  # of this plan, by id
        self._idle: str | None = None  # why the last instruction would fill nothing

    def run(self, blocks: Sequence[Any]) -> None:
        """Find the problems of all blocks. A block that was executed already would be replayed and has none."""
        for index, block in enumerate(blocks):
            try:
                instruction = parse_instruction(block)
                if self._is_repeated(instruction):
                    continue
            except ComponentError as error:
                self.problems.append(Problem(index, error.error_code, error.message))
                continue
            found = self.faults(instruction)
            if not found and len(blocks) > 1 and self._idle is not None:
                found = [("EIM-001", self._idle)]
            if not found and instruction.instruction_id is not None:
                self._instructions[instruction.instruction_id] = instruction
            self.problems += [Problem(index, *fault) for fault in found]

    def _is_repeated(self, instruction: Instruction) -> bool:
        name = instruction.instruction_id
        if name is None:
            return False
        entry = self._journal.entry(name)
        first = self._instructions.get(name) or (entry.instruction if entry is not None else None)
        if first is None:
            return False
        require_same_instruction(name, first, instruction)
        return entry is None or not entry.is_open

    def _gasless(self) -> Venues:
        """The venues for the steps within one transaction, which pay no gas of their own: it pays once, at its end."""
        return {name: venue.without_gas() if isinstance(venue, WalletVenue) else venue for name, venue in self._venues.items()}

    def faults(self, instruction: Instruction) -> list[Fault]:
        """Why the instruction would be refused; the state moves on by what of it would come through."""
        self._idle = None
        if isinstance(instruction, Chain) and not instruction.atomic:
            return self._faults_of_sequence(instruction.steps)
        try:
            simulated = self._simulated(instruction)
        except ComponentError as error:
            within = self._looked_into(instruction)
            self._note(error)
            refused_anyway = isinstance(instruction, Chain) and not self._simulator.atomic_chaining
            return [_fault(error), *within] if refused_anyway else within or [_fault(error)]
        self._state = simulated.state
        self._idle = unfilled(instruction, simulated)
        return []

    def _simulated(self, instruction: Instruction) -> SimulationResult:
        return self._simulator.simulate(instruction, self._simulator.destination(instruction), self._state, self._market)

    def _note(self, error: ComponentError) -> None:
        if isinstance(error, MissingData) and (
            self.missing is None or isinstance(self.missing, StaleSeries) > isinstance(error, StaleSeries)
        ):
            self.missing = error

    def _faults_of_sequence(self, steps: Sequence[SmartContractAction]) -> list[Fault]:
        """Each step is a transaction of its own."""
        found: list[Fault] = []
        outputs: list[Deltas | None] = []
        for index, step in enumerate(steps):
            if _hangs_on_a_failure(step, outputs):
                outputs.append(None)
                continue
            try:
                moved = self._simulated(with_output(step, outputs))  # type: ignore[arg-type]  # its output is there, as was just seen
            except ComponentError as error:
                found += _in_step(index, step, self._looked_into(step) or [_fault(error)], chained=True)
                self._note(error)
                outputs.append(None)
            else:
                self._state = moved.state
                outputs.append(before_gas(moved.deltas, moved.costs, wallet_of(self._venues, step.protocol).name))
        return found

    def _looked_into(self, instruction: Instruction) -> list[Fault]:
        """All faults within a transaction that fails, where it has several steps. None: it fails as a whole."""
        if isinstance(instruction, SmartContractAction) and instruction.steps:
            return self._within_loan(instruction, self._state)
        if not isinstance(instruction, Chain):
            return []
        found, after, passed = self._walk(instruction.steps, self._state, chained=len(instruction.steps) > 1)
        if found:
            self._state = after
            found += self._gas_faults(passed)
        return found

    def _within_loan(self, loan: SmartContractAction, state: State) -> list[Fault]:
        """The faults of what would run while a loan is out."""
        if self._routing_fault(loan) is not None:
            return []
        assert isinstance(loan.amount, Decimal)
        return self._walk(loan.steps, receive(state, wallet_of(self._venues, loan.protocol).name, loan.token, loan.amount), chained=True)[0]

    def _walk(
        self, steps: Sequence[SmartContractAction], state: State, *, chained: bool
    ) -> tuple[list[Fault], State, list[SmartContractAction]]:
        """The faults of the steps of one transaction, the state that the others leave, and those others."""
        found: list[Fault] = []
        passed: list[SmartContractAction] = []
        outputs: list[Deltas | None] = []
        for index, step in enumerate(steps):
            outputs.append(None)
            if _hangs_on_a_failure(step, outputs):
                continue
            faults, moved = self._try(step, outputs, state)
            found += _in_step(index, step, faults, chained=chained)
            if moved is not None:
                state, outputs[index] = moved.state, moved.deltas
                passed.append(step)
        return found, state, passed

    def _try(
        self, step: SmartContractAction, outputs: Sequence[Deltas | None], state: State
    ) -> tuple[list[Fault], SimulationResult | None]:
        routing = next((fault for inner in all_steps(step) if (fault := self._routing_fault(inner)) is not None), None)
        if routing is None:
            try:
                resolved = with_output(step, outputs)  # type: ignore[arg-type]  # a step whose output is not there was left out
                return [], simulate_transaction((resolved,), self._gasless(), state, self._market)
            except ComponentError as error:
                routing = _fault(error)
        return (self._within_loan(step, state) if step.steps else []) or [routing], None

    def _routing_fault(self, action: SmartContractAction) -> Fault | None:
        try:
            self._simulator.destination(structs.replace(action, steps=()))
        except ComponentError as error:
            return _fault(error)
        return None

    def _gas_faults(self, passed: Sequence[SmartContractAction]) -> list[Fault]:
        """The gas of the steps that would come through, to be paid from what they leave."""
        units, sender = gas_units(passed, self._venues), [step.protocol for step in passed[:1]]
        try:
            self._state = wallet_of(self._venues, *sender).pay_gas(SimulationResult(self._state, Deltas()), units, self._market).state
        except ComponentError as error:
            return [_fault(error)]
        return []


def _fault(error: ComponentError) -> Fault:
    return ("EIM-001" if isinstance(error, VenueRejected) else error.error_code), error.message


def _in_step(index: int, step: SmartContractAction, faults: Sequence[Fault], *, chained: bool) -> Iterator[Fault]:
    for code, message in faults:
        yield code, located(index, step, message) if chained else message


def _hangs_on_a_failure(step: SmartContractAction, outputs: Sequence[Deltas | None]) -> bool:
    return isinstance(step.amount, OutputOf) and outputs[step.amount.step] is None


def unfilled(instruction: Instruction, simulated: SimulationResult) -> str | None:
    """Why a leg of a plan would fill nothing: the others would then be sent without it."""
    if not isinstance(instruction, CexTrade) or simulated.deltas:
        return None
    limit, price = plain(simulated.details["limit"]), plain(simulated.details["price"])
    what = f"{instruction.side} of {plain(instruction.amount)} {instruction.symbol} {instruction.trade_type}"
    return f"{what} would fill nothing: its limit is {limit}, the price {price}"


def refusal(problems: Sequence[Problem], blocks: Sequence[Any], missing: MissingData | None) -> ComponentError:
    """What a plan is refused with: the data that are missing, where there is nothing else wrong with it."""
    first = next((problem for problem in problems if problem.code.startswith("DAT-")), None)
    only_data = first is not None and all(problem.code.startswith("DAT-") or _follows(problem, first, blocks) for problem in problems)
    if missing is not None and only_data:
        return missing
    listed = "; ".join(f"step {problem.step}: {problem.message}" for problem in problems)
    return ComponentError("EXM-001", f"nothing was sent. {listed}")


def _follows(problem: Problem, first: Problem, blocks: Sequence[Any]) -> bool:
    """Whether a problem may come of an earlier step that lacked data: its proceeds are not there."""
    try:
        parse_instruction(blocks[problem.step])
    except ComponentError:
        return False
    return problem.step > first.step and problem.code == "EIM-001"
