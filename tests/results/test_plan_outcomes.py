"""How many blocks of stored plans count as executed and as failed, after a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import CexTrade
from basis_strategy_v1.core.journal import MemoryJournal, StoredPlan
from basis_strategy_v1.core.order import HEDGE, Plan
from basis_strategy_v1.results.plan_outcomes import outcomes, unwinds_to, unwound_in_a_row

AT = datetime(2024, 6, 1, tzinfo=UTC)


def stored(blocks: tuple[dict[str, Any], ...], settled: int, on_failure: str, *, has_ended: bool = True) -> StoredPlan:
    return StoredPlan(plan=Plan(at=AT, blocks=blocks, on_failure=on_failure), number=2, has_ended=has_ended, settled=settled)


@pytest.mark.parametrize(
    ("settled", "on_failure", "has_ended", "counted"),
    [
        (3, "unwind", True, (3, 0)),
        (1, "unwind", True, (1, 1)),
        (0, "hold", True, (0, 1)),
        (1, "complete", True, (1, 2)),
        (1, "complete", False, (1, 0)),
    ],
)
def test_a_plan_that_stopped_has_one_failure_and_one_that_went_on_has_all(
    settled: int, on_failure: str, has_ended: bool, counted: tuple[int, int]
) -> None:
    assert outcomes([stored(({}, {}, {}), settled, on_failure, has_ended=has_ended)], MemoryJournal()) == counted


def test_a_repetition_counts_as_neither() -> None:
    journal = MemoryJournal()
    report = ExecutionReport(key="a", venue="bybit", at=AT, kind="execution", deltas=Deltas(), expected=Deltas())
    journal.settled("a", CexTrade(venue="bybit", trade_type="spot", side="buy", symbol="ETHUSDT", amount="all"), report)
    plans = [stored(({"instruction_id": "a"}, {}), 1, "complete"), stored(({"instruction_id": "b"},), 1, "complete")]
    assert outcomes(plans, journal) == (2, 0)


BEFORE = {"ETH": Decimal("0.5")}


def stopped(settled: int, on_failure: str = "unwind", *, has_ended: bool = True) -> StoredPlan:
    plan = Plan(at=AT, blocks=({}, {}), on_failure=on_failure, before=BEFORE)
    return StoredPlan(plan=plan, number=2, has_ended=has_ended, settled=settled)


def empty() -> StoredPlan:
    """What keeps the memory of a step at which nothing was sent."""
    return StoredPlan(plan=Plan(at=AT, blocks=(), on_failure="unwind"), number=3, has_ended=True, settled=0)


def by_the_guard(one: StoredPlan) -> StoredPlan:
    return replace(one, plan=replace(one.plan, purpose=HEDGE))


@pytest.mark.parametrize(
    ("plans", "found"),
    [
        ([stopped(1)], BEFORE),
        ([stopped(0)], BEFORE),
        ([stopped(2), stopped(1)], BEFORE),
        ([], None),
        ([stopped(2)], None),
        ([stopped(1), stopped(2)], None),
        ([stopped(1, has_ended=False)], None),
        ([stopped(1, "hold")], None),
        ([stopped(1, "complete")], None),
        ([stopped(1), empty()], BEFORE),
        ([empty()], None),
    ],
)
def test_only_the_newest_plan_is_unwound_and_only_where_it_was_stopped_for_that(plans: list[StoredPlan], found: Any) -> None:
    assert unwinds_to(plans, MemoryJournal()) == found


@pytest.mark.parametrize(
    ("plans", "count"),
    [
        ([], 4),
        ([stopped(1)], 5),
        ([stopped(1), empty(), stopped(0)], 6),
        ([stopped(2)], 0),
        ([stopped(2), stopped(1)], 1),
        ([stopped(1), stopped(1, has_ended=False)], 5),
        ([stopped(1, "complete"), stopped(1, "hold")], 4),
        ([by_the_guard(stopped(2)), by_the_guard(stopped(1))], 4),
    ],
)
def test_plans_that_were_unwound_in_a_row_are_counted_on_from_those_before(plans: list[StoredPlan], count: int) -> None:
    assert unwound_in_a_row(plans, MemoryJournal(), 4) == count
