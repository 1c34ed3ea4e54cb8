"""Random trades on the real Uniswap v3 pool, router and quoter: every amount, price, tick and liquidity as the model says."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.uniswap_data import words_around
from basis_strategy_v1.venues.uniswap_pool import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    UINT_256,
    PoolState,
    Traded,
    add_position,
    exact_input_single,
    exact_output_single,
    full_range,
    sqrt_price_at,
)

from .chain import TransactionReverted
from .uniswap_deployment import DeployedPool, UniswapDeployment, deploy_uniswap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .chain import Chain

pytestmark = pytest.mark.chain

# fee_pips, tick of the first price: both signs, near 0 and far from it
POOLS = ((100, 5), (500, -196_257), (3_000, 80_000), (10_000, -1))
FAR_TICK = 600_000  # a pool swept to the end of its range: positions of these amounts would exceed what a tick may hold


@pytest.fixture
def uniswap(chain: Chain) -> Iterator[UniswapDeployment]:
    snapshot = chain.snapshot()
    yield deploy_uniswap(chain)
    chain.revert(snapshot)


class Order(NamedTuple):
    """One trade for the router. `bound` is the least out or the most in, `limit` a sqrt price or None."""

    exact_input: bool
    zero_for_one: bool
    amount: int
    bound: int
    limit: int | None

    def on_model(self, pool: PoolState) -> Traded:
        trade = exact_input_single if self.exact_input else exact_output_single
        return trade(pool, self.zero_for_one, self.amount, self.bound, self.limit)

    def on_chain(self, pool: DeployedPool) -> None:
        trade = pool.exact_input if self.exact_input else pool.exact_output
        trade(self.zero_for_one, self.amount, self.bound, self.limit or 0)


class Tally(NamedTuple):
    filled: int
    refused: int
    crossed: int


def random_order(random: Random, pool: PoolState) -> Order:
    exact_input, zero_for_one = random.random() < 0.5, random.random() < 0.5
    amount = int(10 ** random.uniform(0, 23)) if random.random() > 0.02 else 0
    return Order(exact_input, zero_for_one, amount, _bound(random, exact_input), _limit(random, pool, zero_for_one))


def _bound(random: Random, exact_input: bool) -> int:
    if random.random() < 0.15:
        return int(10 ** random.uniform(0, 23))
    return 0 if exact_input else 2**255 - 1


def _limit(random: Random, pool: PoolState, zero_for_one: bool) -> int | None:
    if random.random() < 0.6:
        return None
    if random.random() < 0.2:
        return random.choice((MIN_SQRT_PRICE, MIN_SQRT_PRICE + 1, MAX_SQRT_PRICE - 1, MAX_SQRT_PRICE, pool.sqrt_price_x96))
    away = random.randint(-5, 400 * pool.tick_spacing)
    near = pool.tick - away if zero_for_one else pool.tick + away
    return sqrt_price_at(min(max(near, MIN_TICK), MAX_TICK)) + random.choice((0, 0, 1, -1))


def trade_both(pool: DeployedPool, model: PoolState, order: Order) -> PoolState | None:
    """Trade on the model and on the chain, compare everything; the pool afterwards, or None where both refused."""
    before = pool.deployment.balances()
    try:
        expected = order.on_model(model)
    except Reverted as refused:
        with pytest.raises(TransactionReverted) as found:
            order.on_chain(pool)
        _same_reason(str(refused), str(found.value))
        assert pool.state() == model
        return None
    _compare_quote(pool, order, expected)
    order.on_chain(pool)
    assert pool.state() == expected.pool, order
    after = pool.deployment.balances()
    paid, received = (-expected.paid, expected.received) if order.zero_for_one else (expected.received, -expected.paid)
    assert (after[0] - before[0], after[1] - before[1]) == (paid, received), order
    return expected.pool


def _same_reason(model: str, chain: str) -> None:
    if chain in {"AS", "SPL", "Too little received", "Too much requested"}:
        assert model.startswith(chain)


def _compare_quote(pool: DeployedPool, order: Order, expected: Traded) -> None:
    other, price = pool.quote(order.zero_for_one, order.amount, order.limit or 0, exact_input=order.exact_input)
    assert (other, price) == (expected.received if order.exact_input else expected.paid, expected.pool.sqrt_price_x96), order


def mint_both(pool: DeployedPool, model: PoolState, lower: int, upper: int, amounts: tuple[int, int]) -> PoolState:
    grown = add_position(model, lower, upper, pool.mint(lower, upper, *amounts))
    assert pool.state() == grown
    return grown


def random_position(random: Random, model: PoolState) -> tuple[int, int]:
    spacing = model.tick_spacing
    middle = model.tick // spacing + random.randint(-150, 150)
    lowest, highest = full_range(spacing)
    lower = min(max((middle - random.randint(1, 120)) * spacing, lowest), highest - spacing)
    return lower, min(max((middle + random.randint(1, 120)) * spacing, lower + spacing), highest)


def play(pool: DeployedPool, random: Random, steps: int) -> Tally:
    """Positions that come and go, and trades between them."""
    model = mint_both(pool, pool.state(), *full_range(pool.tick_spacing), (10**22, 10**22))
    tally = Tally(0, 0, 0)
    for step in range(steps):
        if step % 6 == 0 and abs(model.tick) < FAR_TICK:
            model = mint_both(pool, model, *random_position(random, model), (10**21, 10**21))
        elif step % 17 == 0:
            pool.burn(random.randrange(1, len(pool.owned)))
            model = pool.state()
        after = trade_both(pool, model, random_order(random, model))
        tally = _counted(tally, model, after)
        model = after or model
    return tally


def _counted(tally: Tally, before: PoolState, after: PoolState | None) -> Tally:
    if after is None:
        return tally._replace(refused=tally.refused + 1)
    low, high = sorted((before.tick, after.tick))
    crossed = sum(low < tick <= high for tick, _ in before.ticks)
    return tally._replace(filled=tally.filled + 1, crossed=tally.crossed + crossed)


@pytest.mark.parametrize(("fee_pips", "tick"), POOLS)
def test_random_trades_come_out_equal_to_the_wei(uniswap: UniswapDeployment, fee_pips: int, tick: int) -> None:
    pool = uniswap.create_pool(fee_pips, sqrt_price_at(tick) + 12_345)
    tally = play(pool, Random(fee_pips), 300)
    assert tally.filled > 150
    assert tally.refused > 20
    assert tally.crossed > 50


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize(("fee_pips", "tick"), POOLS)
def test_many_random_trades_come_out_equal_to_the_wei(uniswap: UniswapDeployment, fee_pips: int, tick: int, seed: int) -> None:
    play(uniswap.create_pool(fee_pips, sqrt_price_at(tick) + seed), Random(seed), 600)


def test_the_map_read_word_by_word_gives_the_whole_pool(uniswap: UniswapDeployment) -> None:
    pool = uniswap.create_pool(10_000, sqrt_price_at(-77_777))
    play(pool, Random(3), 40)
    state = pool.state()
    assert pool.ticks_of_map(words_around(state.tick, 200, 99)) == tuple(tick for tick, _ in state.ticks)


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_swap_beyond_the_liquidity_fills_in_part_or_is_refused(uniswap: UniswapDeployment, zero_for_one: bool) -> None:
    pool = uniswap.create_pool(3_000, sqrt_price_at(0))
    model = mint_both(pool, pool.state(), -600, 600, (10**20, 10**20))
    assert trade_both(pool, model, Order(False, zero_for_one, 10**21, 2**255 - 1, None)) is None
    emptied = trade_both(pool, model, Order(True, zero_for_one, 10**21, 0, None))
    assert emptied is not None
    assert emptied.liquidity == 0
    assert trade_both(pool, emptied, Order(True, zero_for_one, 10**18, 0, None)) is None
    assert trade_both(pool, emptied, Order(True, not zero_for_one, 10**18, 0, None)) is not None


def test_a_swap_may_stop_exactly_on_a_tick_and_turn_round(uniswap: UniswapDeployment) -> None:
    pool = uniswap.create_pool(3_000, sqrt_price_at(30))
    model = mint_both(pool, pool.state(), *full_range(60), (10**21, 10**21))
    model = mint_both(pool, model, -120, 0, (10**20, 10**20))
    model = mint_both(pool, model, 0, 120, (10**20, 10**20))
    down = trade_both(pool, model, Order(True, True, 10**21, 0, sqrt_price_at(0)))
    assert down is not None
    assert (down.tick, down.sqrt_price_x96) == (-1, sqrt_price_at(0))
    assert trade_both(pool, down, Order(True, False, 10**18, 0, None)) is not None


def test_a_tick_whose_net_is_zero_still_ends_a_step(uniswap: UniswapDeployment) -> None:
    pool = uniswap.create_pool(3_000, sqrt_price_at(200))
    mint_both(pool, pool.state(), *full_range(60), (10**18, 10**18))
    below, above = (pool.mint(lower, lower + 120, 10**17, 10**17) for lower in (-120, 0))
    pool.burn(*((1, below - above) if below > above else (2, above - below)))
    model = pool.state()
    assert (0, 0) in model.ticks
    for place in range(40):
        amount, turn = 10**17 * (place + 3) + 7, place % 4 < 2
        after = trade_both(pool, model, Order(place % 2 == 0, turn, amount, 0 if place % 2 == 0 else 2**255 - 1, None))
        assert place > 0 or (after is not None and after.tick < -120)
        model = after or model


def test_a_pool_that_was_never_filled_is_refused(uniswap: UniswapDeployment) -> None:
    pool = uniswap.create_pool(3_000, sqrt_price_at(200))
    for exact_input in (True, False):
        assert trade_both(pool, pool.state(), Order(exact_input, True, 10**18, 0 if exact_input else 2**255 - 1, None)) is None


def test_liquidity_beyond_96_bits_comes_out_equal(uniswap: UniswapDeployment) -> None:
    """A wei of either token moves such a pool's price by less than its last digit."""
    pool = uniswap.create_pool(500, sqrt_price_at(-3))
    model = mint_both(pool, pool.state(), *full_range(10), (2**108, 2**108))
    random = Random(11)
    for _ in range(60):
        exact_input, zero_for_one = random.random() < 0.4, random.random() < 0.5
        order = Order(exact_input, zero_for_one, int(2 ** random.uniform(0, 106)), 0 if exact_input else 2**255 - 1, None)
        after = trade_both(pool, model, order)
        assert after is not None
        model = after


def test_a_product_beyond_256_bits_takes_the_contracts_second_formula(uniswap: UniswapDeployment) -> None:
    uniswap.enable_fee(700, 16_383)
    pool = uniswap.create_pool(700, sqrt_price_at(880_000))
    model = mint_both(pool, pool.state(), *full_range(16_383), (2**46, 2**180))
    for amount in (2**96, 2**98 + 12_345, 2**104 + 1, 2**109):
        numerator, product = model.liquidity << 96, amount * model.sqrt_price_x96
        after = trade_both(pool, model, Order(True, True, amount, 0, None))
        assert after is not None
        assert (numerator + product >= UINT_256) == (amount > 2**97)
        back = trade_both(pool, after, Order(True, False, 2**179, 0, model.sqrt_price_x96))
        assert back is not None
        model = back
