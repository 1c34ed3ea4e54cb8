"""The arithmetic of Aave v3 by pool revision: how interest accrues and which way every amount is rounded. Integers only.

A ray is 10**27, a wad 10**18, a percentage 10,000 basis points. `3.0` rounds half up and compounds with a binomial of three terms;
`3.7` rounds each amount in the pool's favour and compounds with the exponential series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

RAY = 10**27
HALF_RAY = RAY // 2
WAD = 10**18
YEAR_S = 365 * 24 * 3600
RAY_YEAR = RAY * YEAR_S
RAY_YEAR_SQUARED = RAY_YEAR * YEAR_S
PERCENT_BPS = 10_000
WAD_TO_RAY = 10**9


class UnknownRevision(ValueError):
    """A pool revision whose rules are not known here: its numbers would be guesses."""


def ray_mul(a: int, b: int) -> int:
    return (a * b + HALF_RAY) // RAY


def ray_mul_floor(a: int, b: int) -> int:
    return a * b // RAY


def ray_mul_ceil(a: int, b: int) -> int:
    return -(-a * b // RAY)


def ray_div(a: int, b: int) -> int:
    return (a * RAY + b // 2) // b


def ray_div_floor(a: int, b: int) -> int:
    return a * RAY // b


def ray_div_ceil(a: int, b: int) -> int:
    return -(-a * RAY // b)


def wad_div(a: int, b: int) -> int:
    return (a * WAD + b // 2) // b


def percent_mul(value: int, bps: int) -> int:
    return (value * bps + 5_000) // 10_000


def percent_mul_floor(value: int, bps: int) -> int:
    return value * bps // 10_000


def percent_mul_ceil(value: int, bps: int) -> int:
    return -(-value * bps // 10_000)


def percent_div(value: int, bps: int) -> int:
    return (value * 10_000 + bps // 2) // bps


def percent_div_floor(value: int, bps: int) -> int:
    return value * 10_000 // bps


def percent_div_ceil(value: int, bps: int) -> int:
    return -(-value * 10_000 // bps)


def mul_div_floor(a: int, b: int, c: int) -> int:
    return a * b // c


def mul_div_ceil(a: int, b: int, c: int) -> int:
    return -(-a * b // c)


def linear_interest(rate_ray: int, elapsed_s: int) -> int:
    """The factor (ray) by which the liquidity index grows; the same in every revision."""
    return RAY + rate_ray * elapsed_s // YEAR_S


def binomial_interest(rate_ray: int, elapsed_s: int) -> int:
    """The factor (ray) of revision 3.0: (1 + rate / year) ** seconds cut after its cubic term."""
    if elapsed_s == 0:
        return RAY
    # A floor of a floor is one floor: the contract divides by a ray and by the year in turn.
    power_two = (rate_ray * rate_ray + HALF_RAY) // RAY_YEAR_SQUARED
    power_three = (power_two * rate_ray + HALF_RAY) // RAY_YEAR
    pairs = elapsed_s * (elapsed_s - 1)
    triples = pairs * (elapsed_s - 2) if elapsed_s > 2 else 0
    return RAY + rate_ray * elapsed_s // YEAR_S + pairs * power_two // 2 + triples * power_three // 6


def exponential_interest(rate_ray: int, elapsed_s: int) -> int:
    """The factor (ray) of revision 3.7: the first four terms of e ** (rate * years)."""
    x = rate_ray * elapsed_s // YEAR_S
    return RAY + x + (x * (x // 2 + (x * (x // 6) + HALF_RAY) // RAY) + HALF_RAY) // RAY


def _treasury_share_half_up(scaled_debt: int, before_ray: int, after_ray: int, factor_bps: int, liquidity_index_ray: int) -> int:
    accrued = (scaled_debt * after_ray + HALF_RAY) // RAY - (scaled_debt * before_ray + HALF_RAY) // RAY
    share = (accrued * factor_bps + 5_000) // 10_000
    return (share * RAY + liquidity_index_ray // 2) // liquidity_index_ray


def _treasury_share_directed(scaled_debt: int, before_ray: int, after_ray: int, factor_bps: int, liquidity_index_ray: int) -> int:
    accrued = scaled_debt * (after_ray - before_ray) // RAY
    return (accrued * factor_bps + 5_000) // 10_000 * RAY // liquidity_index_ray


def _average_borrow_rate(total_debt: int, rate_ray: int) -> int:
    # 3.0 averages variable and stable debt; with no stable debt the average still rounds twice.
    weight = total_debt * WAD_TO_RAY
    return ((weight * rate_ray + HALF_RAY) // RAY * RAY + weight // 2) // weight


class Rounding(Struct, frozen=True):
    """One revision's arithmetic. `*_scaled` turn (amount, index) into scaled units, `*_balance` (scaled, index) into
    an amount, `debt_value` (amount, price, unit) into the base currency."""

    revision: str
    compounded: Callable[[int, int], int]
    supply_scaled: Callable[[int, int], int]
    withdraw_scaled: Callable[[int, int], int]
    supply_balance: Callable[[int, int], int]
    borrow_scaled: Callable[[int, int], int]
    repay_scaled: Callable[[int, int], int]
    debt_balance: Callable[[int, int], int]
    treasury_share: Callable[[int, int, int, int, int], int]
    supplier_rate_base: Callable[[int, int], int]
    debt_value: Callable[[int, int, int], int]
    flash_premium: Callable[[int, int], int]
    directed: bool


HALF_UP = Rounding(
    revision="3.0",
    compounded=binomial_interest,
    supply_scaled=ray_div,
    withdraw_scaled=ray_div,
    supply_balance=ray_mul,
    borrow_scaled=ray_div,
    repay_scaled=ray_div,
    debt_balance=ray_mul,
    treasury_share=_treasury_share_half_up,
    supplier_rate_base=_average_borrow_rate,
    debt_value=mul_div_floor,
    flash_premium=percent_mul,
    directed=False,
)
DIRECTED = Rounding(
    revision="3.7",
    compounded=exponential_interest,
    supply_scaled=ray_div_floor,
    withdraw_scaled=ray_div_ceil,
    supply_balance=ray_mul_floor,
    borrow_scaled=ray_div_ceil,
    repay_scaled=ray_div_floor,
    debt_balance=ray_mul_ceil,
    treasury_share=_treasury_share_directed,
    supplier_rate_base=lambda total_debt, rate_ray: rate_ray,
    debt_value=mul_div_ceil,
    flash_premium=percent_mul_ceil,
    directed=True,
)
ROUNDINGS = {rounding.revision: rounding for rounding in (HALF_UP, DIRECTED)}


def rounding_of(revision: str) -> Rounding:
    """Return the revision's arithmetic; UnknownRevision for any other, never a near one."""
    try:
        return ROUNDINGS[revision]
    except KeyError:
        known = ", ".join(ROUNDINGS)
        raise UnknownRevision(f"aave pool revision {revision!r} is not known, only {known}: set venues.onchain.aave.revision") from None


def compounded_interest(rate_ray: int, elapsed_s: int, revision: str) -> int:
    """The factor (ray) by which the variable borrow index grows in `elapsed_s` seconds."""
    return rounding_of(revision).compounded(rate_ray, elapsed_s)
