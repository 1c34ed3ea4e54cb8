"""A level that changes for good, against a price that only moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.data.check_levels import levels, outliers
from basis_strategy_v1.data.check_table import issues_of
from basis_strategy_v1.data.columns import Columns

from .columns_of import DAILY, DEX, PERP, SPOT, STAKING, bars, columns_of, walk


def found_in(columns: Columns) -> list[int]:
    return [found.row for found in levels(columns)]


FACTORS = st.sampled_from([0.001, 0.01, 0.1, 0.2, 4.0, 10.0, 100.0, 1000.0, 1e8])


@given(st.integers(0, 99), FACTORS, st.integers(2, 58), st.sampled_from([SPOT, PERP, DAILY]))
def test_bars_of_another_unit_are_found_at_their_first_row(seed: int, factor: float, at: int, series: str) -> None:
    closes = walk(seed, 60, 0.01)
    joined = [*closes[:at], *(price * factor for price in closes[at:])]
    whole = bars(series, joined, every=24 if series == DAILY else 1)
    low, high = (list(whole.figures[name].values) for name in ("low", "high"))
    low[at] = high[at] = joined[at]  # the first bar of the new level begins there
    columns = columns_of(
        series, range(0, 60 * (24 if series == DAILY else 1), 24 if series == DAILY else 1), high=high, low=low, close=joined
    )
    assert found_in(columns) == [at]


@given(st.integers(0, 999), st.sampled_from([0.005, 0.02, 0.1]))
def test_a_market_that_moves_has_no_change_of_level(seed: int, size: float) -> None:
    """Also where it moves by 10 % an hour: a bar begins where the one before it ended."""
    assert found_in(bars(SPOT, [max(price, 1.0) for price in walk(seed, 200, size)])) == []


def test_a_crash_within_a_bar_is_a_price() -> None:
    assert found_in(bars(SPOT, [100.0] * 10 + [20.0, 4.0, 1.0] + [0.9] * 10)) == []


def test_a_price_that_comes_back_is_an_outlier_and_no_level() -> None:
    closes = [100.0] * 10 + [1000.0] + [100.0] * 10
    columns = columns_of(SPOT, range(21), high=closes, low=closes, close=closes)
    assert found_in(columns) == []
    assert {found.row for found in outliers(columns)} == {10}


def test_over_a_gap_a_price_may_have_moved_further() -> None:
    closes = [100.0] * 10 + [300.0] * 10
    for hours, expected in ((1, [10]), (720, [])):
        stamps = [*range(10), *range(9 + hours, 19 + hours)]
        assert found_in(columns_of(SPOT, stamps, high=closes, low=closes, close=closes)) == expected
    thousand = [100.0] * 10 + [100_000.0] * 10
    assert found_in(columns_of(SPOT, [*range(10), *range(800, 810)], high=thousand, low=thousand, close=thousand)) == [10]


@pytest.mark.parametrize(
    ("series", "column", "before", "after", "change"),
    [
        (STAKING, "eth_per_token", 1.16, 0.862, "from 1.16 to 0.862, by -26%"),
        (STAKING, "eth_per_token", 1.16, 1.16e18, "from 1.16 to 1.16e+18, by a factor of 1e+18"),
        (DEX, "eth_per_token", 1.16, 0.862, "from 1.16 to 0.862, by -26%"),
        ("lending/aave_v3/WETH", "oracle_price_usd", 2000.0, 2e11, "from 2000 to 2e+11, by a factor of 1e+08"),
        ("lending/aave_v3/WETH", "liquidity_index", 1.05, 1.05e27, "from 1.05 to 1.05e+27, by a factor of 1e+27"),
    ],
)
def test_rates_of_redemption_oracles_and_indices_have_levels_too(
    series: str, column: str, before: float, after: float, change: str
) -> None:
    columns = columns_of(series, range(0, 240, 24), **{column: [before] * 5 + [after] * 5})
    [issue] = [one for one in issues_of(columns) if one.kind == "level"]
    assert (issue.severity, issue.row) == ("warning", 5)
    assert issue.message == (
        f"column {column}: the level changes {change}, at 2024-01-06T00:00:00Z and stays; "
        "correct the rows, or leave the time before or after it out of the run"
    )


def test_what_a_stake_earns_is_no_change_of_level() -> None:
    rates = [1.16 * 1.0001**day for day in range(400)]
    assert found_in(columns_of(STAKING, range(0, 9600, 24), eth_per_token=rates)) == []
    with_a_gap = [*rates[:100], *rates[300:]]
    assert found_in(columns_of(STAKING, [*range(0, 2400, 24), *range(7200, 9600, 24)], eth_per_token=with_a_gap)) == []
