"""The borrow rate of Morpho's AdaptiveCurveIrm: a curve around 90 % usage whose height adapts over time. Pure.

Integers only, but for `published_rate`: all numbers are wads, rates are a second's. Solidity's signed division truncates toward zero,
hence `quo`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WAD = 10**18
YEAR_S = 365 * 24 * 3600
CURVE_STEEPNESS_WAD = 4 * WAD
ADJUSTMENT_SPEED_WAD = 50 * WAD // YEAR_S
TARGET_USAGE_WAD = 9 * WAD // 10
INITIAL_RATE_AT_TARGET_WAD = 4 * WAD // 100 // YEAR_S
MIN_RATE_AT_TARGET_WAD = WAD // 1000 // YEAR_S
MAX_RATE_AT_TARGET_WAD = 2 * WAD // YEAR_S
TARGET_USE, STEEPNESS = Decimal(TARGET_USAGE_WAD) / WAD, Decimal(CURVE_STEEPNESS_WAD) / WAD
LN_2_WAD = 693147180559945309
LN_WEI_WAD = -41446531673892822312
EXP_UPPER_BOUND_WAD = 93859467695000404319
EXP_UPPER_VALUE_WAD = 57716089161558943949701069502944508345128422502756744429568


def quo(a: int, b: int) -> int:
    """Division that truncates toward zero."""
    return a // b if (a >= 0) == (b > 0) else -(-a // b)


def exp_wad(x: int) -> int:
    """e**x as the curve computes it: a power of two times a polynomial of second degree."""
    if x < LN_WEI_WAD:
        return 0
    if x >= EXP_UPPER_BOUND_WAD:
        return EXP_UPPER_VALUE_WAD
    half = LN_2_WAD // 2
    q = quo(x - half if x < 0 else x + half, LN_2_WAD)
    r = x - q * LN_2_WAD
    e_r = WAD + r + r * r // WAD // 2
    return e_r << q if q >= 0 else e_r >> -q


def adapted_rate(total_supply_assets: int, total_borrow_assets: int, rate_at_target_wad: int, elapsed_s: int) -> tuple[int, int]:
    """Return (average borrow rate over the last `elapsed_s` seconds, rate at target now); 0 as the old target rate: a new market."""
    usage = total_borrow_assets * WAD // total_supply_assets if total_supply_assets else 0
    norm = WAD - TARGET_USAGE_WAD if usage > TARGET_USAGE_WAD else TARGET_USAGE_WAD
    error = quo((usage - TARGET_USAGE_WAD) * WAD, norm)
    if rate_at_target_wad == 0:
        return _curve(INITIAL_RATE_AT_TARGET_WAD, error), INITIAL_RATE_AT_TARGET_WAD
    adaptation = quo(ADJUSTMENT_SPEED_WAD * error, WAD) * elapsed_s
    if adaptation == 0:
        return _curve(rate_at_target_wad, error), rate_at_target_wad
    end = _moved_target(rate_at_target_wad, adaptation)
    middle = _moved_target(rate_at_target_wad, quo(adaptation, 2))
    return _curve((rate_at_target_wad + end + 2 * middle) // 4, error), end


def _moved_target(start_wad: int, adaptation_wad: int) -> int:
    moved = start_wad * exp_wad(adaptation_wad) // WAD
    return min(max(moved, MIN_RATE_AT_TARGET_WAD), MAX_RATE_AT_TARGET_WAD)


def _curve(rate_at_target_wad: int, error_wad: int) -> int:
    slope = WAD - WAD * WAD // CURVE_STEEPNESS_WAD if error_wad < 0 else CURVE_STEEPNESS_WAD - WAD
    return quo((quo(slope * error_wad, WAD) + WAD) * rate_at_target_wad, WAD)


def published_rate(texts: Mapping[str, str]) -> Decimal:
    """What borrowing costs at a market's row, a fraction a year; without the drift of the curve since then."""
    supplied, borrowed, at_target = (int(texts[name]) for name in ("total_supply_assets", "total_borrow_assets", "rate_at_target"))
    use, target, steepness = Decimal(borrowed) / supplied if supplied else Decimal(0), TARGET_USE, STEEPNESS
    is_above = use > target
    distance = (use - target) / (1 - target if is_above else target)
    return Decimal(at_target * YEAR_S) / WAD * (1 + (steepness - 1 if is_above else 1 - 1 / steepness) * distance)


def taylor_compounded(rate_wad: int, elapsed_s: int) -> int:
    """e**(rate * seconds) - 1, its first three terms."""
    first = rate_wad * elapsed_s
    second = first * first // (2 * WAD)
    return first + second + second * first // (3 * WAD)
