"""The Uniswap v3 pool: known answers of the contract's libraries, and what must hold for any trade."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.uniswap_pool import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    Q96,
    PoolState,
    add_position,
    exact_input_single,
    exact_output_single,
    full_range,
    price_after_amount0,
    price_after_amount1,
    quote,
    sqrt_price_at,
    swap,
    tick_at,
)

ETHER = 10**18


def pool_of_one_range(liquidity: int = 2 * ETHER, fee_pips: int = 600) -> PoolState:
    """A full-range pool at price 1."""
    return add_position(PoolState(Q96, 0, 0, fee_pips, 60, ()), *full_range(60), liquidity)


def stepped_pool() -> PoolState:
    """Positions left and right of the price, two of which meet in a tick whose net is 0, and an empty stretch above."""
    pool = add_position(PoolState(sqrt_price_at(5), 5, 0, 3_000, 60, ()), -6_000, 6_000, 10**21)
    pool = add_position(pool, -120, 0, 3 * 10**21)
    pool = add_position(pool, 0, 120, 3 * 10**21)
    return add_position(pool, 60_000, 66_000, 10**20)


# Answers of the contract's own libraries


@dataclass(frozen=True)
class SimulationResult:
    amount: int
    sqrt_price_x96: int


def test_the_ends_of_the_range_are_the_contracts_own() -> None:
    assert (sqrt_price_at(MIN_TICK), sqrt_price_at(MAX_TICK)) == (MIN_SQRT_PRICE, MAX_SQRT_PRICE)
    assert (tick_at(MIN_SQRT_PRICE), tick_at(MAX_SQRT_PRICE - 1)) == (MIN_TICK, MAX_TICK - 1)


@pytest.mark.parametrize(
    "moved",
    [
        SimulationResult(10**17, 72025602285694852357767227579),
        SimulationResult(-(10**17), 88031291682515930659493278152),
    ],
)
def test_token0_moves_the_price_as_the_contract_does(moved: SimulationResult) -> None:
    assert price_after_amount0(Q96, ETHER, moved.amount) == moved.sqrt_price_x96


@pytest.mark.parametrize(
    "moved",
    [
        SimulationResult(10**17, 87150978765690771352898345369),
        SimulationResult(-(10**17), 71305346262837903834189555302),
    ],
)
def test_token1_moves_the_price_as_the_contract_does(moved: SimulationResult) -> None:
    assert price_after_amount1(Q96, ETHER, moved.amount) == moved.sqrt_price_x96


def test_no_input_takes_the_price_below_one() -> None:
    assert price_after_amount0(1, 1, 2**255) == 1


def test_a_step_that_ends_at_its_price_limit_is_the_contracts() -> None:
    limit = isqrt((101 << 192) // 100)
    after, amount0, amount1 = swap(pool_of_one_range(), False, ETHER, limit)
    assert (amount0, amount1) == (-9_925_619_580_021_728, 9_975_124_224_178_055 + 5_988_667_735_148)
    assert after.sqrt_price_x96 == limit


@pytest.mark.parametrize("amount", [10**18, -(10**18)])
def test_taking_more_than_there_is_is_refused(amount: int) -> None:
    with pytest.raises(Reverted):
        price_after_amount0(Q96, 10**17, -abs(amount))
    with pytest.raises(Reverted):
        price_after_amount1(Q96, 10**17, -abs(amount))


@pytest.mark.parametrize("move", [price_after_amount0, price_after_amount1])
def test_a_price_beyond_160_bits_is_refused(move) -> None:
    sign = -1 if move is price_after_amount0 else 1
    liquidity = 2**127 if sign < 0 else 1
    amount = (liquidity << 96) // MAX_SQRT_PRICE if sign < 0 else 2**100
    with pytest.raises(Reverted, match="160 bits"):
        move(MAX_SQRT_PRICE - 1, liquidity, sign * amount)


# Any trade

prices = st.integers(MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1)
amounts = st.integers(1, 10**22)
directions = st.booleans()


@given(prices)
def test_the_tick_of_a_price_is_the_last_one_not_above_it(price: int) -> None:
    tick = tick_at(price)
    assert sqrt_price_at(tick) <= price < sqrt_price_at(tick + 1)


@given(st.integers(MIN_TICK, MAX_TICK - 1))
def test_the_tick_of_a_ticks_price_is_that_tick(tick: int) -> None:
    assert tick_at(sqrt_price_at(tick)) == tick


@given(amounts, directions)
def test_there_and_back_never_earns_anything(amount: int, zero_for_one: bool) -> None:
    there = exact_input_single(stepped_pool(), zero_for_one, amount)
    if there.received:
        back = exact_input_single(there.pool, not zero_for_one, there.received)
        assert back.received <= there.paid


@given(amounts, directions)
def test_asking_for_what_an_input_gave_costs_no_more_than_the_input(amount: int, zero_for_one: bool) -> None:
    given_in = exact_input_single(stepped_pool(), zero_for_one, amount)
    if given_in.received:
        asked_out = exact_output_single(stepped_pool(), zero_for_one, given_in.received)
        assert asked_out.received == given_in.received
        assert asked_out.paid <= given_in.paid


@given(amounts, directions, st.integers(1, 9_000))
def test_a_price_limit_is_never_passed(amount: int, zero_for_one: bool, away: int) -> None:
    limit = sqrt_price_at(5 - away if zero_for_one else 5 + away)
    after = swap(stepped_pool(), zero_for_one, amount, limit).pool
    assert after.sqrt_price_x96 >= limit if zero_for_one else after.sqrt_price_x96 <= limit


def test_a_quote_is_the_swap_without_the_pool() -> None:
    pool = stepped_pool()
    after, amount0, amount1 = swap(pool, True, ETHER)
    assert quote(pool, True, ETHER) == (amount0, -amount1) == (ETHER, -amount1)
    assert after != pool


def test_a_larger_trade_crosses_into_thinner_liquidity_and_gets_a_worse_price() -> None:
    _, little = quote(stepped_pool(), True, ETHER)
    _, much = quote(stepped_pool(), True, 100 * ETHER)
    assert much < 100 * little


# What is refused, and what is filled in part


def test_an_input_beyond_the_liquidity_is_filled_in_part() -> None:
    traded = exact_input_single(stepped_pool(), True, 10**24)
    assert (traded.paid, traded.pool.liquidity, traded.pool.tick) == (traded.paid, 0, MIN_TICK)
    assert traded.paid < 10**24


def test_an_output_beyond_the_liquidity_is_refused() -> None:
    with pytest.raises(Reverted, match=r"the pool's liquidity gives \d+ wei of the 1000000000000000000000000 asked for"):
        exact_output_single(stepped_pool(), True, 10**24)


def test_an_output_beyond_a_price_limit_is_filled_in_part() -> None:
    traded = exact_output_single(stepped_pool(), True, 10**24, sqrt_price_limit=sqrt_price_at(0))
    assert 0 < traded.received < 10**24


@pytest.mark.parametrize("trade", [exact_input_single, exact_output_single])
def test_a_pool_that_is_empty_on_this_side_is_refused(trade) -> None:
    with pytest.raises(Reverted, match="no liquidity on this side"):
        trade(PoolState(Q96, 0, 0, 3_000, 60, ()), True, ETHER, *([] if trade is exact_input_single else [2 * ETHER, Q96 - 1]))


def test_less_than_the_least_allowed_is_refused_with_both_numbers() -> None:
    received = exact_input_single(stepped_pool(), True, ETHER).received
    assert exact_input_single(stepped_pool(), True, ETHER, received).received == received
    with pytest.raises(Reverted, match=f"Too little received: {received} wei, the least allowed is {received + 1}"):
        exact_input_single(stepped_pool(), True, ETHER, received + 1)


def test_more_than_the_most_allowed_is_refused_with_both_numbers() -> None:
    paid = exact_output_single(stepped_pool(), False, ETHER).paid
    assert exact_output_single(stepped_pool(), False, ETHER, paid).paid == paid
    with pytest.raises(Reverted, match=f"Too much requested: {paid} wei, the most allowed is {paid - 1}"):
        exact_output_single(stepped_pool(), False, ETHER, paid - 1)


@pytest.mark.parametrize("limit", [Q96, Q96 + 1, MIN_SQRT_PRICE, 0])
def test_a_limit_on_the_wrong_side_is_refused(limit: int) -> None:
    with pytest.raises(Reverted, match="SPL: the sqrt price limit"):
        swap(pool_of_one_range(), True, ETHER, limit)


def test_a_limit_just_within_the_range_is_taken() -> None:
    assert swap(pool_of_one_range(), False, ETHER, MAX_SQRT_PRICE - 1) == swap(pool_of_one_range(), False, ETHER)
    with pytest.raises(Reverted, match="SPL"):
        swap(pool_of_one_range(), False, ETHER, MAX_SQRT_PRICE)


def test_an_amount_of_nothing_or_beyond_256_bits_is_refused() -> None:
    with pytest.raises(Reverted, match="AS"):
        swap(pool_of_one_range(), True, 0)
    with pytest.raises(Reverted, match="256 bits"):
        swap(pool_of_one_range(), True, 2**255)


@pytest.mark.parametrize("ask", [lambda: sqrt_price_at(MAX_TICK + 1), lambda: tick_at(MAX_SQRT_PRICE), lambda: tick_at(MIN_SQRT_PRICE - 1)])
def test_ticks_and_prices_beyond_the_range_are_refused(ask) -> None:
    with pytest.raises(Reverted):
        ask()


@pytest.mark.parametrize(("lower", "upper"), [(60, 60), (120, 60), (-61, 60), (0, 61), (-887_280, 0), (0, 887_280)])
def test_a_position_between_impossible_ticks_is_refused(lower: int, upper: int) -> None:
    with pytest.raises(Reverted, match=f"ticks {lower} to {upper}"):
        add_position(pool_of_one_range(), lower, upper, 1)


@pytest.mark.parametrize("liquidity", [0, -1, 2**128])
def test_a_position_of_impossible_liquidity_is_refused(liquidity: int) -> None:
    with pytest.raises(Reverted, match=f"liquidity {liquidity}"):
        add_position(pool_of_one_range(), -60, 60, liquidity)
