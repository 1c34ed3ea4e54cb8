"""The outcomes of the blocks of stored plans: for the counters of a run that continues after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.order import HEDGE
from basis_strategy_v1.execution.exposure import COMPLETE, UNWIND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from basis_strategy_v1.core.journal import Journal, StoredPlan


def outcomes(plans: Iterable[StoredPlan], journal: Journal) -> tuple[int, int]:
    """How many blocks of stored plans were executed, and how many failed. Those of a plan in hand that failed are sent again."""
    routed = failed = 0
    for stored in plans:
        routed += stored.settled
        missing = sum(not _is_repeated(block, stored.number, journal) for block in stored.plan.blocks) - stored.settled
        if stored.has_ended and missing:
            failed += missing if stored.plan.on_failure == COMPLETE else 1
    return routed, failed


def unwound_in_a_row(plans: Iterable[StoredPlan], journal: Journal, earlier: int = 0) -> int:
    """How many plans in a row were stopped to be unwound: of stored ones, after `earlier` before them. One that was executed ends the row;
    the guard's own do not count."""
    for stored in plans:
        if stored.has_ended and stored.plan.blocks and stored.plan.purpose != HEDGE:
            if not outcomes([stored], journal)[1]:
                earlier = 0
            elif stored.plan.on_failure == UNWIND:
                earlier += 1
    return earlier


def unwinds_to(plans: Sequence[StoredPlan], journal: Journal) -> Mapping[str, Decimal] | None:
    """The net exposure to go back to, where the newest of the plans after the last recorded step was stopped to be unwound; None: there is
    nothing to unwind."""
    newest = next((stored for stored in reversed(plans) if stored.plan.blocks), None)
    if newest is None:
        return None
    is_stopped = newest.has_ended and newest.plan.on_failure == UNWIND and outcomes([newest], journal)[1] > 0
    return newest.plan.before if is_stopped else None


def _is_repeated(block: dict[str, Any], number: int, journal: Journal) -> bool:
    """Whether a block has the id of an instruction that was executed before its plan."""
    key = block.get("instruction_id")
    entry = None if key is None else journal.entry(key)
    return entry is not None and entry.plan != number and entry.status is Status.SETTLED
