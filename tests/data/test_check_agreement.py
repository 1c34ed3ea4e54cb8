"""Series that contradict each other."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.data.check_table import Issue, issues_between
from basis_strategy_v1.data.columns import Columns

from .columns_of import DEX, PERP, SPOT, STAKING, bars, columns_of, walk

UNITS = st.sampled_from([0.001, 0.01, 100.0, 1000.0, 1e8])
WETH, WSTETH = "lending/aave_v3/WETH", "lending/aave_v3/wstETH"


def issues(*series: Columns) -> list[Issue]:
    return list(issues_between(series))


def oracle(series: str, prices: list[float], factor: float = 1.0) -> Columns:
    """Daily rows of hourly prices."""
    daily = [price * factor for price in prices[::24]]
    return columns_of(series, range(0, 24 * len(daily), 24), oracle_price_usd=daily)


def redemptions(days: int, first: float = 1.16) -> Columns:
    return columns_of(STAKING, range(0, 24 * days, 24), eth_per_token=[first * 1.0001**day for day in range(days)])


@given(st.integers(0, 999), st.floats(-0.2, 0.2), st.floats(0.001, 0.02))
def test_a_market_with_its_basis_agrees_with_itself(seed: int, basis: float, size: float) -> None:
    prices = [max(price, 1.0) for price in walk(seed, 240, size)]
    perp, other = [price * (1 + basis) for price in prices], "ohlcv/okx/perp/ETHUSDT_1h"
    wrapped = oracle(WSTETH, prices, 1.16)
    dex = columns_of(DEX, range(240), eth_per_token=[1.16 * (1 + basis / 2)] * 240)
    series = [bars(SPOT, prices), bars(PERP, perp), bars(other, prices), oracle(WETH, prices), wrapped, redemptions(10), dex]
    assert issues(*Random(seed).sample(series, len(series))) == []


@given(st.integers(0, 999), UNITS, st.booleans())
def test_legs_in_other_units_are_an_error(seed: int, factor: float, is_spot: bool) -> None:
    prices = walk(seed, 100, 0.01)
    other = [price * factor for price in prices]
    spot, perp = bars(SPOT, other if is_spot else prices), bars(PERP, prices if is_spot else other)
    [issue] = issues(spot, perp)
    assert (issue.kind, issue.severity, issue.row) == ("contradiction", "error", 0)
    assert "ohlcv/bybit/spot/ETHUSDT_1h" in issue.message and "ohlcv/bybit/perp/ETHUSDT_1h" in issue.message
    assert f"apart by a factor of {max(factor, 1 / factor):.4g} in 100 of 100 rows compared" in issue.message


@given(st.integers(0, 999), UNITS, st.integers(60, 95))
def test_a_unit_that_changes_on_the_way_is_a_warning_with_the_first_place(seed: int, factor: float, since: int) -> None:
    prices = walk(seed, 100, 0.01)
    perp = [*prices[:since], *(price * factor for price in prices[since:])]
    closes = columns_of(PERP, range(100), close=perp)
    [issue] = issues(bars(SPOT, prices), closes)
    assert (issue.severity, issue.row, issue.series) == ("warning", since, SPOT)


@given(st.integers(0, 999), UNITS)
def test_an_oracle_in_another_unit_contradicts_the_market_or_the_other_oracle(seed: int, factor: float) -> None:
    prices = walk(seed, 480, 0.01)
    weth, wsteth, rates = oracle(WETH, prices, factor), oracle(WSTETH, prices, 1.16), redemptions(20)
    [issue] = issues(bars(SPOT, prices), weth)
    assert (issue.series, issue.severity) == (WETH, "error")
    [issue] = issues(weth, wsteth, rates)
    assert (issue.series, issue.severity) == (WSTETH, "error") and WETH in issue.message
    [issue] = issues(bars(SPOT, prices), weth, wsteth, rates)
    assert issue.series == WETH


def test_where_all_others_agree_it_is_the_first_that_is_named_once() -> None:
    prices = walk(3, 240, 0.01)
    found = issues(bars(PERP, [price / 1000 for price in prices]), bars(SPOT, prices), bars("ohlcv/okx/spot/ETHUSDT_1h", prices))
    assert len(found) == 1 and PERP in found[0].message


@pytest.mark.parametrize("first", [0.86, 1.16e18])
def test_a_market_contradicts_a_redemption_that_is_turned_over_or_in_wei(first: float) -> None:
    dex = columns_of(DEX, range(240), eth_per_token=[1.16] * 240)
    [issue] = issues(dex, redemptions(10, first))
    assert (issue.series, issue.severity) == (STAKING, "error") and DEX in issue.message


def test_other_tokens_and_other_times_are_not_compared() -> None:
    prices = [2000.0] * 50
    assert issues(bars(SPOT, prices), bars("ohlcv/bybit/perp/1000PEPEUSDT_1h", [0.01] * 50)) == []
    late = columns_of(PERP, range(1000, 1050), close=[2.0] * 50)
    assert issues(bars(SPOT, prices), late) == []
    assert issues(bars(SPOT, prices), columns_of(PERP, [], close=[])) == []


def test_a_dollar_that_its_own_market_does_not_price_at_one_is_a_warning() -> None:
    falls = columns_of("lending/aave_v3/USDC", range(0, 240, 24), oracle_price_usd=[1.0] * 6 + [0.88] * 4)
    [issue] = issues(falls)
    assert (issue.kind, issue.severity, issue.row, issue.rows) == ("dollar", "warning", 6, 4)
    assert issue.message == (
        "USDC counts as 1 USDT, and column oracle_price_usd says 0.88 at 2024-01-07T00:00:00Z; "
        "bring a spot series USDCUSDT to value it by its price"
    )
    assert issues(falls, columns_of("ohlcv/bybit/spot/USDCUSDT_1h", range(240), close=[0.9] * 240)) == []
    near = columns_of("lending/aave_v3/USDT", range(0, 240, 24), oracle_price_usd=[0.99, 1.01] * 5)
    assert issues(near) == []
    wrong_unit = columns_of("lending/aave_v3/USDT", range(0, 240, 24), oracle_price_usd=[1e8] * 10)
    assert [issue.severity for issue in issues(wrong_unit)] == ["error"]
