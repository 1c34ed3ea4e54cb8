"""Uniswap v3 pools from data: a price with a depth, a row of a state file, what a node answers."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.venues.uniswap_data import (
    STATE_COLUMNS,
    UniswapPoolRow,
    closed_window,
    pool_from_price_and_depth,
    pool_from_row,
    price_of,
    row_of_pool,
    sqrt_price_of,
    ticks_in_word,
    words_around,
)
from basis_strategy_v1.venues.uniswap_pool import (
    PoolState,
    add_position,
    exact_input_single,
    full_range,
    sqrt_price_at,
    swap,
)

MILLION = 10**12  # of a token with six decimals


def stepped_pool() -> PoolState:
    """Positions left and right of the price, two of which meet in a tick whose net is 0, and an empty stretch above."""
    pool = add_position(PoolState(sqrt_price_at(5), 5, 0, 3_000, 60, ()), -6_000, 6_000, 10**21)
    pool = add_position(pool, -120, 0, 3 * 10**21)
    pool = add_position(pool, 0, 120, 3 * 10**21)
    return add_position(pool, 60_000, 66_000, 10**20)


def pool_of_one_range() -> PoolState:
    return add_position(PoolState(sqrt_price_at(0), 0, 0, 3_000, 60, ()), *full_range(60), 10**18)


# A price with a depth


def weth_usdt(**options: int | None) -> PoolState:
    return pool_from_price_and_depth(Decimal(3_000), Decimal(1_000_000), usd_per_token1=Decimal(1), decimals0=18, decimals1=6, **options)


def test_a_pool_from_price_and_depth_stands_at_the_price() -> None:
    pool = weth_usdt()
    assert (pool.fee_pips, pool.tick_spacing, [tick for tick, _ in pool.ticks]) == (500, 10, [-887_270, 887_270])
    assert abs(price_of(pool.sqrt_price_x96, 18, 6) / 3_000 - 1) < Decimal("1e-20")


def test_paying_in_the_depth_moves_the_price_by_its_basis_points() -> None:
    after = swap(weth_usdt(), False, MILLION * 1_000_000 // 999_500).pool
    assert abs(price_of(after.sqrt_price_x96, 18, 6) / 3_060 - 1) < Decimal("1e-9")


def test_a_banded_pool_ends_at_its_band() -> None:
    pool = weth_usdt(range_bps=500)
    for zero_for_one, edge in ((True, Decimal("0.95")), (False, Decimal("1.05"))):
        filled = exact_input_single(pool, zero_for_one, 10**30, sqrt_price_limit=sqrt_price_of(edge * 3_000, 18, 6))
        assert filled.paid < 10**30
        assert filled.pool.liquidity == pool.liquidity
        assert exact_input_single(pool, zero_for_one, 10**30).pool.liquidity == 0


def test_a_token_without_dollar_price_is_deep_by_its_own_price() -> None:
    options = {"decimals0": 18, "decimals1": 18, "fee_pips": 100}
    in_dollars = pool_from_price_and_depth(Decimal("1.05"), Decimal(3_000_000), usd_per_token1=Decimal(3_000), **options)
    in_ether = pool_from_price_and_depth(Decimal("1.05"), Decimal(1_000), usd_per_token1=Decimal(1), **options)
    assert in_dollars == in_ether


# Rows


@given(st.integers(1, 10**22), st.booleans())
def test_the_state_after_a_trade_is_one_that_a_row_can_hold(amount: int, zero_for_one: bool) -> None:
    row = UniswapPoolRow(("WETH", 18), ("USDT", 6), swap(stepped_pool(), zero_for_one, amount).pool)
    assert pool_from_row(row_of_pool(row)) == row


def test_a_row_of_a_state_file_gives_the_pool_back() -> None:
    row = row_of_pool(UniswapPoolRow(("WETH", 18), ("USDT", 6), stepped_pool()))
    assert set(STATE_COLUMNS) == {"timestamp", "block", *row}
    assert row["ticks"].startswith("-6000:1000000000000000000000;-120:3000000000000000000000;0:0;")
    assert pool_from_row(row) == UniswapPoolRow(("WETH", 18), ("USDT", 6), stepped_pool())


def test_a_tick_one_below_the_price_is_taken_after_a_crossing() -> None:
    crossed = swap(stepped_pool(), True, 10**24, sqrt_price_at(-120)).pool
    assert (crossed.tick, crossed.sqrt_price_x96) == (-121, sqrt_price_at(-120))
    row = UniswapPoolRow(("A", 18), ("B", 18), crossed)
    assert pool_from_row(row_of_pool(row)) == row


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("sqrt_price_x96", "1.5", "sqrt_price_x96 must be a whole number, got '1.5'"),
        ("sqrt_price_x96", "7", "sqrt_price_x96 must be 4295128739 to"),
        ("tick", "6", "tick must be 5 at sqrt_price_x96"),
        ("liquidity", "1", "must add up to the liquidity 1 "),
        ("fee_pips", "1000000", "fee_pips must be 0 to 999999"),
        ("tick_spacing", "0", "tick_spacing 1 to 16383"),
        ("ticks", "60", "ticks must read tick:liquidity_net"),
        ("ticks", "60:5;0:-5", "ticks must ascend"),
        ("ticks", "61:5;120:-5", "be multiples of 60"),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_named(column: str, text: str, message: str) -> None:
    row = row_of_pool(UniswapPoolRow(("WETH", 18), ("USDT", 6), stepped_pool()))
    with pytest.raises(ValueError, match=message):
        pool_from_row({**row, column: text})


def test_ticks_that_leave_liquidity_behind_are_refused() -> None:
    row = row_of_pool(UniswapPoolRow(("A", 18), ("B", 18), pool_of_one_range()))
    with pytest.raises(ValueError, match="all of them to 0"):
        pool_from_row({**row, "ticks": row["ticks"].rsplit(";", 1)[0]})


# What a node answers


def test_the_bits_of_a_word_are_its_ticks() -> None:
    assert ticks_in_word(-1, 1 << 255 | 1, 60) == (-256 * 60, -60)
    assert ticks_in_word(2, 1 << 3, 10) == (5_150,)
    assert ticks_in_word(0, 0, 1) == ()


@pytest.mark.parametrize(
    ("tick", "words", "expected"),
    [(0, 0, range(0, 1)), (-1, 1, range(-2, 1)), (15_360, 1, range(0, 3)), (887_000, 5, range(52, 58)), (0, 99, range(-58, 58))],
)
def test_words_around_a_tick_stay_within_the_map(tick: int, words: int, expected: range) -> None:
    assert words_around(tick, 60, words) == expected


def test_a_window_of_the_map_trades_alike_and_ends_at_its_ends() -> None:
    whole = add_position(stepped_pool(), *full_range(60), 10**19)
    words = words_around(whole.tick, 60, 0)
    inside = tuple((tick, net) for tick, net in whole.ticks if 0 <= tick < 15_360)
    window = closed_window(msgspec.structs.replace(whole, ticks=inside), words)
    assert [tick for tick, _ in window.ticks] == [0, 120, 6_000, 15_360]
    row = UniswapPoolRow(("A", 18), ("B", 18), window)
    assert pool_from_row(row_of_pool(row)) == row
    assert swap(window, False, 10**20)[1:] == swap(whole, False, 10**20)[1:]
    assert swap(window, False, 10**30).pool.liquidity == 0
