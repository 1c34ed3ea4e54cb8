"""The venues that are spoken, in the order in which a path is tried."""

from __future__ import annotations

from .binance import Binance
from .bybit import Bybit
from .hyperliquid import Hyperliquid
from .okx import Okx

DIALECTS = (Binance(), Bybit(), Okx(), Hyperliquid())
