"""Rows that hold the whole state of a pool or a market in the contract's own integers: which columns they have, and the row itself."""

from __future__ import annotations

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


def series_name(name: str) -> str:
    """The name of a market or pool in a path: `wstETH/WETH` -> `wstETH_WETH`."""
    return name.replace("/", "_")
