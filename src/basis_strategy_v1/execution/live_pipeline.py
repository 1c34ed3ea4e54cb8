"""The way of an order live: written down, sent by its gateway, and taken over as the venue reports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, getcontext, setcontext
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending, VenueRejected
from basis_strategy_v1.core.instruction_codec import decode_instruction, encode_instruction
from basis_strategy_v1.core.instructions import COMPONENT, CexTrade, Chain, WalletTransfer, parse_instruction
from basis_strategy_v1.core.journal import Status, automatic_key, child_key, require_same_instruction
from basis_strategy_v1.core.order import DECISION, HEDGE, Order, Plan
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.exposure import COMPLETE, HOLD, default_on_failure, exposures_of, leaves
from basis_strategy_v1.execution.pipeline import (
    NOTHING,
    Pipeline,
    Step,
    StepSequence,
    _joined,
    _stopped,
    foreign,
    require_aware,
    require_plan,
)
from basis_strategy_v1.execution.pretrade_check import PreTradeCheck, Problem
from basis_strategy_v1.execution.risk import Spent, approve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.journal import Entry, LiveJournal
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.order import Approved
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.account import Account
    from basis_strategy_v1.execution.pipeline import Prepared
    from basis_strategy_v1.execution.routing_record import RoutingRecord
    from basis_strategy_v1.execution.senders import Senders
    from basis_strategy_v1.execution.step import StepSimulator

ZERO = Decimal(0)


class PlanStopped(ComponentError):
    """A step of a plan failed after its check. `reports` are of what was executed; `on_failure` is what becomes of it."""

    on_failure = HOLD
    before: Mapping[str, Decimal] | None = None  # the net exposure that the plan found, by asset


class PlanInHand(Struct, frozen=True):
    """A plan that the journal holds: its number there, whether it leaves, and what becomes of the rest when a step fails."""

    number: int
    plan: Plan
    leaves: bool
    on_failure: str


class LivePipeline(Pipeline):
    """Runs the plans of one live account.

    The account's lock is held to simulate and to commit, never while a venue is waited for. Each step is simulated again on the state and
    the prices that it meets, approved, written down and sent; the state after it is the state before plus what the venue reported.
    """

    journal: LiveJournal  # type: ignore[assignment]  # the one of a backtest has less

    def __init__(
        self,
        account: Account,
        simulator: StepSimulator,
        journal: LiveJournal,
        record: RoutingRecord,
        senders: Senders,
        limits: Limits,
        take_up_account: Callable[[datetime], None],
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(account, simulator, journal, record)  # type: ignore[arg-type]  # only what is overridden here uses the rest of it
        self._senders = senders
        self._limits = limits
        self._take_up_account = take_up_account  # before the first instruction
        self._addresses = addresses or {}
        self.meant: Mapping[str, Decimal] | None = None  # the net exposure with which the last plan was simulated to end, by asset

    # Entrances.

    def run(
        self, at: datetime, blocks: Sequence[Any], memory: str | None = None, on_failure: str | None = None, purpose: str = DECISION
    ) -> list[ExecutionReport]:
        """Check a plan, store it with the strategy's memory, and send it step by step.

        Raises:
            StaleSeries, MissingData, ComponentError: as in a backtest; nothing was sent.
            PlanStopped: a step failed after the check; `reports` are of what was executed.
            OutcomeUnknown: a step's outcome is not known (StillPending: not yet); the plan stays in hand until it is. The same blocks go on
                with it.
        """
        require_plan(blocks, "EXM-001", "; nothing was sent")
        require_aware(at)
        if not blocks and memory is None:
            return []
        self._take_up_account(at)
        if blocks and (begun := self._begun(blocks)) is not None:
            return self.complete(begun)
        plan = Plan(at=at, blocks=tuple(blocks), on_failure=on_failure, memory=memory, purpose=purpose, meant=self.meant)
        with self._computing():
            self._record.events.require_written()
            plan, is_leaving = self._checked(plan) if blocks else (plan, False)
        in_hand = self._stored(plan, is_leaving)
        return self.complete(in_hand) if blocks else []

    def _begun(self, blocks: Sequence[Any]) -> PlanInHand | None:
        """The plan in hand, where these are its blocks.

        Raises:
            ComponentError: EXM-001, another plan is in hand.
        """
        in_hand = self.plan_in_hand() if self._senders.by_venue else None
        if in_hand is None or [parse_instruction(block) for block in in_hand.plan.blocks] == _instructions(blocks):
            return in_hand
        begun = f"the plan of {iso(in_hand.plan.at)} has not ended"
        raise ComponentError("EXM-001", f"nothing was sent: {begun}; hand its {len(in_hand.plan.blocks)} blocks in again to go on with it")

    def plan_in_hand(self) -> PlanInHand | None:
        """The plan that an earlier process began and did not end."""
        found = self.journal.plan_in_hand()
        if found is None:
            return None
        number, plan = found
        entries = self.journal.plan_entries(number)
        is_leaving = all(entry.order is not None and entry.order.leaves for entry in entries) if entries else False
        return PlanInHand(number, plan, is_leaving, plan.on_failure or default_on_failure(leaves=is_leaving))

    def complete(self, in_hand: PlanInHand) -> list[ExecutionReport]:
        """Send the steps of a plan that are not closed yet, in their order, and end it."""
        reports: list[ExecutionReport] = []
        failures: list[ComponentError] = []
        for index, block in enumerate(in_hand.plan.blocks):
            try:
                reports.append(self._send_block(in_hand, index, block))
            except OutcomeUnknown as unknown:
                unknown.add_earlier(reports)
                raise
            except ComponentError as failure:
                failures.append(failure)
                reports += failure.reports
                if in_hand.on_failure != COMPLETE:
                    break
        self.journal.end_plan(in_hand.number)
        if failures:
            raise self._stopped_plan(in_hand, reports, failures)
        return reports

    def execute(self, at: datetime, block: Any, trigger: str | None = None) -> tuple[ExecutionReport, bytes]:
        """Execute one block that was handed in directly."""
        record = self._record
        record.current_instruction = block
        started_s = record.measured_s() if record.measured_s else 0.0
        try:
            require_aware(at)
            instruction = parse_instruction(block)
            self._require_gateway(instruction)
            self._take_up_account(at)
            with self._computing():
                if instruction.instruction_id is not None and (first := self._first_report(instruction)) is not None:
                    return self._replay(at, first, block, trigger, started_s)
                record.events.require_written()
                market, _ = self._arrive(at)
                key = instruction.instruction_id or self._new_key(market.instant, instruction)
            report = self._send_instruction(at, instruction, key, None)
        except StillPending:
            raise
        except Exception as error:
            failure = error if isinstance(error, ComponentError) else foreign(error)
            self._failed(at, block, failure, trigger, started_s)
            if failure is error:
                raise
            raise failure from error
        return report, self._recorded(at, block, report, key, trigger, started_s)

    def check(self, at: datetime, blocks: Sequence[Any]) -> PreTradeCheck:
        """Simulate a plan as `run` does and find all of its problems; where there is none, what the limits forbid."""
        require_aware(at)
        require_plan(blocks, "EIM-001", "")
        self._take_up_account(at)
        check = super().check(at, blocks)
        if not check.problems:
            with self._computing():
                check.problems += self._beyond_limits(at, blocks)
        return check

    # Checking.

    def _computing(self) -> _Computing:
        return _Computing(self)

    def _require_gateway(self, instruction: Instruction) -> None:
        """Refuse what no gateway can send.

        Raises:
            ComponentError: EIM-002.
        """
        self.simulator.destination(instruction)
        self._senders.of(_account_of(instruction))

    def _new_key(self, instant: int, instruction: Instruction) -> str:
        """A key that no instruction has had, in an earlier process either."""
        while True:
            key = automatic_key(self.journal.run, instant, self._calls.next(instant), instruction)
            if self.journal.entry(key) is None:
                return key

    def _new_number(self, at: datetime, instructions: Sequence[Instruction]) -> int:
        """The number of a plan among those of its instant, so that its keys are ones that no instruction has had."""
        instant, run = to_instant(at), self.journal.run
        while True:
            number = int(self._plans.next(instant).partition(".")[0])
            keys = (automatic_key(run, instant, f"p{number}.{index}", one) for index, one in enumerate(instructions))
            if all(self.journal.entry(key) is None for key in keys):
                return number

    def _checked(self, plan: Plan) -> tuple[Plan, bool]:
        """Simulate and approve a whole plan on the state as it is: the plan with its number and its net exposures, and whether it leaves.

        Raises:
            ComponentError: EXM-001, or of a single block its own: nothing was sent.
        """
        at, blocks = plan.at, plan.blocks
        prepared: list[Prepared] = []
        try:
            instructions = [parse_instruction(block) for block in blocks]
            for instruction in instructions:
                self._require_gateway(instruction)
            number = self._new_number(at, instructions)
            market, _ = self._arrive(at)
            before = self.account.state(market)
            after = self._prepare_all(instructions, f"p{number}", before, market, prepared)
            is_leaving = self._is_leaving(prepared, before, market)
            for _, fault in self._faults_of_limits(at, prepared, market, is_leaving=is_leaving):
                raise fault
            if plan.purpose != HEDGE:  # which brings about what was meant
                self.meant = exposures_of(after, self.simulator.venues, market).net
            found = exposures_of(before, self.simulator.venues, market).net
            return structs.replace(plan, number=number, before=found, meant=self.meant), is_leaving
        except Exception as error:
            failure = error if isinstance(error, ComponentError) else foreign(error)
            if len(blocks) == 1:
                self._record.failed(at, blocks[0], failure, None, 0.0)
                raise failure from (None if failure is error else error)
            raise self._refused(at, blocks, len(prepared), failure) from error

    def _prepare_all(
        self, instructions: Sequence[Instruction], place: str, state: State, market: MarketSnapshot, prepared: list[Prepared]
    ) -> State:
        """Simulate the blocks of a plan one after another into `prepared`; the state after them."""
        for index, instruction in enumerate(instructions):
            one = self._prepare_next(instruction, f"{place}.{index}", state, market, prepared)
            state = one.state_after(state)
            prepared.append(one)
        return state

    def _is_leaving(self, prepared: Sequence[Prepared], before: State, market: MarketSnapshot) -> bool:
        steps = [step for one in prepared for step in _steps_of(one)]
        results = [step.simulated for step in steps]
        return leaves([step.instruction for step in steps], before, results, self.simulator.venues, market)

    def _faults_of_limits(
        self, at: datetime, prepared: Sequence[Prepared], market: MarketSnapshot, *, is_leaving: bool
    ) -> Iterator[tuple[int, VenueRejected]]:
        """What the limits forbid, each with the block's index. A step that is forbidden spends nothing of its day."""
        spent_usd = self.journal.spent_usd(iso(at)[:10])
        for index, one in enumerate(prepared):
            within_usd = ZERO
            for step in _steps_of(one):
                try:
                    moved = self._approved(at, step, market, is_leaving=is_leaving, spent_usd=spent_usd, within_usd=within_usd).spends_usd
                    spent_usd, within_usd = spent_usd + moved, within_usd + moved
                except VenueRejected as refused:
                    yield index, refused

    def _beyond_limits(self, at: datetime, blocks: Sequence[Any]) -> list[Problem]:
        """The blocks of a plan that could be executed, and that have no gateway or that the limits forbid."""
        instructions = [parse_instruction(block) for block in blocks]
        if without := [*self._without_gateway(instructions)]:
            return without
        prepared: list[Prepared] = []
        market, before = self.account.look(at)
        self._prepare_all(instructions, "check", before, market, prepared)
        is_leaving = self._is_leaving(prepared, before, market)
        found = self._faults_of_limits(at, prepared, market, is_leaving=is_leaving)
        return [Problem(index, fault.error_code, fault.message) for index, fault in found]

    def _without_gateway(self, instructions: Sequence[Instruction]) -> Iterator[Problem]:
        for index, instruction in enumerate(instructions):
            try:
                self._require_gateway(instruction)
            except ComponentError as error:
                yield Problem(index, error.error_code, error.message)

    def _stored(self, plan: Plan, is_leaving: bool) -> PlanInHand:
        on_failure = plan.on_failure or default_on_failure(leaves=is_leaving)
        plan = structs.replace(plan, on_failure=on_failure)
        return PlanInHand(self.journal.begin_plan(plan), plan, is_leaving, on_failure)

    def _approved(
        self, at: datetime, step: Step, market: MarketSnapshot, *, is_leaving: bool, spent_usd: Decimal | None = None,
        within_usd: Decimal = ZERO,
    ) -> Approved:  # fmt: skip
        day = iso(at)[:10]
        spent = Spent(
            notional_usd=self.journal.spent_usd(day) if spent_usd is None else spent_usd, gas_eth=self.journal.spent_gas_eth(day),
            within_instruction_usd=within_usd,
        )  # fmt: skip
        order = Order(
            key=step.key, at=at, venue=_account_of(step.instruction), instruction=step.instruction, expected=step.simulated.deltas,
            asked=encode_instruction(step.instruction),
        )  # fmt: skip
        venues = self.simulator.venues
        try:
            return approve(
                order, step.simulated, market, venues=venues, limits=self._limits, spent=spent, leaves=is_leaving, addresses=self._addresses
            )
        except VenueRejected as refused:
            raise VenueRejected("EIM-001", refused.message, COMPONENT, original_exception=refused) from refused

    # Sending.

    def _send_block(self, in_hand: PlanInHand, index: int, block: Any) -> ExecutionReport:
        record, at = self._record, in_hand.plan.at
        record.current_instruction = block
        started_s = record.measured_s() if record.measured_s else 0.0
        try:
            instruction = parse_instruction(block)
            key = instruction.instruction_id or automatic_key(
                self.journal.run, to_instant(at), f"p{in_hand.plan.number}.{index}", instruction
            )
            entry = self.journal.entry(key)
            if entry is not None and entry.plan == in_hand.number and entry.status is Status.SETTLED:
                return entry.reports[-1]  # an earlier process has sent it
            if instruction.instruction_id is not None and (first := self._first_report(instruction)) is not None:
                return self._replay(at, first, block, None, started_s)[0]
            report = self._send_instruction(at, instruction, key, in_hand, index)
        except StillPending:
            raise
        except Exception as error:
            failure = error if isinstance(error, ComponentError) else foreign(error)
            self._failed(at, block, failure, None, started_s)
            if failure is error:
                raise
            raise failure from error
        self._recorded(at, block, report, key, None, started_s)
        return report

    def _recorded(self, at: datetime, block: Any, report: ExecutionReport, key: str, trigger: str | None, started_s: float) -> bytes:
        """Count and log what was executed; its deltas, packed."""
        packed = report.deltas.packed()
        with self._lock:
            self._record.executed(at, block, report, self._not_logged(at, block, report), packed, trigger, started_s)
        self.journal.logged(key)
        if "looked_up" in report.details:
            self._record.is_known(key)
        return packed

    def _failed(self, at: Any, block: Any, failure: ComponentError, trigger: str | None, started_s: float) -> None:
        """Count and log what failed, and what of it was executed."""
        with self._lock:
            self._record.failed(at, block, failure, trigger, started_s)
        for report in failure.reports:
            self.journal.logged(report.key)

    def _not_logged(self, at: datetime, block: Any, report: ExecutionReport) -> ExecutionReport:
        """Of a sequence that went on, the steps that are not in the event log yet, as one report."""
        if block.get("atomic") is not False:
            return report
        steps = self.journal.children(report.key)
        first = sum(step.is_logged for step in steps)
        return _joined(report.key, at, [step.reports[-1] for step in steps[first:]], first) if first else report

    def _send_instruction(
        self, at: datetime, instruction: Instruction, key: str, in_hand: PlanInHand | None, index: int | None = None
    ) -> ExecutionReport:
        """Simulate an instruction on what it meets, and send it.

        Raises:
            ComponentError: it was refused, or its outcome is not known.
        """
        if isinstance(instruction, Chain) and not instruction.atomic:
            with self._senders.keys.held(key):  # so that no recovery closes it between two of its steps
                return self._send_sequence(at, instruction, key, in_hand, index)
        with self._computing():
            market = self.account.fresh(at)
            state = self.account.state(market)
            step = self._prepare(instruction, key, state, market)
            assert isinstance(step, Step)
            if in_hand is not None:
                is_leaving = in_hand.leaves
            else:
                is_leaving = leaves([instruction], state, [step.simulated], self.simulator.venues, market)
            approved = self._approved(at, step, market, is_leaving=is_leaving)
        return self._sent(approved, step, in_hand, index)

    def _sent(
        self, approved: Approved, step: Step, in_hand: PlanInHand | None, index: int | None, parent: str | None = None
    ) -> ExecutionReport:
        try:
            sent = self._senders.send(approved, plan=None if in_hand is None else in_hand.number, step=index, parent=parent)
        except VenueRejected as refused:
            wrapped = VenueRejected("EIM-001", refused.message, COMPONENT, original_exception=refused)
            wrapped.add_earlier(refused.reports)
            raise wrapped from refused
        report = structs.replace(sent.report, recorded=self._is_recorded)
        if report.settlements:
            self.take_up(report.settlements)
        return report

    def _send_sequence(self, at: datetime, chain: Chain, key: str, in_hand: PlanInHand | None, index: int | None) -> ExecutionReport:
        """Send the steps of a chain that is not atomic one after another; each has an entry of its own under the chain's."""
        done: list[ExecutionReport] = [entry.reports[-1] for entry in self.journal.children(key) if entry.status is Status.SETTLED]
        first = len(done)
        number = None if in_hand is None else in_hand.number
        for place, action in enumerate(chain.steps[first:], first):
            try:
                with self._computing():
                    market = self.account.fresh(at)
                    state = self.account.state(market)
                    resolved = _with_outputs(action, done)
                    step = self._prepare(resolved, child_key(key, place), state, market)
                    assert isinstance(step, Step)
                    is_leaving = in_hand.leaves if in_hand else leaves([resolved], state, [step.simulated], self.simulator.venues, market)
                    within_usd = self.journal.spent_within_usd(key)
                    approved = self._approved(at, step, market, is_leaving=is_leaving, within_usd=within_usd)
                if place == first and ((whole_entry := self.journal.entry(key)) is None or not whole_entry.is_open):
                    parent = structs.replace(approved.order, key=key, instruction=chain, asked=encode_instruction(chain))
                    self.journal.intended(parent, plan=number, step=index)
                done.append(self._sent(approved, step, in_hand, index, parent=key))
            except ComponentError as error:
                raise self._sequence_stopped(at, chain, key, place, error, done, first) from error
        whole = _joined(key, at, done, 0)
        self.journal.close(key, Status.SETTLED, whole, self.account.ledger.state)
        return whole

    def _sequence_stopped(
        self, at: datetime, chain: Chain, key: str, place: int, error: ComponentError, done: Sequence[ExecutionReport], first: int
    ) -> ComponentError:
        failure = _stopped(place, chain.steps[place], error, is_begun=bool(done[first:]))
        if done[first:]:
            failure.add_earlier([_joined(key, at, done[first:], first)])
        whole = self.journal.entry(key)
        # Under an id the rest of it may come again; without one it cannot.
        if whole is not None and whole.is_open and chain.instruction_id is None and not isinstance(error, OutcomeUnknown):
            self.journal.close(key, Status.REJECTED, None, None, failure.message)
        return failure

    def _first_report(self, instruction: Instruction) -> ExecutionReport | None:
        """The report of what was executed under this id, where it was, in this process or an earlier one."""
        assert instruction.instruction_id is not None
        entry = self.journal.entry(instruction.instruction_id)
        if entry is None:
            return None
        require_same_instruction(entry.key, _asked(entry), instruction)
        if entry.status is not Status.SETTLED:
            return None
        return structs.replace(entry.reports[-1], replayed=True, settlements=NOTHING)

    def _stopped_plan(self, in_hand: PlanInHand, reports: Sequence[ExecutionReport], failures: Sequence[ComponentError]) -> ComponentError:
        what = {COMPLETE: "the other steps were sent", HOLD: "the rest was not sent"}.get(in_hand.on_failure, "the rest was not sent")
        message = "; ".join(failure.message for failure in failures)
        error = PlanStopped("EXM-001", f"{message}; {what} (on_failure: {in_hand.on_failure})", original_exception=failures[0])
        error.reports = NOTHING
        error.add_earlier(reports)
        error.on_failure, error.before = in_hand.on_failure, in_hand.plan.before
        return error


class _Computing:
    """The account's lock, in the exact decimal context."""

    def __init__(self, pipeline: LivePipeline) -> None:
        self._lock, self._exact = pipeline._lock, pipeline._exact

    def __enter__(self) -> None:
        self._lock.acquire()
        self._outside = getcontext()
        setcontext(self._exact)

    def __exit__(self, *error: object) -> None:
        setcontext(self._outside)
        self._lock.release()


def _steps_of(prepared: Prepared) -> Sequence[Step]:
    if isinstance(prepared, Step):
        return (prepared,)
    return prepared.steps if isinstance(prepared, StepSequence) else ()


def _account_of(instruction: Instruction) -> str:
    """The venue account that sends it: the exchange of a trade, the sender of a transfer, the wallet of an action."""
    if isinstance(instruction, CexTrade):
        return instruction.venue
    return instruction.from_venue if isinstance(instruction, WalletTransfer) else WALLET


def _instructions(blocks: Sequence[Any]) -> list[Instruction] | None:
    """The blocks as instructions; None where one is none."""
    try:
        return [parse_instruction(block) for block in blocks]
    except ComponentError:
        return None


def _asked(entry: Entry) -> Instruction:
    return decode_instruction(entry.order.asked) if entry.order is not None and entry.order.asked else entry.instruction


def _with_outputs(action: Any, done: Sequence[ExecutionReport]) -> Any:
    from basis_strategy_v1.venues.chain import before_gas, with_output

    return with_output(action, [before_gas(report.deltas, report.costs) for report in done])
