"""pure_lending earns the index of the reserve: no more, no less."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import RunOnce
from .running import CAPITAL, moment, series

BASE_UNIT = Decimal("1e-6")
ROWS = [("2024-01-01", "2025-05-31"), ("2024-06-01", "2024-06-02"), ("2024-03-15", "2024-11-30"), ("2024-12-31", "2025-01-01")]


def lending(start: str, end: str, **changes: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "pure_lending",
        "share_class": "usdt_stable",
        "initial_capital": CAPITAL,
        "start": start,
        "end": end,
        "interval": "1d",
        "strategy": {"protocol": "aave", "token": "USDT"},
        "venues": {"onchain": {"aave": {"rate_impact": False}, "wallet": {"gas_price_gwei": 0}}},
        **changes,
    }


def index_ratio(market: Path, start: str, end: str) -> Decimal:
    indices = {row["timestamp"][:10]: Decimal(row["liquidity_index"]) for row in series(market, "lending/aave_v3/USDT")}
    return indices[end] / indices[start]


@pytest.mark.parametrize(("start", "end"), ROWS)
@pytest.mark.parametrize("interval", ["1d", "1h"])
def test_the_final_equity_is_the_capital_times_the_index_ratio(
    start: str, end: str, interval: str, run_once: RunOnce, market_data: Path
) -> None:
    if interval == "1h" and (start, end) == ROWS[0]:
        start, end = "2024-10-01", "2025-01-01"  # a quarter of hours is enough
    summary = run_once(lending(start, end, interval=interval)).summary
    assert abs(Decimal(summary["final_equity"]) - CAPITAL * index_ratio(market_data, start, end)) <= 3 * BASE_UNIT
    earned = {"supply_interest": summary["pnl"]}
    assert {source: amount for source, amount in summary["attribution"].items() if amount != "0"} == earned


def test_withdrawing_at_the_end_gives_back_the_same(run_once: RunOnce, market_data: Path) -> None:
    ran = run_once(lending("2024-06-01", "2024-09-01", close_at_end=True))
    held = list(ran.positions().values())[-1]
    assert list(held) == ["wallet USDT"]
    assert abs(held["wallet USDT"] - CAPITAL * index_ratio(market_data, "2024-06-01", "2024-09-01")) <= 3 * BASE_UNIT


def test_gas_at_the_price_of_the_hour_is_the_only_cost(run_once: RunOnce, market_data: Path) -> None:
    config = lending(
        "2024-06-01", "2024-06-08", venues={"onchain": {"aave": {"rate_impact": False}, "wallet": {"gas_price_gwei": "market"}}}
    )
    ran = run_once(config)
    [supply] = ran.events("execution")
    gas = [row for row in series(market_data, "gas/ethereum") if row["timestamp"] <= "2024-06-01T00:00:00Z"][-1]
    wei = -Decimal(supply.data["deltas"]["wallet"]["ETH"])
    units = wei * 10**9 / (Decimal(gas["base_fee_gwei"]) + Decimal(gas["priority_fee_gwei"]))
    assert 100_000 < units < 1_000_000
    attribution = {source: Decimal(amount) for source, amount in ran.summary["attribution"].items() if amount != "0"}
    assert set(attribution) == {"supply_interest", "gas", "spot_price"}  # what is left of the reserve of ETH has a price
    price = [bar for bar in series(market_data, "ohlcv/uniswap_v3/spot/WETHUSDT_1h")]
    assert price and attribution["gas"] < 0


def test_lending_ether_counts_in_ether(run_once: RunOnce, market_data: Path) -> None:
    config = lending("2024-06-01", "2024-07-01", share_class="eth_directional", initial_capital=50)
    config["strategy"] = {"protocol": "aave", "token": "WETH"}
    ran = run_once(config)
    indices = {row["timestamp"][:10]: Decimal(row["liquidity_index"]) for row in series(market_data, "lending/aave_v3/WETH")}
    assert abs(Decimal(ran.summary["final_equity"]) - 50 * indices["2024-07-01"] / indices["2024-06-01"]) <= Decimal("3e-12")
    assert ran.summary["share_class"] == "eth_directional"


def test_what_grew_is_settled_at_each_row_of_the_reserve(run_once: RunOnce) -> None:
    ran = run_once(lending("2024-06-01", "2024-06-11"))
    assert [moment(row["timestamp"]).day for row in ran.rows("equity.csv")] == list(range(1, 12))
    equity = [Decimal(row["equity"]) for row in ran.rows("equity.csv")]
    assert equity == sorted(equity)
    assert [Decimal(row["supply_interest"]) for row in ran.rows("equity.csv")] == [amount - CAPITAL for amount in equity]
