"""Columns for the data checks, out of lists."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from random import Random

from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.data.columns import Columns, Figures
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.rows import parse_stamp

START_US = parse_stamp("2024-01-01T00:00:00Z")
SPOT, PERP, DAILY = "ohlcv/bybit/spot/ETHUSDT_1h", "ohlcv/bybit/perp/ETHUSDT_1h", "ohlcv/bybit/spot/ETHUSDT_1d"
FUNDING, STAKING, DEX = "funding/bybit/ETHUSDT", "staking/lido/wstETH", "dex/uniswap_v3/wstETH_WETH"


def columns_of(series: str, stamps: Sequence[float], **figures: Sequence[float]) -> Columns:
    """`stamps` in hours since START_US."""
    spec = spec_of(series)
    assert spec is not None
    instants = array("q", [START_US + round(hour * HOUR_US) for hour in stamps])
    return Columns(spec, instants, {name: Figures(array("d", values)) for name, values in figures.items()})


def bars(series: str, closes: Sequence[float], *, spread: float = 0.001, every: float = 1, volume: Sequence[float] = ()) -> Columns:
    """Bars of these closes, each from the close before it."""
    opens = [closes[0], *closes[:-1]]
    return columns_of(
        series,
        [every * place for place in range(len(closes))],
        high=[max(pair) * (1 + spread) for pair in zip(opens, closes, strict=True)],
        low=[min(pair) * (1 - spread) for pair in zip(opens, closes, strict=True)],
        close=closes,
        volume=volume or [5.0] * len(closes),
    )


def walk(seed: int, rows: int, size: float, first: float = 2000.0) -> list[float]:
    """Prices that move by `size` from one row to the next."""
    random, found = Random(seed), [first]
    for _ in range(rows - 1):
        found.append(found[-1] * (1 + random.gauss(0, size)))
    return found
