"""An order between sending and its outcome, and what is released once the outcome is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.gateway import Due, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import Chain, SmartContractAction
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.order import Order
from basis_strategy_v1.execution.accrued import INTEREST

if TYPE_CHECKING:
    Answer = Happened | Pending | NeverHappened | VenueRejected | MalformedAnswer | OutcomeUnknown | VenueUnreachable

ZERO = Decimal(0)


class Sent(Struct, frozen=True, kw_only=True):
    """What became of an order: its report, with the venue's own deltas, and the same as changes of the venues' states.

    `breaks` are what the venue reported or shows otherwise than expected.
    """

    report: ExecutionReport
    changes: Mapping[str, Any] = {}
    breaks: tuple[str, ...] = ()


class Concluded(Struct, frozen=True, kw_only=True):
    """An order of which nothing more will be heard: what was `sent`, or the `error` that says why there is nothing.

    `status` None: the answer cannot be read, and the order's entry stays open.
    """

    status: Status | None
    sent: Sent | None = None
    error: ComponentError | None = None

    def given(self) -> Sent:
        """What was sent; its error is raised."""
        if self.error is not None:
            raise self.error
        assert self.sent is not None, "what has no error has a report"
        return self.sent


class NotConcluded(Struct, frozen=True, kw_only=True):
    """An order of which more will be heard: the error that it comes to at its deadline, and whether the venue has answered at all."""

    error: OutcomeUnknown
    is_answered: bool


class OrderInHand(Struct, kw_only=True):
    """An order that was sent.

    `why`: why its outcome is not known yet, and `cause` the error behind it. `ends_s`: when it counts as lost (monotonic). `filled`: the
    share that was reported so far. `notes` go into the details of its report.
    """

    order: Order
    messages: Sequence[Message]
    ends_s: float
    why: str = ""
    cause: BaseException | None = None
    filled: Decimal = ZERO
    notes: dict[str, Any] = {}

    def report(self, answer: Happened) -> ExecutionReport:
        """What an answer says, as a report."""
        order = self.order
        return ExecutionReport(
            key=order.key,
            venue=_venue_of(order),
            at=order.at,
            kind="execution",
            deltas=answer.deltas,
            expected=order.expected,
            costs=answer.costs,
            reference=answer.reference,
            details={**answer.details, **self.notes},
            filled=answer.filled,
            settlements=tuple(settlement_of(item) for item in answer.settlements if item.deltas or item.kind != INTEREST),
        )


def settlement_of(item: Due) -> ExecutionReport:
    """What happened at a venue by itself, as a report."""
    return ExecutionReport(
        key=item.id, venue=item.venue, at=item.at, kind=item.kind, deltas=item.deltas, expected=item.deltas, costs=item.costs,
        details=item.details, recorded=True,
    )  # fmt: skip


def _venue_of(order: Order) -> str:
    """The venue of a report, as in a backtest: the protocol of an action, the first one of a chain."""
    instruction = order.instruction
    if isinstance(instruction, Chain):
        instruction = instruction.steps[0]
    return instruction.protocol if isinstance(instruction, SmartContractAction) else order.venue


def is_answer(answer: Answer) -> bool:
    """Whether it comes from the venue, and not from the want of an answer."""
    return not isinstance(answer, VenueUnreachable | OutcomeUnknown)


def is_last(answer: Answer) -> bool:
    """Whether nothing more will be heard of the order."""
    if isinstance(answer, Happened):
        return answer.final
    return isinstance(answer, NeverHappened | VenueRejected | MalformedAnswer)
