"""The outcomes of the blocks of stored plans: for the counters of a run that continues after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.journal import Status
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


def unwinds_to(plans: Sequence[StoredPlan], journal: Journal) -> Mapping[str, Decimal] | None:
    """The net exposure to go back to, where the newest of the plans after the last recorded step was stopped to be unwound; None: there is
    nothing to unwind."""
    if not plans:
        return None
    newest = plans[-1]
    is_stopped = newest.has_ended and newest.plan.on_failure == UNWIND and outcomes([newest], journal)[1] > 0
    return newest.plan.before if is_stopped else None


def _is_repeated(block: dict[str, Any], number: int, journal: Journal) -> bool:
    """Whether a block has the id of an instruction that was executed before its plan."""
    key = block.get("instruction_id")
    entry = None if key is None else journal.entry(key)
    return entry is not None and entry.plan != number and entry.status is Status.SETTLED
