"""Looks at a plan before it is sent: all problems of all steps of all legs, at once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.instructions import CexTrade, Chain, OutputOf, SmartContractAction, parse_instruction
from basis_strategy_v1.core.market import MissingData, StaleSeries
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.desk import Context
from basis_strategy_v1.execution.steps import all_steps, located
from basis_strategy_v1.venues.chain import before_gas, gas_units, simulate_transaction, with_output
from basis_strategy_v1.venues.venue import Moved
from basis_strategy_v1.venues.wallet import WalletVenue, receive, wallet_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.execution_interfaces import ExecutionInterface
    from basis_strategy_v1.venues.venue import Venues

    InterfaceOf = Callable[[Instruction], ExecutionInterface]  # raises what routing would raise

Fault = tuple[str, str]  # code and message


class Problem(NamedTuple):
    """Why a step of a plan would be refused. `step` counts the blocks of the plan from 0; `code` is the one that routing would raise."""

    step: int
    code: str
    message: str


class Foreseen(Struct, frozen=True, gc=False):
    """What an instruction would do to a state at a snapshot: where it is executed on just these, it need not be simulated again."""

    instruction: Instruction
    state: State
    market: MarketSnapshot
    moved: Moved

    def holds(self, context: Context) -> bool:
        """Whether the instruction is executed on what it was simulated on."""
        return self.state is context.state and self.market is context.market


class Preflight:
    """Carries the state from step to step. After a step that would fail it goes on as if that step had not been there."""

    def __init__(
        self, timestamp: datetime, market: MarketSnapshot, state: State, venues: Venues, interface_of: InterfaceOf, *, chaining: bool
    ) -> None:
        self._timestamp = timestamp
        self._market = market
        self._state = state
        self._venues = venues
        self._interface_of = interface_of
        self._chaining = chaining
        self.missing: MissingData | None = None  # what the steps met; of a series that is old and one that is missing, the latter
        self.foreseen: Foreseen | None = None  # of the last instruction, where it would come through as a whole

    def plan(self, blocks: Sequence[Any], is_done: Callable[[str], bool]) -> tuple[list[Problem], list[Foreseen | None]]:
        """The problems of all blocks, and what each block that has none would do; `is_done` tells the ids that would be replayed."""
        problems: list[Problem] = []
        foreseen: list[Foreseen | None] = []
        known: set[str] = set()
        for index, block in enumerate(blocks):
            if faults := self._faults_of_block(block, known, is_done):
                problems += [Problem(index, *fault) for fault in faults]
            elif len(blocks) > 1 and (fault := _unfilled(self.foreseen)):
                problems.append(Problem(index, "EIM-001", fault))
            foreseen.append(self.foreseen)
        return problems, foreseen

    def _faults_of_block(self, block: Any, known: set[str], is_done: Callable[[str], bool]) -> list[Fault]:
        """The faults of one block of a plan; `known` are the ids of those before it."""
        self.foreseen = None
        try:
            instruction = parse_instruction(block)
        except ComponentError as error:
            return [(error.error_code, error.message)]
        name = instruction.instruction_id
        if name is not None and (name in known or is_done(name)):
            return []
        found = self.faults(instruction)
        if name is not None and not found:
            known.add(name)
        return found

    def _gasless(self) -> Venues:
        """The venues for the steps within one transaction, which pay no gas of their own: it pays once, at its end."""
        return {**self._venues, WALLET: WalletVenue(Decimal(0))}

    def faults(self, instruction: Instruction) -> list[Fault]:
        """Why the instruction would be refused; the state moves on by what of it would come through."""
        self.foreseen = None
        if isinstance(instruction, Chain) and not instruction.atomic:
            return self._faults_of_sequence(instruction.steps)
        try:
            context = Context(self._timestamp, "preflight", self._state, self._market)
            moved = self._interface_of(instruction).simulate(instruction, context)
        except ComponentError as error:
            within = self._looked_into(instruction)
            self._note(error)
            refused_anyway = isinstance(instruction, Chain) and not self._chaining
            return [_fault(error), *within] if refused_anyway else within or [_fault(error)]
        self.foreseen = Foreseen(instruction, self._state, self._market, moved)
        self._state = moved.state
        return []

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
                resolved = with_output(step, outputs)  # type: ignore[arg-type]  # its output is there, as was just seen
                moved = self._interface_of(resolved).simulate(resolved, Context(self._timestamp, "preflight", self._state, self._market))
            except ComponentError as error:
                found += _in_step(index, step, self._looked_into(step) or [_fault(error)], chained=True)
                self._note(error)
                outputs.append(None)
            else:
                self._state = moved.state
                outputs.append(before_gas(moved.deltas, moved.costs))
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
        return self._walk(loan.steps, receive(state, loan.token, loan.amount), chained=True)[0]

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

    def _try(self, step: SmartContractAction, outputs: Sequence[Deltas | None], state: State) -> tuple[list[Fault], Moved | None]:
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
            self._interface_of(structs.replace(action, steps=()))
        except ComponentError as error:
            return _fault(error)
        return None

    def _gas_faults(self, passed: Sequence[SmartContractAction]) -> list[Fault]:
        """The gas of the steps that would come through, to be paid from what they leave."""
        units = gas_units(passed, self._venues)
        try:
            self._state = wallet_of(self._venues).pay_gas(Moved(self._state, Deltas()), units, self._market).state
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


def _unfilled(foreseen: Foreseen | None) -> str | None:
    """Why a leg of a plan would fill nothing: the others would then be sent without it."""
    if foreseen is None or not isinstance(foreseen.instruction, CexTrade) or foreseen.moved.deltas:
        return None
    trade = foreseen.instruction
    limit, price = plain(foreseen.moved.details["limit"]), plain(foreseen.moved.details["price"])
    what = f"{trade.side} of {plain(trade.amount)} {trade.symbol} {trade.trade_type}"
    return f"{what} would fill nothing: its limit is {limit}, the price {price}"
