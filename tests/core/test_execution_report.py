"""The one value that comes back up."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport

MOVED = Deltas.at("binance", {"ETH": Decimal(1)})


def report(**changes: object) -> ExecutionReport:
    given = {
        "key": "k",
        "venue": "binance",
        "at": datetime(2024, 6, 1, tzinfo=UTC),
        "kind": "execution",
        "deltas": MOVED,
        "expected": MOVED,
    }
    return ExecutionReport(**{**given, **changes})  # type: ignore[arg-type]


def test_a_report_is_a_simulated_one_without_costs_unless_it_says_more() -> None:
    found = report()
    assert (found.costs, found.reference, found.details, found.replayed) == ((), "simulated", {}, False)
    assert found == report(deltas=Deltas.at("binance", {"ETH": Decimal("1.0")}))
    assert found != report(costs=(Cost("fees", "USDT", Decimal("0.5")),))


def test_a_report_is_not_changed_afterwards() -> None:
    found = report()
    with pytest.raises(AttributeError):
        found.key = "other"  # type: ignore[misc]
    found.details["fill_price"] = 1
    assert report().details == {}
