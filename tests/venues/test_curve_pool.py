"""The stable-swap pool: the answers that the real 3pool gave, and what must hold for any exchange."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.venues.curve_pool import (
    FEE_DENOMINATOR,
    STATE_COLUMNS,
    CurvePoolRow,
    StableSwapPool,
    amplification_at,
    dynamic_fee,
    exchange,
    get_d,
    get_dy,
    get_y,
    pool_from_price_and_depth,
    pool_from_row,
    rate_of,
    row_of_pool,
)
from basis_strategy_v1.venues.reverted import Reverted

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "data" / "vectors"
ETHER = 10**18


def vector(name: str) -> Any:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{name} is not there: the recorded answers lie next to the repository, in shared/data/vectors")
    return json.loads(path.read_text())


def recorded_pool() -> tuple[StableSwapPool, dict[str, int]]:
    """3pool at a block, and the index of each coin."""
    state = vector("curve_tripool_block_24407242.json")
    ramp = (state["initial_a"], state["future_a"], state["initial_a_time"], state["future_a_time"])
    rates = tuple(rate_of(token["decimals"]) for token in state["tokens"])
    amplification = amplification_at(*ramp, state["block_timestamp"])
    pool = StableSwapPool(tuple(state["balances"]), amplification, state["fee"], state["admin_fee"], rates, "3pool")
    return pool, {token["symbol"]: index for index, token in enumerate(state["tokens"])}


def ng_pool() -> StableSwapPool:
    """wstETH-like / WETH / a coin of six decimals, out of balance."""
    balances = (5_000 * ETHER, 6_200 * ETHER, 4_000 * 10**6)
    rates = (1_152_739 * 10**12, rate_of(18), rate_of(6))
    return StableSwapPool(balances, 50_000, 4_000_000, FEE_DENOMINATOR // 2, rates, "ng", 2 * FEE_DENOMINATOR)


def three_pool() -> StableSwapPool:
    return msgspec.structs.replace(ng_pool(), amplification=500, kind="3pool", offpeg_fee_multiplier=0)


def test_every_recorded_answer_of_3pool_comes_out_to_the_last_digit() -> None:
    pool, index = recorded_pool()
    answers = vector("curve_3pool_get_dy.json")["entries"]
    expected = {name: answer["value"] for name, answer in answers.items()}
    assert {name: _answer(pool, index, name) for name in expected} == expected
    assert len(expected) == 18


def _answer(pool: StableSwapPool, index: dict[str, int], name: str) -> int:
    _, _, pair, amount = name.split("|")
    sold, bought = pair.split("->")
    return get_dy(pool, index[sold], index[bought], int(amount))


def test_the_invariant_of_an_extreme_ng_pool_is_the_recorded_one() -> None:
    assert get_d((10**23, 10**18), 1_000, "ng") == 9_010_395_375_710_532_394_006


@pytest.mark.parametrize(("at", "amplification"), [(100, 5_000), (150, 4_500), (151, 4_490), (200, 4_000), (999, 4_000)])
def test_amplification_falls_in_whole_seconds(at: int, amplification: int) -> None:
    assert amplification_at(5_000, 4_000, 100, 200, at) == amplification


@pytest.mark.parametrize(("at", "amplification"), [(100, 10), (133, 13), (199, 19), (200, 20)])
def test_amplification_rises_in_whole_seconds(at: int, amplification: int) -> None:
    assert amplification_at(10, 20, 100, 200, at) == amplification


pools = st.sampled_from([ng_pool(), three_pool()])
pairs = st.sampled_from([(0, 1), (1, 0), (0, 2), (2, 1)])


@given(pools, pairs, st.integers(1, 1_000))
def test_there_and_back_never_earns_anything(pool: StableSwapPool, pair: tuple[int, int], thousandths: int) -> None:
    i, j = pair
    dx = pool.balances[i] * thousandths // 1_000
    after, received = exchange(pool, i, j, dx)
    assert exchange(after, j, i, received).received <= dx


@given(pools, pairs, st.integers(1, 3_000))
def test_the_quote_is_what_is_paid_but_for_the_old_kinds_last_wei(pool: StableSwapPool, pair: tuple[int, int], thousandths: int) -> None:
    dx = pool.balances[pair[0]] * thousandths // 1_000
    paid, quoted = exchange(pool, *pair, dx).received, get_dy(pool, *pair, dx)
    assert paid - quoted in ({0} if pool.kind == "ng" else {-1, 0, 1})


@given(pools, pairs, st.integers(1, 3_000))
def test_an_exchange_never_lowers_the_invariant(pool: StableSwapPool, pair: tuple[int, int], thousandths: int) -> None:
    after, _ = exchange(pool, *pair, pool.balances[pair[0]] * thousandths // 1_000)
    assert _invariant(after) >= _invariant(pool)


def _invariant(pool: StableSwapPool) -> int:
    held = tuple(balance * rate // ETHER for balance, rate in zip(pool.balances, pool.rates, strict=True))
    return get_d(held, pool.amplification, pool.kind)


@given(pools)
def test_y_at_the_present_balance_is_the_present_balance(pool: StableSwapPool) -> None:
    held = (5 * 10**21, 6 * 10**21, 4 * 10**21)
    y = get_y(0, 1, held[0], held, pool.amplification, get_d(held, pool.amplification, pool.kind), pool.kind)
    assert abs(y - held[1]) <= 1


def test_an_exchange_moves_the_balances_and_sets_the_admin_fee_aside() -> None:
    pool = ng_pool()
    after, received = exchange(pool, 0, 1, ETHER)
    without_fee = exchange(msgspec.structs.replace(pool, fee=0), 0, 1, ETHER).received
    taken_from_pool = pool.balances[1] - after.balances[1]
    assert after.balances[0] == pool.balances[0] + ETHER
    assert received < taken_from_pool < without_fee
    assert abs((without_fee - received) - 2 * (taken_from_pool - received)) <= 2


def test_the_fee_rises_as_the_two_balances_part() -> None:
    balanced, apart = (dynamic_fee(1_000, other, 4_000_000, 2 * FEE_DENOMINATOR) for other in (1_000, 1_000_000))
    assert (balanced, apart) == (4_000_000, 7_968_190)
    assert dynamic_fee(1_000, 1_000_000, 4_000_000, FEE_DENOMINATOR) == 4_000_000


def test_a_rate_oracle_prices_a_coin() -> None:
    even = StableSwapPool((10**22, 10**22), 100_000, 0, 0, (rate_of(18), rate_of(18)), "ng")
    richer = msgspec.structs.replace(even, rates=(rate_of(18, 12 * ETHER // 10), rate_of(18)))
    assert get_dy(even, 0, 1, ETHER) < ETHER < get_dy(richer, 0, 1, ETHER) < 12 * ETHER // 10


def test_a_rate_counts_the_decimals() -> None:
    assert (rate_of(18), rate_of(6), rate_of(8, 2 * ETHER)) == (10**18, 10**30, 2 * 10**28)


# What is refused


@pytest.mark.parametrize(("i", "j"), [(0, 0), (-1, 0), (0, 3), (3, 1)])
def test_coins_that_are_not_two_of_the_pool_are_refused(i: int, j: int) -> None:
    with pytest.raises(Reverted, match=f"coins {i} and {j}"):
        exchange(ng_pool(), i, j, ETHER)


def test_less_than_the_least_allowed_is_refused_with_both_numbers() -> None:
    received = exchange(ng_pool(), 0, 1, ETHER).received
    assert exchange(ng_pool(), 0, 1, ETHER, received).received == received
    with pytest.raises(Reverted, match=f"{received} wei, the least allowed is {received + 1}"):
        exchange(ng_pool(), 0, 1, ETHER, received + 1)


def test_selling_nothing_is_refused() -> None:
    for pool in (ng_pool(), three_pool()):
        with pytest.raises(Reverted):
            exchange(pool, 0, 1, 0)


def test_an_amount_beyond_256_bits_is_refused() -> None:
    for dx in (2**130, 2**250):
        with pytest.raises(Reverted, match="256 bits"):
            exchange(ng_pool(), 0, 1, dx)


def test_a_pool_without_one_of_its_coins_is_refused() -> None:
    with pytest.raises(Reverted, match="no balance"):
        exchange(msgspec.structs.replace(ng_pool(), balances=(0, ETHER, 10**6)), 1, 2, ETHER)


def test_a_pool_without_anything_has_no_invariant() -> None:
    assert get_d((0, 0), 100, "ng") == 0
    with pytest.raises(Reverted, match="coin 0 of the pool has no balance"):
        get_y(0, 1, 0, (0, 0), 100, 0, "ng")


# Pools from data


def test_a_pool_from_price_and_depth_trades_at_the_price() -> None:
    pool = pool_from_price_and_depth(Decimal("1.0512"), Decimal(30_000_000), usd_per_coin1=Decimal(3_000))
    assert pool.balances[1] == 10_000 * ETHER
    for i, j, fair in ((0, 1, Decimal("1.0512")), (1, 0, 1 / Decimal("1.0512"))):
        price = Decimal(get_dy(pool, i, j, ETHER)) / ETHER
        assert abs(price / fair - (1 - Decimal("0.0004"))) < Decimal("1e-6")


def test_a_row_of_a_state_file_gives_the_pool_back() -> None:
    for pool in (ng_pool(), three_pool()):
        row = CurvePoolRow((("wstETH", 18), ("WETH", 18), ("USDX", 6)), pool)
        texts = row_of_pool(row)
        assert set(STATE_COLUMNS) == {"timestamp", "block", *texts}
        assert texts["coins"] == "wstETH;WETH;USDX"
        assert pool_from_row(texts) == row


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("kind", "crypto", "kind must be 3pool or ng, got 'crypto'"),
        ("balances", "5;x;1", "balances must be whole numbers joined by ;, got '5;x;1'"),
        ("balances", "5;0;1", "must be positive, got '5;0;1'"),
        ("rates", "5;6", "must list the same two or more coins"),
        ("coins", "A", "must list the same two or more coins"),
        ("amplification", "99", "amplification must be 100 or more"),
        ("fee", "10000000000", "fees fractions of 1e10"),
        ("admin_fee", "10000000001", "fees fractions of 1e10"),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_named(column: str, text: str, message: str) -> None:
    texts = row_of_pool(CurvePoolRow((("A", 18), ("B", 18), ("C", 6)), ng_pool()))
    with pytest.raises(ValueError, match=message):
        pool_from_row({**texts, column: text})
