"""Sends the steps of a plan live. Each is simulated again on the current state, approved, handed to its sender, and logged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending, VenueRejected
from basis_strategy_v1.core.instruction_codec import decode_instruction, encode_instruction
from basis_strategy_v1.core.instructions import COMPONENT, Chain, parse_instruction
from basis_strategy_v1.core.journal import Status, automatic_key, child_key, require_same_instruction
from basis_strategy_v1.execution.exposure import leaves
from basis_strategy_v1.execution.live_checks import LiveChecks
from basis_strategy_v1.execution.pipeline import NOTHING, SimulatedStep, _joined, _stopped, foreign
from basis_strategy_v1.execution.plan_in_hand import PlanInHand

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.journal import Entry
    from basis_strategy_v1.core.order import Approved


class LiveSending(LiveChecks):
    """Sends the blocks of one live account's plans."""

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
        self._record.events.once_written(partial(self.journal.logged, key))
        if "looked_up" in report.details:
            self._record.is_known(key)
        return packed

    def _failed(self, at: Any, block: Any, failure: ComponentError, trigger: str | None, started_s: float) -> None:
        """Count and log what failed, and what of it was executed."""
        with self._lock:
            self._record.failed(at, block, failure, trigger, started_s)
        for report in failure.reports:
            self._record.events.once_written(partial(self.journal.logged, report.key))

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
            state = self.account.met_by_instruction(market)
            step = self._prepare(instruction, key, state, market)
            assert isinstance(step, SimulatedStep)
            if in_hand is not None:
                is_leaving = in_hand.leaves
            else:
                is_leaving = leaves([instruction], state, [step.simulated], self.simulator.venues, market)
            approved = self._approved(at, step, market, is_leaving=is_leaving)
        return self._sent(approved, step, in_hand, index)

    def _sent(
        self, approved: Approved, step: SimulatedStep, in_hand: PlanInHand | None, index: int | None, parent: str | None = None
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
                    state = self.account.met_by_instruction(market)
                    resolved = _with_outputs(action, done)
                    step = self._prepare(resolved, child_key(key, place), state, market)
                    assert isinstance(step, SimulatedStep)
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


def _asked(entry: Entry) -> Instruction:
    return decode_instruction(entry.order.asked) if entry.order is not None and entry.order.asked else entry.instruction


def _with_outputs(action: Any, done: Sequence[ExecutionReport]) -> Any:
    from basis_strategy_v1.venues.chain import before_gas, with_output

    return with_output(action, [before_gas(report.deltas, report.costs) for report in done])
