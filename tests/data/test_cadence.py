"""How often a series has a row: means over time, and payments that should have come, whatever the intervals are."""

from __future__ import annotations

from array import array
from decimal import Decimal
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.data.cadence import missed_payments, time_paid_for
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.series import Loaded, Numbers, Series

H = HOUR_US
YEAR_HOURS = 8760
# Intervals in hours, each with how many payments there are of it: the interval may change twice.
REGIMES = st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(6, 40)), min_size=1, max_size=3)


def hours(*regimes: tuple[int, int]) -> list[int]:
    return list(accumulate([0, *(interval for interval, payments in regimes for _ in range(payments))]))


def series_of(stamps: list[int], rates: list[str]) -> Series:
    spec, numbers = spec_of("funding/bybit/ETHUSDT"), Numbers()
    assert spec is not None
    numbers.extend_texts(rates)
    return Series(spec, Loaded(array("q", stamps), (numbers,)), 36 * H)


def mean_a_year(series: Series, at: int, window: int) -> Decimal | None:
    found = series.sum_within(at * H, window * H)
    return None if found is None else found[0] * YEAR_HOURS * H / found[1]


@given(regimes=REGIMES, window=st.integers(8, 200))
def test_a_rate_that_is_the_same_over_time_is_its_own_mean_whatever_the_intervals(regimes: list[tuple[int, int]], window: int) -> None:
    """0.1 % an hour, paid each 1, 2, 4 or 8 hours."""
    stamps = hours(*regimes)
    steps = [stamps[1], *(after - before for before, after in pairwise(stamps))]
    series = series_of([stamp * H for stamp in stamps], [f"{Decimal('0.001') * step}" for step in steps])
    for at in range(stamps[-1] + 1):
        mean = mean_a_year(series, at, window)
        assert (mean is None) == (at - window < -steps[0] or at < stamps[1])
        assert mean is None or mean == pytest.approx(Decimal("8.76"))


@given(regimes=REGIMES)
def test_a_change_of_the_interval_is_no_missed_payment(regimes: list[tuple[int, int]]) -> None:
    stamps = [hour * H for hour in hours(*regimes)]
    assert list(missed_payments(stamps, stamps[-1])) == []


@given(regimes=REGIMES, payments=st.integers(9, 40), late_us=st.sampled_from([0, 4_000, 900_000]))
def test_payments_that_are_taken_out_within_an_interval_are_missed_each_once(
    regimes: list[tuple[int, int]], payments: int, late_us: int
) -> None:
    last, _ = regimes[-1]
    whole = [hour * H + late_us for hour in hours(*regimes[:-1], (last, payments))]
    gap = whole[-5:-3]
    left = [stamp for stamp in whole if stamp not in gap]
    assert list(missed_payments(left, left[-1])) == gap


@pytest.mark.parametrize(
    ("stamps", "until", "missed"),
    [
        ([0, 8, 16, 32, 40, 48], 48, [24]),
        ([0, 8, 16, 24, 25, 26, 27, 28], 28, []),
        ([0, 1, 2, 3, 4, 12, 20, 28, 36], 36, []),
        ([0, 1, 2, 3, 11, 12, 13, 14], 14, [4, 5, 6, 7, 8, 9, 10]),
        ([0, 1, 2, 3, 4], 7, [5, 6, 7]),  # after the last row too
        ([0, 8, 16], 23, []),
        ([0], 100, []),
        ([], 100, []),
    ],
)
def test_what_is_due_is_what_the_rows_around_it_say(stamps: list[int], until: int, missed: list[int]) -> None:
    assert [due / H for due in missed_payments([stamp * H for stamp in stamps], until * H)] == missed


def test_a_gap_is_no_time_that_was_paid_for_once_a_row_after_it_is_known() -> None:
    hourly = [hour * H for hour in (0, 1, 2, 3, 4, 5, 14)]
    assert time_paid_for(hourly, 1) == 14 * H, "it may be a payment of nine hours"
    assert time_paid_for([*hourly, 15 * H], 1) == 7 * H


def test_there_is_no_mean_of_a_window_that_the_rows_do_not_cover() -> None:
    series = series_of([hour * H for hour in (0, 8, 16, 24)], ["0.0001"] * 4)
    assert [mean_a_year(series, 24, window) for window in (24, 32, 33)] == [Decimal("0.1095"), Decimal("0.1095"), None]
    assert mean_a_year(series, 100, 24) is None, "nothing was paid then"
    assert mean_a_year(series_of([0], ["0.0001"]), 5, 24) is None


def test_nothing_is_missed_of_a_series_without_rows() -> None:
    assert series_of([], []).next_missed(0) is None
