"""Curve StableSwap."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.venues import curve_pool
from basis_strategy_v1.venues.curve_pool import FEE_DENOMINATOR, StableSwapPool, exchange
from basis_strategy_v1.venues.market_swap import PIPS, MarketSwapRow
from basis_strategy_v1.venues.pool_swap import Filled, PoolSwap, SwapPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.venues.market_swap import SwapSettings
    from basis_strategy_v1.venues.venue import Place

ROW = MarketSwapRow(fee_pips=400, slippage_bps=Decimal(1), gas_units=180_000)
PER_PIP = FEE_DENOMINATOR // int(PIPS)
# What part of a balance is too small to move the price.
SMALL_PART = 10**7


class CurvePools:
    """Pools of coins that are worth about the same, after their rates."""

    def read(self, texts: Mapping[str, str]) -> SwapPool:
        row = curve_pool.pool_from_row(texts)
        return SwapPool(row.coins, row.pool)

    def from_depth(self, pair: tuple[str, str], price: Decimal, depth_usd: Decimal, usd: Decimal, fee_pips: int) -> SwapPool:
        first, second = (decimals_of(token) for token in pair)
        pool = curve_pool.pool_from_price_and_depth(
            price, depth_usd, usd_per_coin1=usd, decimals=(first, second), fee=fee_pips * PER_PIP
        )  # fmt: skip
        return SwapPool(((pair[0], first), (pair[1], second)), pool)

    def fee_pips(self, state: StableSwapPool) -> Decimal:
        return Decimal(state.fee) / PER_PIP

    def spot(self, pool: SwapPool, paid: int, out: int) -> Decimal:
        units = pool.state.balances[paid] // SMALL_PART
        received = exchange(replace(pool.state, fee=0), paid, out, units).received
        price: Decimal = Decimal(received).scaleb(pool.coins[paid][1] - pool.coins[out][1]) / units
        return price

    def fill(self, pool: SwapPool, paid: int, out: int, units: int) -> Filled:
        after, received = exchange(pool.state, paid, out, units)
        # The fee is taken from what comes out, and reported as that part of what is paid in.
        gross = exchange(replace(pool.state, fee=0), paid, out, units).received
        return Filled(after, units, received, Decimal(gross - received) / gross if gross else Decimal(0))


def curve(place: Place, settings: SwapSettings) -> PoolSwap:
    """The simulator of Curve."""
    return PoolSwap(place, ROW, CurvePools(), settings)
