"""Rows that hold the whole state of a pool or a market in the contract's own integers: which columns they have, and the row itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# Columns after `timestamp`, by the kind of state.
UNISWAP_POOL = (
    *("block", "token0", "token1", "decimals0", "decimals1"),
    *("fee_pips", "tick_spacing", "sqrt_price_x96", "tick", "liquidity", "ticks"),
)
CURVE_POOL = (
    *("block", "coins", "decimals", "kind"),
    *("balances", "amplification", "fee", "admin_fee", "offpeg_fee_multiplier", "rates"),
)
MORPHO_MARKET = (
    *("block", "total_supply_assets", "total_supply_shares", "total_borrow_assets", "total_borrow_shares"),
    *("last_update", "fee", "rate_at_target", "lltv", "oracle_price"),
)


class StateRow(NamedTuple):
    """A state as its source wrote it, visible since `stamp` (microseconds since 1970): column -> text, exact.

    Who models the contract reads the texts; the data only know that whole numbers are whole.
    """

    stamp: int
    texts: Mapping[str, str]


# Morpho's AdaptiveCurveIrm: the borrow rate at this use is the rate at target; a quarter of it at none, four times it at full use.
TARGET_USE, RISE_BELOW, RISE_ABOVE = Decimal("0.9"), Decimal("0.75"), Decimal(3)
YEAR_S, WAD = 365 * 24 * 3600, 10**18


def borrow_rate(market: StateRow) -> Decimal:
    """What borrowing costs in a Morpho market at its row, a fraction a year; without the drift of the curve since then."""
    supplied, borrowed, at_target = (int(market.texts[name]) for name in ("total_supply_assets", "total_borrow_assets", "rate_at_target"))
    use = Decimal(borrowed) / supplied if supplied else Decimal(0)
    is_above = use > TARGET_USE
    distance = (use - TARGET_USE) / (1 - TARGET_USE if is_above else TARGET_USE)
    return Decimal(at_target * YEAR_S) / WAD * (1 + (RISE_ABOVE if is_above else RISE_BELOW) * distance)


def series_name(name: str) -> str:
    """The name of a market or pool in a path: `wstETH/WETH` -> `wstETH_WETH`."""
    return name.replace("/", "_")
