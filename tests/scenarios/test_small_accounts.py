"""Where an order is a few lots, what the lots cut off is not spent."""

from __future__ import annotations

from decimal import Decimal

from .conftest import RunOnce
from .running import basis_config


def test_ten_thousand_dollars_of_bitcoin_basis_bring_the_margin_that_the_sale_has_freed(run_once: RunOnce) -> None:
    config = basis_config(
        "btc_basis",
        strategy_spot_venue="binance",
        strategy_leverage=2,
        venues={"cex": {"binance": {"withdrawal": {}}, "bybit": {}}},
        initial_capital=10_000,
        end="2024-06-10",
    )
    ran = run_once(config)
    legs = [(held["binance BTC"], -held["bybit BTCUSDT-PERP"]) for held in ran.positions().values() if "binance BTC" in held]
    moved = [row for row in ran.events("execution") if Decimal(row.data["deltas"].get("bybit", {}).get("USDT", 0)) > 100]
    assert len(legs) > 9
    assert moved
    assert ran.summary["instructions_failed"] == 0
    assert max(abs(spot - short) for spot, short in legs) <= Decimal("0.001")
