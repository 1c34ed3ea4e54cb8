"""Figures of the summary that are not sums."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1.results.summary import annualised

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("initial", "final", "days", "expected"),
    [
        (100, 110, 365, "0.1"),
        (100, 121, 730, "0.1"),
        (100, 101, 73, "0.0510100501"),  # 1.01 ** 5 - 1
        (100, 100, 10, "0"),
        (100, 0, 10, "-1"),
        (100, -5, 10, "-1"),
        (0, 100, 10, "0"),
        (100, 110, 0, "0"),
    ],
)
def test_the_return_of_a_year_is_compounded_over_365_days(initial: int, final: int, days: int, expected: str) -> None:
    assert abs(annualised(initial, final, START, START + timedelta(days=days)) - Decimal(expected)) <= Decimal("1e-12")
