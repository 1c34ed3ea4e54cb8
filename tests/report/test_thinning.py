"""Fewer points, the same extremes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.report.thinning import drawdowns, thin

AMOUNTS = st.lists(st.floats(min_value=-1e12, max_value=1e12), min_size=1, max_size=300)


@given(AMOUNTS, st.integers(min_value=2, max_value=80))
def test_thinning_keeps_order_ends_and_extremes(values: list[float], most: int) -> None:
    kept = thin(values, most)
    assert kept == sorted(set(kept))
    assert len(kept) <= most + 2
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert min(values[index] for index in kept) == min(values)
    assert max(values[index] for index in kept) == max(values)


def test_a_short_series_is_kept_whole() -> None:
    assert thin([3.0, 1.0, 2.0], 3) == [0, 1, 2]


def test_of_a_stretch_of_equal_values_its_first_and_last_are_kept() -> None:
    assert thin([0.0] * 12, 4) == [0, 5, 6, 11]


def test_drawdown_is_measured_from_the_highest_value_so_far() -> None:
    assert drawdowns([100.0, 120.0, 90.0, 150.0, 75.0]) == [0.0, 0.0, -0.25, 0.0, -0.5]


def test_the_first_peak_may_be_from_before_the_first_value() -> None:
    assert drawdowns([90.0, 75.0, 120.0, 60.0], initial=100.0) == [pytest.approx(-0.1), -0.25, 0.0, -0.5]
    assert drawdowns([50.0, 75.0], frozenset({0}), 100.0) == [0.0, -0.25]


def test_there_is_no_drawdown_from_nothing() -> None:
    assert drawdowns([0.0, -5.0]) == [0.0, 0.0]
    assert drawdowns([-5.0], initial=0.0) == [0.0]


@given(st.lists(st.floats(min_value=0.01, max_value=1e9), min_size=1, max_size=100))
def test_a_drawdown_is_never_above_zero_nor_below_all(values: list[float]) -> None:
    found = drawdowns(values)
    assert len(found) == len(values)
    assert all(-1 < depth <= 0 for depth in found)
