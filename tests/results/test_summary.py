"""Figures of the summary that are not sums."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.results.summary import annualised

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("initial", "final", "days", "expected"),
    [
        (100, 110, 365, "0.1"),
        (100, 121, 730, "0.1"),
        (100, 101, 73, "0.0510100501"),  # 1.01 ** 5 - 1
        (100, 100, 30, "0"),
        (100, 0, 30, "-1"),
        (100, -5, 30, "-1"),
    ],
)
def test_the_return_of_a_year_is_compounded_over_365_days(initial: int, final: int, days: int, expected: str) -> None:
    found, why = annualised(initial, final, START, START + timedelta(days=days))
    assert found is not None
    assert abs(found - Decimal(expected)) <= Decimal("1e-12")
    assert why == ""


@pytest.mark.parametrize(
    ("initial", "final", "hours", "why"),
    [
        (100, 110, 1, "the run has less than a day, and a figure of a year needs 30"),
        (100, 110, 0, "the run has less than a day, and a figure of a year needs 30"),
        (100, 110, 24, "the run has 1 day, and a figure of a year needs 30"),
        (100, 110, 29 * 24 + 11, "the run has 29 days, and a figure of a year needs 30"),
        (0, 100, 30 * 24, "the run began with nothing"),
        (1, 10**30, 30 * 24, "it is larger than any number that is kept"),
    ],
)
def test_there_is_no_return_a_year_where_it_would_say_nothing(initial: int, final: int, hours: int, why: str) -> None:
    assert annualised(initial, final, START, START + timedelta(hours=hours)) == (None, why)


def test_a_month_whose_data_begin_an_hour_late_is_a_month() -> None:
    assert annualised(100, 100, START, START + timedelta(days=30, hours=-1)) == (Decimal("0.0"), "")


@given(initial=st.integers(1, 10**30), final=st.integers(-(10**30), 10**40), seconds=st.integers(0, 10**9))
def test_no_run_is_too_short_or_too_good_for_a_summary(initial: int, final: int, seconds: int) -> None:
    found, why = annualised(initial, final, START, START + timedelta(seconds=seconds))
    assert (found is None) == bool(why)
    assert found is None or found >= -1
