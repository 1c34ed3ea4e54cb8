"""The pipeline of an order live: it is journaled, sent by its gateway, and committed as the venue reports it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.order import DECISION, Plan
from basis_strategy_v1.execution.circuit_breaker import UNREADABLE
from basis_strategy_v1.execution.comparison import filled_of_expected
from basis_strategy_v1.execution.exposure import COMPLETE, UNWIND, default_on_failure
from basis_strategy_v1.execution.live_sending import LiveSending
from basis_strategy_v1.execution.pipeline import NOTHING, foreign, require_aware, require_plan
from basis_strategy_v1.execution.plan_in_hand import PlanInHand, PlanStopped, ShortFill
from basis_strategy_v1.execution.pretrade_check import PreTradeCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.instructions import Instruction


LEAST_FILLED = Decimal("0.99")  # of what was simulated; below it an entering plan stops


class LivePipeline(LiveSending):
    """Runs the plans of one live account.

    The account's lock is held to simulate and to commit, never while a venue is waited for. Each step is simulated again on the state and
    the prices that it meets, approved, written down and sent; the state after it is the state before plus what the venue reported.
    """

    is_concurrent = False  # whether legs at different venues may be sent at once: not in a replay, whose order is the data's

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
            plan, is_leaving, approved = self._checked(plan) if blocks else (plan, False, [])
        plan = structs.replace(plan, on_failure=plan.on_failure or default_on_failure(leaves=is_leaving))
        if plan.on_failure != COMPLETE:
            self._rehearse(at, blocks, approved)
        in_hand = PlanInHand(self.journal.begin_plan(plan), plan, is_leaving, str(plan.on_failure))
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
        for index, block, sent in self._sent_in_turn(in_hand):
            try:
                report = sent()
                reports.append(report)
                if in_hand.on_failure == UNWIND and index + 1 < len(in_hand.plan.blocks):
                    _require_filled(index, block, report)
            except OutcomeUnknown as unknown:
                unknown.add_earlier(reports)
                raise
            except ComponentError as failure:
                if failure.error_code == UNREADABLE:  # perhaps executed: its entry is open, and is looked up again
                    pending = StillPending(UNREADABLE, failure.message, original_exception=failure.original_exception)
                    pending.add_earlier(reports)
                    raise pending from failure
                failures.append(failure)
                reports += failure.reports
                if in_hand.on_failure != COMPLETE:
                    break
        self.journal.end_plan(in_hand.number)
        if failures:
            raise self._stopped_plan(in_hand, reports, failures)
        return reports

    def _sent_in_turn(self, in_hand: PlanInHand) -> Iterator[tuple[int, Any, Callable[[], ExecutionReport]]]:
        """Each step of a plan with what gives its report. Trades at different venues that are tried whatever becomes of each other are sent
        at once; each of them is written down before it is sent, and all have ended when the first report is given."""
        blocks = in_hand.plan.blocks
        for group in self._groups(in_hand):
            if len(group) == 1:
                yield group[0], blocks[group[0]], partial(self._send_block, in_hand, group[0], blocks[group[0]])
                continue
            with ThreadPoolExecutor(len(group), "leg") as threads:  # in the caller's decimal context
                legs = [threads.submit(copy_context().run, self._send_block, in_hand, index, blocks[index]) for index in group]
            for index, leg in zip(group, legs, strict=True):
                yield index, blocks[index], leg.result

    def _groups(self, in_hand: PlanInHand) -> Iterator[list[int]]:
        """The steps of a plan by their indices: those that are sent at once in one list. Legs of a plan that enters follow each other,
        because each is as large as the one before it has filled."""
        group: list[int] = []
        taken: set[str] = set()
        for index, block in enumerate(in_hand.plan.blocks):
            name = self._connection_of(block)
            if group and not (self.is_concurrent and in_hand.on_failure == COMPLETE and taken and name and name not in taken):
                yield group
                group, taken = [], set()
            group.append(index)
            if name:
                taken.add(name)
        yield group

    def _connection_of(self, block: Any) -> str:
        """The connection that a trade goes by; empty for anything else."""
        sender = self._senders.by_venue.get(str(block.get("venue"))) if block.get("instruction_type") == "cex_trade" else None
        return "" if sender is None else sender.connection.name

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

    def _stopped_plan(self, in_hand: PlanInHand, reports: Sequence[ExecutionReport], failures: Sequence[ComponentError]) -> ComponentError:
        what = "the other steps were tried" if in_hand.on_failure == COMPLETE else "the rest was not sent"
        message = "; ".join(failure.message for failure in failures)
        error = PlanStopped("EXM-001", f"{message}; {what} (on_failure: {in_hand.on_failure})", original_exception=failures[0])
        error.reports = NOTHING
        error.add_earlier(reports)
        error.on_failure, error.before = in_hand.on_failure, in_hand.plan.before
        return error


def _require_filled(index: int, block: Any, report: ExecutionReport) -> None:
    """The legs after a trade are as large as it was simulated to fill: they are not sent where it filled less.

    Raises:
        ShortFill.
    """
    if block.get("instruction_type") != "cex_trade":
        return
    share = filled_of_expected(report)
    if share < LEAST_FILLED:
        raise ShortFill("EXM-001", f"step {index}: {report.venue} filled {share:.0%} of what was simulated")


def _instructions(blocks: Sequence[Any]) -> list[Instruction] | None:
    """The blocks as instructions; None where one is none."""
    try:
        return [parse_instruction(block) for block in blocks]
    except ComponentError:
        return None
