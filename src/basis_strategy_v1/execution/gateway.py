"""What live execution asks of a way to a venue, and what a venue's answer looks like."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.state import State


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of an instruction, as the venue tells it.

    `reference` is the venue's own name of it: an order id, a transaction hash. `raw` is the answer as it came.
    """

    deltas: Deltas
    reference: str
    costs: tuple[Cost, ...] = ()
    details: dict[str, Any] = {}
    raw: Any = None


class MalformedAnswer(ValueError):
    """The venue answered, and the answer says nothing that can be booked. `raw` is what it said."""

    def __init__(self, fault: str, raw: Any) -> None:
        self.fault = fault
        self.raw = raw
        super().__init__(fault, raw)

    def __str__(self) -> str:
        return self.fault


class Gateway(Protocol):
    """The way to a venue. What it raises says what the caller does next.

    VenueRejected: the venue refused, which is final. VenueUnreachable: nothing was sent, so it may be sent again.
    OutcomeUnknown, or whatever else that is no ComponentError: perhaps it was sent. MalformedAnswer: it was answered,
    unintelligibly. Calls come in changing threads, in the caller's decimal context, and `find` and `read` also while a
    `submit` that took too long is still on its way.
    """

    def submit(self, instruction: Instruction, key: str) -> Outcome:
        """Send the instruction under `key`, once, and give what became of it."""
        ...

    def find(self, key: str) -> Outcome | None:
        """What became of the instruction that was sent under `key`; None where the venue knows of none (yet)."""
        ...

    def read(self) -> State:
        """The parts of the state that this venue knows wholly, with everything in them that it has answered."""
        ...


def require_well_formed(answer: object) -> Outcome:
    """The answer, if its amounts can be booked.

    Raises:
        MalformedAnswer: what is wrong with it.
    """
    if not isinstance(answer, Outcome):
        raise MalformedAnswer(f"{shown(answer)}, which is not an Outcome", answer)
    fault = _fault_of(answer)
    if fault is not None:
        raise MalformedAnswer(fault, answer.raw if answer.raw is not None else answer)
    return answer


def _fault_of(outcome: Outcome) -> str | None:
    # A Struct does not check its fields when it is made: whatever a venue's client put there is looked at here.
    deltas, costs, reference = _as_given(outcome)
    if not isinstance(deltas, Deltas):
        return f"deltas that are {shown(deltas)}, not Deltas"
    for key, amount in deltas.items():
        if not _is_place(key):
            return f"deltas under {shown(key)}, which is not venue and token"
        if not _is_finite(amount):
            return f"a change of {shown(amount)} {key[1]}, which is not a finite Decimal"
    if not isinstance(costs, tuple):
        return f"costs that are {shown(costs)}, not a tuple of Cost"
    for cost in costs:
        if not (isinstance(cost, Cost) and _is_finite(cost.amount)):
            return f"a cost that is {shown(cost)}, not a Cost of a finite Decimal"
    if not isinstance(reference, str) or not reference:
        return f"a reference that is {shown(reference)}, not the venue's name of it"
    return None


def _as_given(outcome: Any) -> tuple[Any, Any, Any]:
    return outcome.deltas, outcome.costs, outcome.reference


def _is_place(key: tuple[Any, Any]) -> bool:
    return all(isinstance(name, str) and name for name in key)


def _is_finite(amount: object) -> bool:
    return isinstance(amount, Decimal) and amount.is_finite()
