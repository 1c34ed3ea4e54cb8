"""Uniswap v3."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from basis_strategy_v1.core.settings import Address
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.venues import uniswap_data
from basis_strategy_v1.venues.market_swap import MarketSwapRow, SwapSettings
from basis_strategy_v1.venues.pool_swap import Filled, PoolSwap, SwapPool
from basis_strategy_v1.venues.uniswap_pool import FEE_UNIT, TICK_SPACINGS, PoolState, exact_input_single

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.venues.venue import Place

ROW = MarketSwapRow(fee_pips=500, slippage_bps=Decimal(1), gas_units=125_000)
# Where the factory has no spacing for a fee, one in the same proportion as those it has.
FEE_OF_ONE_TICK = 50


class UniswapPools:
    """Pools of concentrated liquidity, token0 and token1."""

    def read(self, texts: Mapping[str, str]) -> SwapPool:
        row = uniswap_data.pool_from_row(texts)
        return SwapPool((row.token0, row.token1), row.pool)

    def from_depth(self, pair: tuple[str, str], price: Decimal, depth_usd: Decimal, usd: Decimal, fee_pips: int) -> SwapPool:
        coins = tuple((token, decimals_of(token)) for token in pair)
        pool = uniswap_data.pool_from_price_and_depth(
            price, depth_usd, usd_per_token1=usd, decimals0=coins[0][1], decimals1=coins[1][1], fee_pips=fee_pips,
            tick_spacing=TICK_SPACINGS.get(fee_pips, max(1, fee_pips // FEE_OF_ONE_TICK)),
        )  # fmt: skip
        return SwapPool(coins, pool)

    def fee_pips(self, state: PoolState) -> Decimal:
        return Decimal(state.fee_pips)

    def spot(self, pool: SwapPool, paid: int, out: int) -> Decimal:
        (_, decimals0), (_, decimals1) = pool.coins
        price = uniswap_data.price_of(pool.state.sqrt_price_x96, decimals0, decimals1)
        return price if out else 1 / price

    def fill(self, pool: SwapPool, paid: int, out: int, units: int) -> Filled:
        traded = exact_input_single(pool.state, paid == 0, units)
        return Filled(traded.pool, traded.paid, traded.received, Decimal(pool.state.fee_pips) / FEE_UNIT)


class Settings(SwapSettings, frozen=True, kw_only=True):
    """Those of every DEX, and its contracts."""

    router: Annotated[Address | None, "live; left out: Ethereum mainnet's"] = None
    quoter: Annotated[Address | None, "live; left out: Ethereum mainnet's"] = None
    factory: Annotated[Address | None, "live; left out: Ethereum mainnet's"] = None


def uniswap(place: Place, settings: Settings) -> PoolSwap:
    """The simulator of Uniswap v3."""
    return PoolSwap(place, ROW, UniswapPools(), settings)
