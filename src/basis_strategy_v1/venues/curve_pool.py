"""A Curve StableSwap pool in its own integers: the 3pool kind and StableSwap-NG with rate oracles.

Amounts and balances are base units (wei) of each coin, coins are named by index. What the contract refuses raises `Reverted`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from basis_strategy_v1.core.state import ModelState
from basis_strategy_v1.core.state_rows import CURVE_POOL
from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from collections.abc import Mapping

PRECISION = 10**18
FEE_DENOMINATOR = 10**10
ROUNDS = 255
Kind = Literal["3pool", "ng"]
A_PRECISION: dict[str, int] = {"3pool": 1, "ng": 100}
NG_ADMIN_FEE = 5 * 10**9


class StableSwapPool(msgspec.Struct, ModelState, frozen=True, tag="CurvePool"):
    """What an exchange depends on.

    `balances`: wei of each coin that belong to the liquidity providers (without admin fees).
    `amplification`: what the pool's formula takes; 3pool: A; ng: A * 100 (`A_precise`).
    `fee`, `admin_fee`, `offpeg_fee_multiplier`: fractions * 1e10 (ng: admin_fee is 5e9; 3pool: no multiplier, 0).
    `rates`: per coin, 1e18 units of the invariant per coin unit, * 10**(18 - decimals): `stored_rates()`;
    3pool: 1e18, 1e30, 1e30.
    """

    balances: tuple[int, ...]
    amplification: int
    fee: int
    admin_fee: int
    rates: tuple[int, ...]
    kind: Kind
    offpeg_fee_multiplier: int = 0


class Exchanged(NamedTuple):
    """The pool after an exchange and the wei of the bought coin that came out."""

    pool: StableSwapPool
    received: int


def amplification_at(initial: int, future: int, initial_time: int, future_time: int, at: int) -> int:
    """A during a ramp, linear in whole seconds; `at` is the block's timestamp, seconds since 1970."""
    if at >= future_time:
        return future
    passed, whole = at - initial_time, future_time - initial_time
    if future > initial:
        return initial + (future - initial) * passed // whole
    return initial - (initial - future) * passed // whole


def rate_of(decimals: int, underlying_per_coin: int = PRECISION) -> int:
    """`stored_rates()` of a coin: its decimals, times what its rate oracle says (1e18 = 1)."""
    scale: int = 10 ** (36 - decimals)
    return scale * underlying_per_coin // PRECISION


def get_d(balances: tuple[int, ...], amplification: int, kind: Kind) -> int:
    """The invariant D of balances that are already multiplied by their rates."""
    total, count, precision = sum(balances), len(balances), A_PRECISION[kind]
    if not total:
        return 0
    if 0 in balances:
        raise Reverted("a coin of the pool has no balance")
    ann, d = amplification * count, total
    # 3pool divides by the number of coins in each factor, ng once at the end: the floors differ.
    each, at_end = (count, 1) if kind == "3pool" else (1, count**count)
    weighted = ann * total // precision
    for _ in range(ROUNDS):
        d_p, before = d, d
        for balance in balances:
            d_p = d_p * d // (balance * each)
        d_p //= at_end
        d = (weighted + d_p * count) * d // ((ann - precision) * d // precision + (count + 1) * d_p)
        if -1 <= d - before <= 1:
            return d
    return _not_converged(d, kind)


def get_y(i: int, j: int, x: int, balances: tuple[int, ...], amplification: int, d: int, kind: Kind) -> int:
    """The balance of coin j at which the invariant is `d` when that of coin i is `x`, all multiplied by their rates."""
    if not x:
        raise Reverted(f"coin {i} of the pool has no balance")
    count, precision = len(balances), A_PRECISION[kind]
    ann, c, others = amplification * count, d, 0
    for k, balance in enumerate(balances):
        if k != j:
            held = x if k == i else balance
            others += held
            c = c * d // (held * count)
    c = c * d * precision // (ann * count)
    b, y = others + d * precision // ann - d, d
    for _ in range(ROUNDS):
        before = y
        y = (y * y + c) // (2 * y + b)
        if -1 <= y - before <= 1:
            return y
    return _not_converged(y, kind)


def _not_converged(value: int, kind: Kind) -> int:
    if kind == "ng":
        raise Reverted(f"the invariant does not converge in {ROUNDS} rounds")
    return value  # the older contract goes on with the last value


def dynamic_fee(x_i: int, x_j: int, fee: int, offpeg_fee_multiplier: int) -> int:
    """The fee * 1e10 at these two balances: `fee` when they are equal, up to the multiplier times it when they are not."""
    if offpeg_fee_multiplier <= FEE_DENOMINATOR:
        return fee
    product = _in_256_bits((offpeg_fee_multiplier - FEE_DENOMINATOR) * 4 * x_i * x_j)
    weight = product // _in_256_bits((x_i + x_j) ** 2)
    return offpeg_fee_multiplier * fee // (weight + FEE_DENOMINATOR)


def get_dy(pool: StableSwapPool, i: int, j: int, dx: int) -> int:
    """What the contract's `get_dy` says for `dx` wei of coin i: wei of coin j.

    The two kinds round it differently: 3pool's may differ by a wei from what `exchange` pays, ng's does not.
    """
    gross, fee = _gross_and_fee(pool, i, j, dx)
    if pool.kind == "ng":
        return (gross - fee) * PRECISION // pool.rates[j]
    wei = gross * PRECISION // pool.rates[j]
    return wei - wei * pool.fee // FEE_DENOMINATOR


def exchange(pool: StableSwapPool, i: int, j: int, dx: int, min_dy: int = 0) -> Exchanged:
    """Sell `dx` wei of coin i for coin j.

    Raises:
        Reverted: the coins are the same or not in the pool; `dx` is 0 (ng); less than `min_dy` comes out; a balance is 0.
    """
    gross, fee = _gross_and_fee(pool, i, j, dx)
    if not dx and pool.kind == "ng":
        raise Reverted("the amount to sell is 0")
    rate = pool.rates[j]
    received = (gross - fee) * PRECISION // rate
    if received < min_dy:
        raise Reverted(f"Exchange resulted in fewer coins than expected: {received} wei, the least allowed is {min_dy}")
    admin = fee * pool.admin_fee // FEE_DENOMINATOR * PRECISION // rate
    balances = list(pool.balances)
    balances[i] += dx
    balances[j] -= received + admin
    return Exchanged(msgspec.structs.replace(pool, balances=tuple(balances)), received)


def _gross_and_fee(pool: StableSwapPool, i: int, j: int, dx: int) -> tuple[int, int]:
    """What comes out before the fee, and the fee, both multiplied by coin j's rate."""
    if i == j or not 0 <= i < len(pool.balances) or not 0 <= j < len(pool.balances):
        raise Reverted(f"coins {i} and {j}: two different ones of 0 to {len(pool.balances) - 1} are needed")
    held = tuple([balance * rate // PRECISION for balance, rate in zip(pool.balances, pool.rates, strict=True)])
    x = held[i] + _in_256_bits(dx * pool.rates[i]) // PRECISION
    y = get_y(i, j, x, held, pool.amplification, get_d(held, pool.amplification, pool.kind), pool.kind)
    gross = held[j] - y - 1  # one less, in case the two roundings favoured the buyer
    if gross < 0:
        raise Reverted(f"{dx} wei of coin {i} buy less than one unit of coin {j}")
    fee = pool.fee
    if pool.kind == "ng":
        fee = dynamic_fee((held[i] + x) // 2, (held[j] + y) // 2, fee, pool.offpeg_fee_multiplier)
    return gross, gross * fee // FEE_DENOMINATOR


def _in_256_bits(number: int) -> int:
    if number < 0 or number >> 256:
        raise Reverted(f"{number} is negative or does not fit into 256 bits")
    return number


def pool_from_price_and_depth(
    price: Decimal,
    depth_usd: Decimal,
    *,
    usd_per_coin1: Decimal,
    decimals: tuple[int, int] = (18, 18),
    amplification: int = 1_000,
    fee: int = 4_000_000,
) -> StableSwapPool:
    """A two-coin ng pool for data without balances: both coins worth `depth_usd`, and `price` (coin 1 per coin 0) in its rates.

    The price is what is traded at in the middle of the pool: what an oracle would say plus the market's discount in one.
    """
    units1, one1 = (depth_usd / usd_per_coin1).scaleb(decimals[1]).as_integer_ratio()
    units0, one0 = (depth_usd / usd_per_coin1 / price).scaleb(decimals[0]).as_integer_ratio()
    rate0, unit = price.scaleb(36 - decimals[0]).as_integer_ratio()
    rates = (rate0 // unit, rate_of(decimals[1]))
    return StableSwapPool((units0 // one0, units1 // one1), amplification * A_PRECISION["ng"], fee, NG_ADMIN_FEE, rates, "ng")


# Rows of data

STATE_COLUMNS = ("timestamp", *CURVE_POOL)


class CurvePoolRow(NamedTuple):
    """One row of a state file: the coins in the pool's order as (symbol, decimals), and the pool."""

    coins: tuple[tuple[str, int], ...]
    pool: StableSwapPool


def pool_from_row(row: Mapping[str, str]) -> CurvePoolRow:
    """One row of `dex/curve/<POOL>.state.csv`, whose columns are STATE_COLUMNS.

    `timestamp` is the block's time; lists are joined by `;` in the pool's order (`coins` symbols: `DAI;USDC;USDT`); `kind` is
    3pool or ng; the numbers are whole and mean what StableSwapPool's fields mean.

    Raises:
        ValueError: names the column, what it says and what it must be.
    """
    if row["kind"] not in A_PRECISION:
        raise ValueError(f"kind must be 3pool or ng, got {row['kind']!r}")
    kind: Kind = "3pool" if row["kind"] == "3pool" else "ng"
    balances, rates, decimals = (_wholes(row, name) for name in ("balances", "rates", "decimals"))
    symbols = row["coins"].split(";")
    if len(symbols) < 2 or not len(symbols) == len(balances) == len(rates) == len(decimals):
        raise ValueError(f"coins, decimals, balances and rates must list the same two or more coins, got {row['coins']!r}")
    if min(balances) <= 0 or min(rates) <= 0:
        raise ValueError(f"balances and rates must be positive, got {row['balances']!r} and {row['rates']!r}")
    amplification, fee, admin_fee, multiplier = (
        _wholes(row, name)[0] for name in ("amplification", "fee", "admin_fee", "offpeg_fee_multiplier")
    )
    if amplification < A_PRECISION[kind] or not 0 <= fee < FEE_DENOMINATOR or not 0 <= admin_fee <= FEE_DENOMINATOR:
        least = A_PRECISION[kind]
        raise ValueError(f"amplification must be {least} or more, fees fractions of 1e10, got {amplification}, {fee}, {admin_fee}")
    pool = StableSwapPool(balances, amplification, fee, admin_fee, rates, kind, multiplier)
    return CurvePoolRow(tuple(zip(symbols, decimals, strict=True)), pool)


def row_of_pool(row: CurvePoolRow) -> dict[str, str]:
    """The texts of a row of the state file, without `timestamp` and `block`; `pool_from_row` reads them back."""
    pool = row.pool
    texts = {name: str(getattr(pool, name)) for name in ("kind", "amplification", "fee", "admin_fee", "offpeg_fee_multiplier")}
    symbols, decimals = zip(*row.coins, strict=True)
    lists = {"coins": symbols, "decimals": decimals, "balances": pool.balances, "rates": pool.rates}
    return texts | {name: ";".join(str(value) for value in values) for name, values in lists.items()}


def _wholes(row: Mapping[str, str], column: str) -> tuple[int, ...]:
    parts = [part.strip() for part in row[column].split(";")]
    if not all(part.isdecimal() and part.isascii() for part in parts):
        raise ValueError(f"{column} must be whole numbers joined by ;, got {row[column]!r}")
    return tuple(int(part) for part in parts)
