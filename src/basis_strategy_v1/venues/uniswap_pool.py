"""A Uniswap v3 pool in its own integers: swaps, quotes, positions. Pools from data are made in `uniswap_data`.

Amounts are base units (wei) of the pool's token0 and token1, positive when paid into the pool, negative when paid out.
`sqrt_price_x96` is sqrt(token1 wei / token0 wei) * 2**96, `fee_pips` millionths. What the contract refuses raises `Reverted`.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from math import floor, log
from typing import NamedTuple

import msgspec

from basis_strategy_v1.core.state import ModelState
from basis_strategy_v1.venues.reverted import Reverted

MIN_TICK = -887_272
MAX_TICK = 887_272
MIN_SQRT_PRICE = 4295128739  # at MIN_TICK; the price of a pool stays above it
MAX_SQRT_PRICE = 1461446703485210103287273052203988822378723970342  # at MAX_TICK; the price of a pool stays below it
Q96 = 1 << 96
FEE_UNIT = 1_000_000
MAX_AMOUNT = (1 << 255) - 1
UINT_256 = 1 << 256
MAX_LIQUIDITY = (1 << 128) - 1
TICK_SPACINGS = {100: 1, 500: 10, 3_000: 60, 10_000: 200}  # by fee_pips, as the factory on Ethereum has them

# sqrt(1.0001) ** -(2 ** n) in 128 fractional bits, n from 0, with the rounding of the contract's TickMath.
TICK_FACTORS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
LOG_SQRT_BASE = log(1.0001) / 2
LOG_Q96 = log(Q96)


class PoolState(msgspec.Struct, ModelState, frozen=True, tag="UniswapPool"):
    """What a swap depends on. `ticks` holds every initialised tick as (tick, liquidity_net), ascending."""

    sqrt_price_x96: int
    tick: int
    liquidity: int
    fee_pips: int
    tick_spacing: int
    ticks: tuple[tuple[int, int], ...]


class Swapped(NamedTuple):
    """The pool after a swap and what moved: positive into the pool, negative out of it."""

    pool: PoolState
    amount0: int
    amount1: int


# TickMath


@lru_cache(maxsize=1 << 16)
def sqrt_price_at(tick: int) -> int:
    """sqrt(1.0001 ** tick) * 2**96, rounded up as the contract does.

    Raises:
        Reverted: T, the tick is beyond the contract's range.
    """
    if not MIN_TICK <= tick <= MAX_TICK:
        raise Reverted(f"T: tick {tick} is beyond {MAX_TICK}")
    ratio, left = 1 << 128, abs(tick)
    for factor in TICK_FACTORS:
        if left & 1:
            ratio = ratio * factor >> 128
        left >>= 1
    if tick > 0:
        ratio = (UINT_256 - 1) // ratio
    return -(-ratio >> 32)


def tick_at(sqrt_price_x96: int) -> int:
    """The greatest tick whose price is not above this one.

    Raises:
        Reverted: R, the price is outside the contract's range.
    """
    if not MIN_SQRT_PRICE <= sqrt_price_x96 < MAX_SQRT_PRICE:
        raise Reverted(f"R: sqrt price {sqrt_price_x96} is outside {MIN_SQRT_PRICE} to {MAX_SQRT_PRICE}")
    tick = floor((log(sqrt_price_x96) - LOG_Q96) / LOG_SQRT_BASE)  # at most one off, made exact below
    tick = min(max(tick, MIN_TICK), MAX_TICK - 1)
    while sqrt_price_at(tick) > sqrt_price_x96:
        tick -= 1
    while sqrt_price_at(tick + 1) <= sqrt_price_x96:
        tick += 1
    return tick


# SqrtPriceMath


def amount0_between(lower: int, upper: int, liquidity: int, *, round_up: bool) -> int:
    """Token0 wei between two sqrt prices, 0 < lower <= upper."""
    numerator = (liquidity << 96) * (upper - lower)
    if not round_up:
        return numerator // upper // lower
    first = -(-numerator // upper)
    return -(-first // lower)


def amount1_between(lower: int, upper: int, liquidity: int, *, round_up: bool) -> int:
    """Token1 wei between two sqrt prices, lower <= upper."""
    numerator = liquidity * (upper - lower)
    return -(-numerator >> 96) if round_up else numerator >> 96


def price_after_amount0(sqrt_price_x96: int, liquidity: int, amount: int) -> int:
    """The sqrt price after token0 was paid in (amount > 0) or out (amount < 0), rounded up."""
    if not amount:
        return sqrt_price_x96
    numerator = liquidity << 96
    product = amount * sqrt_price_x96
    denominator = numerator + product
    if amount > 0:
        if denominator < UINT_256:
            return -(-numerator * sqrt_price_x96 // denominator)
        # Where the product or the sum leaves 256 bits the contract divides first, and loses precision by it.
        return -(-numerator // (numerator // sqrt_price_x96 + amount))
    if -product >= UINT_256 or denominator <= 0:
        raise Reverted(f"{-amount} wei of token0 are more than liquidity {liquidity} has")
    price = -(-numerator * sqrt_price_x96 // denominator)
    if price >> 160:
        raise Reverted(f"taking {-amount} wei of token0 moves the price out of 160 bits")
    return price


def price_after_amount1(sqrt_price_x96: int, liquidity: int, amount: int) -> int:
    """The sqrt price after token1 was paid in (amount > 0) or out (amount < 0), rounded down."""
    price = sqrt_price_x96 + (amount << 96) // liquidity
    if price <= 0:
        raise Reverted(f"{-amount} wei of token1 are more than liquidity {liquidity} has")
    if price >> 160:
        raise Reverted(f"paying {amount} wei of token1 moves the price out of 160 bits")
    return price


# The swap


def swap(pool: PoolState, zero_for_one: bool, amount_specified: int, sqrt_price_limit: int | None = None) -> Swapped:
    """Sell token0 (`zero_for_one`) or token1, as the pool's own `swap` does.

    `amount_specified` > 0 is the exact wei to pay in, < 0 the exact wei to take out. Where the liquidity up to the price limit
    (None: the end of the range) does not suffice less is swapped, and the amounts say how much.

    Raises:
        Reverted: AS, the amount is 0; SPL, the limit lies on the wrong side of the price or outside the range.
    """
    limit = _checked_limit(pool, zero_for_one, amount_specified, sqrt_price_limit)
    step = _down if zero_for_one else _up
    price, tick, liquidity, remaining, other = step(pool, amount_specified, limit)
    after = PoolState(price, tick, liquidity, pool.fee_pips, pool.tick_spacing, pool.ticks)
    if zero_for_one == (amount_specified > 0):
        return Swapped(after, amount_specified - remaining, other)
    return Swapped(after, other, amount_specified - remaining)


def _checked_limit(pool: PoolState, zero_for_one: bool, amount: int, limit: int | None) -> int:
    if not amount:
        raise Reverted("AS: the amount to swap is 0")
    if not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
        raise Reverted(f"the amount {amount} does not fit into 256 bits")
    if limit is None:
        limit = MIN_SQRT_PRICE + 1 if zero_for_one else MAX_SQRT_PRICE - 1
    price = pool.sqrt_price_x96
    if not (MIN_SQRT_PRICE < limit < price if zero_for_one else price < limit < MAX_SQRT_PRICE):
        side = "below" if zero_for_one else "above"
        raise Reverted(f"SPL: the sqrt price limit {limit} is not {side} the price {price} and within the range")
    return limit


Progress = tuple[int, int, int, int, int]  # price, tick, liquidity, what is left of the specified amount, the other amount


def _down(pool: PoolState, remaining: int, limit: int) -> Progress:
    price, tick, liquidity, ticks = pool.sqrt_price_x96, pool.tick, pool.liquidity, pool.ticks
    spacing, fee = pool.tick_spacing, pool.fee_pips
    index, other = bisect_left(ticks, (tick + 1,)) - 1, 0
    while remaining and price != limit:
        # The contract looks for the next tick within one 256-bit word: the word's border ends a step and rounds once more.
        next_tick = max((tick // spacing >> 8 << 8) * spacing, MIN_TICK)
        crosses = index >= 0 and ticks[index][0] >= next_tick
        if crosses:
            next_tick = ticks[index][0]
        start, next_price = price, sqrt_price_at(next_tick)
        step = _down_exact_in if remaining > 0 else _down_exact_out
        price, done, counter = step(start, max(next_price, limit), liquidity, remaining, fee)
        remaining -= done
        other += counter
        if price == next_price:
            if crosses:
                liquidity -= ticks[index][1]
                index -= 1
            tick = next_tick - 1
        elif price != start:
            tick = tick_at(price)
    return price, tick, liquidity, remaining, other


def _up(pool: PoolState, remaining: int, limit: int) -> Progress:
    price, tick, liquidity, ticks = pool.sqrt_price_x96, pool.tick, pool.liquidity, pool.ticks
    spacing, fee, count = pool.tick_spacing, pool.fee_pips, len(pool.ticks)
    index, other = bisect_left(ticks, (tick + 1,)), 0
    while remaining and price != limit:
        next_tick = min((tick // spacing + 1 | 255) * spacing, MAX_TICK)
        crosses = index < count and ticks[index][0] <= next_tick
        if crosses:
            next_tick = ticks[index][0]
        start, next_price = price, sqrt_price_at(next_tick)
        step = _up_exact_in if remaining > 0 else _up_exact_out
        price, done, counter = step(start, min(next_price, limit), liquidity, remaining, fee)
        remaining -= done
        other += counter
        if price == next_price:
            if crosses:
                liquidity += ticks[index][1]
                index += 1
            tick = next_tick
        elif price != start:
            tick = tick_at(price)
    return price, tick, liquidity, remaining, other


# One step at constant liquidity (SwapMath): (price after it, what it did of the specified amount, the other amount).
# Where an exact input ends before the target, all that is left of it is paid: the part that does not move the price is fee.
# Where an exact output does, the price is rounded so that no less than it comes out, and the contract keeps what is more.


def _down_exact_in(price: int, target: int, liquidity: int, remaining: int, fee: int) -> tuple[int, int, int]:
    after_fee = remaining * (FEE_UNIT - fee) // FEE_UNIT
    paid = amount0_between(target, price, liquidity, round_up=True)
    if after_fee >= paid:
        return target, paid + -(-paid * fee // (FEE_UNIT - fee)), -(liquidity * (price - target) >> 96)
    after = price_after_amount0(price, liquidity, after_fee)
    return after, remaining, -(liquidity * (price - after) >> 96)


def _up_exact_in(price: int, target: int, liquidity: int, remaining: int, fee: int) -> tuple[int, int, int]:
    after_fee = remaining * (FEE_UNIT - fee) // FEE_UNIT
    paid = amount1_between(price, target, liquidity, round_up=True)
    if after_fee >= paid:
        return target, paid + -(-paid * fee // (FEE_UNIT - fee)), -amount0_between(price, target, liquidity, round_up=False)
    after = price_after_amount1(price, liquidity, after_fee)
    return after, remaining, -amount0_between(price, after, liquidity, round_up=False)


def _down_exact_out(price: int, target: int, liquidity: int, remaining: int, fee: int) -> tuple[int, int, int]:
    out, after = amount1_between(target, price, liquidity, round_up=False), target
    if -remaining < out:
        after, out = price_after_amount1(price, liquidity, remaining), -remaining
    paid = amount0_between(after, price, liquidity, round_up=True)
    return after, -out, paid + -(-paid * fee // (FEE_UNIT - fee))


def _up_exact_out(price: int, target: int, liquidity: int, remaining: int, fee: int) -> tuple[int, int, int]:
    out, after = amount0_between(price, target, liquidity, round_up=False), target
    if -remaining < out:
        after, out = price_after_amount0(price, liquidity, remaining), -remaining
    paid = amount1_between(price, after, liquidity, round_up=True)
    return after, -out, paid + -(-paid * fee // (FEE_UNIT - fee))


# What the periphery adds: QuoterV2 and SwapRouter


class Traded(NamedTuple):
    """The pool after a trade and both amounts in wei, positive."""

    pool: PoolState
    paid: int
    received: int


def trade(pool: PoolState, zero_for_one: bool, amount_specified: int, sqrt_price_limit: int | None = None) -> Traded:
    """`swap`, with what was paid and what was received as positive wei."""
    after, amount0, amount1 = swap(pool, zero_for_one, amount_specified, sqrt_price_limit)
    return Traded(after, amount0, -amount1) if zero_for_one else Traded(after, amount1, -amount0)


def quote(pool: PoolState, zero_for_one: bool, amount_specified: int) -> tuple[int, int]:
    """(wei paid, wei received) of a swap; less than specified where the pool's liquidity ends before."""
    _, paid, received = trade(pool, zero_for_one, amount_specified)
    return paid, received


def exact_input_single(
    pool: PoolState, zero_for_one: bool, amount_in: int, min_amount_out: int = 0, sqrt_price_limit: int | None = None
) -> Traded:
    """The router's exactInputSingle. Where liquidity or the limit ends the swap, less than `amount_in` is paid.

    Raises:
        Reverted: what `swap` raises; the pool is empty; less than `min_amount_out` comes out.
    """
    traded = trade(pool, zero_for_one, amount_in, sqrt_price_limit)
    if not traded.paid:
        raise Reverted("the pool has no liquidity on this side of its price")
    if traded.received < min_amount_out:
        raise Reverted(f"Too little received: {traded.received} wei, the least allowed is {min_amount_out}")
    return traded


def exact_output_single(
    pool: PoolState, zero_for_one: bool, amount_out: int, max_amount_in: int = MAX_AMOUNT, sqrt_price_limit: int | None = None
) -> Traded:
    """The router's exactOutputSingle. Only with a price limit may less than `amount_out` be received.

    Raises:
        Reverted: what `swap` raises; the liquidity does not suffice; it costs more than `max_amount_in`.
    """
    traded = trade(pool, zero_for_one, -amount_out, sqrt_price_limit)
    if not traded.paid:
        raise Reverted("the pool has no liquidity on this side of its price")
    if sqrt_price_limit is None and traded.received != amount_out:
        raise Reverted(f"the pool's liquidity gives {traded.received} wei of the {amount_out} asked for")
    if traded.paid > max_amount_in:
        raise Reverted(f"Too much requested: {traded.paid} wei, the most allowed is {max_amount_in}")
    return traded


# Liquidity


def add_position(pool: PoolState, lower: int, upper: int, liquidity: int) -> PoolState:
    """The pool with one more position from tick `lower` to tick `upper`.

    Raises:
        Reverted: the ticks are in the wrong order, beyond the range or not multiples of the spacing; the liquidity is not positive.
    """
    if not MIN_TICK <= lower < upper <= MAX_TICK or lower % pool.tick_spacing or upper % pool.tick_spacing:
        raise Reverted(f"ticks {lower} to {upper} are no range of multiples of {pool.tick_spacing} within {MAX_TICK}")
    inside = pool.liquidity + liquidity if lower <= pool.tick < upper else pool.liquidity
    if liquidity <= 0 or inside > MAX_LIQUIDITY:
        raise Reverted(f"liquidity {liquidity} is not positive or makes more than 128 bits")
    nets = dict(pool.ticks)
    nets[lower] = nets.get(lower, 0) + liquidity
    nets[upper] = nets.get(upper, 0) - liquidity  # a net of 0 stays: the tick is initialised and ends a step
    return msgspec.structs.replace(pool, liquidity=inside, ticks=tuple(sorted(nets.items())))


def full_range(tick_spacing: int) -> tuple[int, int]:
    """The lowest and the highest tick that a position may have."""
    return -(MAX_TICK // tick_spacing) * tick_spacing, MAX_TICK // tick_spacing * tick_spacing
