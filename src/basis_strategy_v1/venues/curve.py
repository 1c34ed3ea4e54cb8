"""Curve."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from basis_strategy_v1.venues.market_swap import MarketSwap, MarketSwapRow, with_settings

ROW = MarketSwapRow("curve", fee_pips=400, slippage_bps=Decimal(1), gas_units=180_000)


def curve(settings: dict[str, Any]) -> MarketSwap:
    """The simulator of Curve by market price."""
    return MarketSwap(with_settings(ROW, settings))
