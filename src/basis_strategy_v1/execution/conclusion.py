"""Records the outcome of an order together with the state after it, and compares it with what the venue shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.gateway import Happened, MalformedAnswer, NeverHappened
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.execution.accrued import with_interest
from basis_strategy_v1.execution.circuit_breaker import UNREADABLE
from basis_strategy_v1.execution.comparison import has_moved, looks_executed, unlike_deltas, unlike_expected, unlike_reading
from basis_strategy_v1.execution.order_in_hand import ZERO, Concluded, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.order_in_hand import Answer, OrderInHand
    from basis_strategy_v1.execution.sending_health import SendingHealth
    from basis_strategy_v1.execution.venue_calls import VenueCalls

LONGEST_RAW = 10_000
AT_BLOCK = "block_hash"
"""The detail of a report that names the block of the execution: what it is compared with is read there, or not at all."""
GIVE_FEE = "`basis resolve {key} --happened {reference} --fee 'AMOUNT TOKEN'`, or `--fee unknown`"


def subject_of(venue: str) -> str:
    """Under which name the health keeps what a venue account shows otherwise after an order."""
    return f"the state of {venue}"


class AccountState(Protocol):
    """The account's state, and where an execution is committed."""

    @property
    def state(self) -> State: ...

    not_ours: Mapping[str, Mapping[str, Decimal]]
    """What a venue account held at the first start beyond what belongs to the run: venue -> token -> amount."""

    def commit(
        self,
        report: ExecutionReport,
        settled: Sequence[Mapping[str, Any]],
        changes: Mapping[str, Any],
        write: Callable[[State, State], None],
    ) -> None:
        """Make the state after an execution, call `write` with the states before and after, then take the new one over.

        `settled` are the changes of what fell due just before it: the state before is the one after these. All of it under the account's
        lock. `write` stores the outcome and the state in one write; where it raises, nothing is taken over.
        Where nothing is known to be held, both states are the one that is not checked.

        Raises:
            ValueError: the changes do not fit the state; nothing was written.
        """
        ...


class Conclusions:
    """Concludes the orders of one venue account."""

    def __init__(self, venue: str, calls: VenueCalls, journal: LiveJournal, holdings: AccountState, health: SendingHealth) -> None:
        self._venue = venue
        self._calls = calls
        self._journal = journal
        self._holdings = holdings
        self._health = health

    def conclude(self, hand: OrderInHand, answer: Answer) -> Concluded:
        """Write down the last answer about an order."""
        if isinstance(answer, Happened):
            try:
                return self._happened(hand, answer)
            except MalformedAnswer as malformed:
                answer = malformed
        if isinstance(answer, MalformedAnswer):
            return self._unreadable(hand, answer)
        order = hand.order
        if isinstance(answer, VenueRejected):
            return self.close(order.key, Status.REJECTED, answer.message, answer)
        assert isinstance(answer, NeverHappened), "the last answer about an order"
        message = f"{self._venue}: {answer.reason}; {order.key} was not executed and can no longer be: it may be sent again"
        return self.close(order.key, Status.NEVER_HAPPENED, answer.reason, self._calls.unreachable(order, message, None))

    def doubt(self, order: Order) -> str | None:
        """Why an order that no look-up finds may have been executed all the same; None: the venue shows nothing of it.

        A look-up may be later than anyone expects, and an order that is sent again because of it would be a second one.
        """
        held = self._holdings.state
        if not held.checked or not order.expected.tokens(order.venue):
            return None
        try:
            read = self._calls.read(order)
        except (ComponentError, MalformedAnswer) as error:
            return f"{self._venue} cannot be read: {getattr(error, 'message', error)}"
        # Another order may have been taken over meanwhile: what agrees with the state before or after the reading agrees.
        not_ours = self._holdings.not_ours
        return looks_executed(order, held, read, not_ours) and looks_executed(order, self._holdings.state, read, not_ours)

    def close(self, key: str, status: Status, reason: str, error: ComponentError | None = None) -> Concluded:
        """Close an entry of which nothing was executed."""
        self._journal.close(key, status, None, None, reason)
        self._health.is_well(key)
        return Concluded(status=status, error=error)

    def _happened(self, hand: OrderInHand, answer: Happened) -> Concluded:
        status = Status.FAILED if answer.failed else Status.SETTLED
        if late := self._journal.recorded_late(hand.order.key, answer.reference):
            answer = _without_late(answer, late, self._venue)
        if answer.settlements:
            answer = self._with_interest(answer)
        report = hand.report(answer)
        self._commit(report, status, answer)
        self._health.is_well(report.key)
        report, breaks = self._compared(hand.order, report)
        sent = Sent(report=report, changes=answer.changes, breaks=breaks)
        if not answer.failed:
            return Concluded(status=status, sent=sent)
        message = f"{self._venue} executed {report.key} without effect ({report.reference}); its costs are recorded"
        error = self._calls.rejected(hand.order, message)
        error.add_earlier([report])
        return Concluded(status=status, sent=sent, error=error)

    def _with_interest(self, answer: Happened) -> Happened:
        try:
            return structs.replace(answer, settlements=tuple(with_interest(self._holdings.state, answer.settlements)))
        except ValueError as unfit:
            raw = answer if answer.raw is None else answer.raw
            raise MalformedAnswer(f"settlements that do not fit the state: {unfit}", raw) from unfit

    def _commit(self, report: ExecutionReport, status: Status, answer: Happened) -> None:
        """Store the outcome with the state after it.

        Raises:
            MalformedAnswer: the venue's changes do not fit the state.
        """
        raw = answer if answer.raw is None else answer.raw
        if report.deltas and not answer.changes and self._holdings.state.checked:
            raise MalformedAnswer("deltas without the changes of the venues' states", raw)
        fits = False

        def write(before: State, after: State) -> None:
            nonlocal fits
            if after.checked and (fault := next(unlike_deltas(report.deltas, before, after), None)) is not None:
                raise MalformedAnswer(f"changes of {fault}", raw)
            fits = True
            self._journal.close(report.key, status, report, after if after.checked else None)

        try:
            self._holdings.commit(report, [item.changes for item in answer.settlements], answer.changes, write)
        except MalformedAnswer:
            raise
        except ValueError as unfit:
            if fits:
                raise
            raise MalformedAnswer(f"changes that do not fit the state: {unfit}", raw) from unfit

    def _compared(self, order: Order, report: ExecutionReport) -> tuple[ExecutionReport, tuple[str, ...]]:
        """The report and what is wrong with it, next to what was expected and to what the venue shows now."""
        breaks = list(unlike_expected(report)) if report.filled else []
        held = self._holdings.state
        if held.checked:
            try:
                read = self._calls.read(order, report.details.get(AT_BLOCK))
            except (ComponentError, MalformedAnswer) as error:
                breaks.append(f"{self._venue} cannot be read: {getattr(error, 'message', error)}")
                report = structs.replace(report, details={**report.details, "state_read": False})
            else:
                # Another order may have been taken over meanwhile: what agrees with the state before or after the reading agrees.
                now = list(unlike_reading(report.deltas, self._holdings.state, read, self._holdings.not_ours))
                breaks += now and list(unlike_reading(report.deltas, held, read, self._holdings.not_ours))
        subject = subject_of(self._venue)
        if breaks:
            self._health.disagreement(subject, UNREADABLE, "; ".join(breaks))
        else:
            self._health.is_well(subject)
        return report, tuple(breaks)

    def _unreadable(self, hand: OrderInHand, malformed: MalformedAnswer) -> Concluded:
        """Keep an answer that cannot be recorded; the entry stays open. Where the venue shows that nothing moved, the report has no deltas;
        elsewhere it is an error."""
        order, raw = hand.order, repr(malformed.raw)[:LONGEST_RAW]
        message = f"{self._venue} answered {order.key} with {malformed.fault}; compare its raw answer with the venue before going on"
        if malformed.but_for_fee is not None:
            message += f"; where it stays so: {GIVE_FEE.format(key=order.key, reference=malformed.but_for_fee.reference)}"
        self._journal.note(order.key, f"{malformed.fault}; it answered {raw}")
        self._health.trouble(order.key, UNREADABLE, message)
        if self._has_moved(order):
            error = ComponentError(UNREADABLE, message, original_exception=malformed)
            error.__cause__ = malformed
            return Concluded(status=None, error=error)
        details = {"malformed": malformed.fault, "raw": raw}
        nothing = Happened(deltas=Deltas(), reference="reconciled", filled=ZERO, details=details)
        return Concluded(status=None, sent=Sent(report=structs.replace(hand, notes={}).report(nothing)))

    def _has_moved(self, order: Order) -> bool:
        held = self._holdings.state
        try:
            return not held.checked or has_moved(order.expected, held, self._calls.read(order), self._holdings.not_ours)
        except (ComponentError, MalformedAnswer):
            return True


def _without_late(answer: Happened, late: Sequence[Due], venue: str) -> Happened:
    """What is left to record of an execution that was recorded already when it turned up late: nothing.

    Raises:
        MalformedAnswer: what was recorded then is not the whole of it.
    """
    recorded = [item.id for item in late]
    if Deltas.total(item.deltas for item in late).tokens(venue) != answer.deltas.tokens(venue):
        raise MalformedAnswer(f"an execution of which {', '.join(recorded)} was recorded late, and no more", answer.raw or answer)
    return structs.replace(answer, deltas=Deltas(), changes={}, costs=(), details={**answer.details, "recorded": recorded})
