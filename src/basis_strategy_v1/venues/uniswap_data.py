"""Uniswap v3 pools from data: a price with a depth, a row of a state file, what a node answers."""

from __future__ import annotations

from decimal import Decimal
from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from basis_strategy_v1.core.state_rows import UNISWAP_POOL
from basis_strategy_v1.venues.uniswap_pool import (
    FEE_UNIT,
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    Q96,
    TICK_SPACINGS,
    PoolState,
    add_position,
    full_range,
    sqrt_price_at,
    tick_at,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def sqrt_price_of(price: Decimal, decimals0: int, decimals1: int) -> int:
    """sqrt price X96 of a price in token1 per token0, both in token units; floored."""
    numerator, denominator = price.as_integer_ratio()
    return isqrt((numerator * 10**decimals1 << 192) // (denominator * 10**decimals0))


def price_of(sqrt_price_x96: int, decimals0: int, decimals1: int) -> Decimal:
    """Token1 per token0 in token units, to the context's precision."""
    return Decimal(sqrt_price_x96**2).scaleb(decimals0 - decimals1) / (1 << 192)


def pool_from_price_and_depth(
    price: Decimal,
    depth_usd: Decimal,
    *,
    usd_per_token1: Decimal,
    decimals0: int,
    decimals1: int,
    fee_pips: int = 500,
    tick_spacing: int | None = None,
    depth_bps: int = 200,
    range_bps: int | None = None,
) -> PoolState:
    """A pool for data without ticks: one position at `price` (token1 per token0).

    Its liquidity is such that paying in `depth_usd` of token1 moves the price up by `depth_bps` (before the fee; the same depth
    downwards). The position covers the whole range, or, with `range_bps`, ends that far from the price on either side (rounded
    outwards to the spacing): a swap beyond it is not filled.
    """
    spacing = TICK_SPACINGS[fee_pips] if tick_spacing is None else tick_spacing
    here = sqrt_price_of(price, decimals0, decimals1)
    depth1, unit = (depth_usd / usd_per_token1).scaleb(decimals1).as_integer_ratio()
    liquidity = depth1 * Q96 // (unit * (_moved(here, depth_bps) - here))
    lower, upper = full_range(spacing)
    if range_bps is not None:
        lower = tick_at(_moved(here, -range_bps)) // spacing * spacing
        upper = -(-(tick_at(_moved(here, range_bps)) + 1) // spacing) * spacing
    return add_position(PoolState(here, tick_at(here), 0, fee_pips, spacing, ()), lower, upper, liquidity)


def _moved(sqrt_price_x96: int, bps: int) -> int:
    return isqrt(sqrt_price_x96**2 * (10_000 + bps) // 10_000)


# Rows of data

STATE_COLUMNS = ("timestamp", *UNISWAP_POOL)


class UniswapPoolRow(NamedTuple):
    """One row of a state file: the two tokens as (symbol, decimals) and the pool."""

    token0: tuple[str, int]
    token1: tuple[str, int]
    pool: PoolState


def pool_from_row(row: Mapping[str, str]) -> UniswapPoolRow:
    """One row of `dex/uniswap_v3/<POOL>.state.csv`, whose columns are STATE_COLUMNS.

    `timestamp` is the block's time, `token0` and `token1` symbols in the contract's order, whole numbers in wei or as the contract has
    them, `ticks` all initialised ticks, those with a net of 0 too, ascending: `-887220:1000;-120:-5;887220:-995`.
    Who reads only a part of the tick map closes it (`closed_window`).

    Raises:
        ValueError: names the column, what it says and what it must be.
    """
    sqrt_price, tick, liquidity, fee, spacing = (
        _whole(row, name) for name in ("sqrt_price_x96", "tick", "liquidity", "fee_pips", "tick_spacing")
    )
    pool = PoolState(sqrt_price, tick, liquidity, fee, spacing, _ticks(row["ticks"]))
    _check_pool(pool)
    return UniswapPoolRow((row["token0"], _whole(row, "decimals0")), (row["token1"], _whole(row, "decimals1")), pool)


def row_of_pool(row: UniswapPoolRow) -> dict[str, str]:
    """The texts of a row of the state file, without `timestamp` and `block`; `pool_from_row` reads them back."""
    (token0, decimals0), (token1, decimals1), pool = row
    numbers = {"decimals0": decimals0, "decimals1": decimals1, "fee_pips": pool.fee_pips, "tick_spacing": pool.tick_spacing}
    numbers |= {"sqrt_price_x96": pool.sqrt_price_x96, "tick": pool.tick, "liquidity": pool.liquidity}
    texts = {name: str(number) for name, number in numbers.items()}
    return {"token0": token0, "token1": token1, **texts, "ticks": ";".join(f"{tick}:{net}" for tick, net in pool.ticks)}


def _whole(row: Mapping[str, str], column: str) -> int:
    text = row[column].strip()
    if not text.removeprefix("-").isdecimal():
        raise ValueError(f"{column} must be a whole number, got {text!r}")
    return int(text)


def _ticks(text: str) -> tuple[tuple[int, int], ...]:
    pairs = [part.split(":") for part in text.split(";") if part.strip()]
    try:
        return tuple((int(tick), int(net)) for tick, net in pairs)
    except ValueError:
        raise ValueError(f"ticks must read tick:liquidity_net;tick:liquidity_net, got {text[:80]!r}") from None


def _check_pool(pool: PoolState) -> None:
    if not 0 <= pool.fee_pips < FEE_UNIT or not 0 < pool.tick_spacing < 16_384:
        raise ValueError(f"fee_pips must be 0 to 999999 and tick_spacing 1 to 16383, got {pool.fee_pips} and {pool.tick_spacing}")
    if not MIN_SQRT_PRICE <= pool.sqrt_price_x96 < MAX_SQRT_PRICE:
        raise ValueError(f"sqrt_price_x96 must be {MIN_SQRT_PRICE} to {MAX_SQRT_PRICE - 1}, got {pool.sqrt_price_x96}")
    # A swap that stops exactly on a tick it crossed downwards leaves the tick one below the price's own.
    at = tick_at(pool.sqrt_price_x96)
    if pool.tick != at and not (pool.tick == at - 1 and sqrt_price_at(at) == pool.sqrt_price_x96):
        raise ValueError(f"tick must be {at} at sqrt_price_x96 {pool.sqrt_price_x96}, got {pool.tick}")
    places = [tick for tick, _ in pool.ticks]
    if places != sorted(set(places)) or any(tick % pool.tick_spacing != 0 or abs(tick) > MAX_TICK for tick in places):
        raise ValueError(f"ticks must ascend, be multiples of {pool.tick_spacing} and lie within {MAX_TICK}")
    below = sum(net for tick, net in pool.ticks if tick <= pool.tick)
    if below != pool.liquidity or sum(net for _, net in pool.ticks) != 0:
        raise ValueError(f"the ticks up to {pool.tick} must add up to the liquidity {pool.liquidity} and all of them to 0, got {below}")


# What an importer reads from a node: `tickBitmap(word)` of some words, `ticks(tick)` of the ticks that are set in them


def words_around(tick: int, tick_spacing: int, words: int) -> range:
    """The tick map's word that a tick lies in, and so many on either side, within the map."""
    lowest, highest = (end // tick_spacing >> 8 for end in full_range(tick_spacing))
    middle = tick // tick_spacing >> 8
    return range(max(middle - words, lowest), min(middle + words, highest) + 1)


def ticks_in_word(word: int, bits: int, tick_spacing: int) -> tuple[int, ...]:
    """The initialised ticks of one word of the tick map, ascending."""
    return tuple(((word << 8) + bit) * tick_spacing for bit in range(256) if bits >> bit & 1)


def closed_window(pool: PoolState, words: range) -> PoolState:
    """The pool whose `ticks` are those of these words alone, with a tick at either end that takes the liquidity to 0.

    A swap that would leave the window is filled in part, then: what was not read is not invented.
    """
    lowest, highest = full_range(pool.tick_spacing)
    lower = max((words.start << 8) * pool.tick_spacing, lowest)
    upper = min((words.stop << 8) * pool.tick_spacing, highest)
    nets = dict(pool.ticks)
    nets[lower] = nets.get(lower, 0) + pool.liquidity - sum(net for tick, net in pool.ticks if tick <= pool.tick)
    nets[upper] = nets.get(upper, 0) - sum(nets.values())
    return msgspec.structs.replace(pool, ticks=tuple(sorted(nets.items())))
