"""Uniswap v3."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from basis_strategy_v1.venues.market_swap import MarketSwap, MarketSwapRow, with_settings

ROW = MarketSwapRow("uniswap", fee_pips=500, slippage_bps=Decimal(1), gas_units=125_000)


def uniswap(settings: dict[str, Any]) -> MarketSwap:
    """The simulator of Uniswap v3 by market price."""
    return MarketSwap(with_settings(ROW, settings))
