"""The benchmark of a run, and risk.csv against the state that it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import run
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider

from .runs import config

LENDING: dict[str, Any] = {
    "strategy_mode": "pure_lending", "share_class": "usdt_stable", "initial_capital": 10_000, "start": "2024-06-01", "end": "2024-07-15",
    "strategy": {"token": "USDT"}, "venues": {"onchain": {"aave": {}, "wallet": {"gas_price_gwei": 0}}},
}  # fmt: skip
LOOP: dict[str, Any] = {
    "strategy_mode": "eth_leveraged", "share_class": "eth_directional", "initial_capital": 100, "start": "2024-06-01", "end": "2024-06-05",
    "strategy": {"protocol": "lido", "lender": "aave", "target_ltv": 0.9, "flash": True},
    "venues": {"dex": ["uniswap"], "onchain": {"aave": {}, "lido": {}, "wallet": {"gas_price_gwei": 0}}},
}  # fmt: skip


def test_lending_against_lending_has_a_beta_of_1_and_no_excess(sample: Path) -> None:
    found = run({**LENDING, "benchmark": "lend"}, data=sample).metrics
    assert found["beta"] == pytest.approx(1, abs=0.02)  # our own deposit moves the rate a little
    assert found["excess_return"] == pytest.approx(0, abs=1e-4)


def test_hold_is_the_base_asset_of_the_strategy(sample: Path) -> None:
    found = run(config(benchmark="hold", end="2024-07-15"), data=sample)
    with DataReader(sample) as price:
        held = price("2024-07-15") / price("2024-06-01") - 1
    own = found.equity["equity"][-1].as_py() / 10_000 - 1
    assert found.metrics["excess_return"] == pytest.approx(own - held, rel=1e-9)
    assert found.metrics["information_ratio"] is not None
    staked = run({**LOOP, "benchmark": "hold"}, data=sample)
    assert staked.summary["metrics_reasons"]["beta"] == "the benchmark does not vary"


class DataReader:
    def __init__(self, folder: Path) -> None:
        self._provider = DataProvider(folder, spot_venues=("bybit",))

    def __enter__(self) -> Any:
        from datetime import datetime

        return lambda at: float(self._provider.snapshot(datetime.fromisoformat(f"{at}T00:00:00+00:00")).price("ETH"))

    def __exit__(self, *error: object) -> None:
        pass


def test_a_benchmark_without_its_series_is_refused_before_the_run(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="CFG-001: benchmark: hold needs a base asset, and pure_lending names no spot or perp series"):
        run({**LENDING, "benchmark": "hold"}, data=sample)
    data = tmp_path / "data"
    for name in ("ohlcv/bybit/spot/ETHUSDT_1h.csv", "ohlcv/bybit/perp/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).symlink_to(sample / name)
    with pytest.raises(ComponentError, match="CFG-001: benchmark: lend has no series at the start: no lending data of aave for USDT"):
        run(config(benchmark="lend"), data=data)


def test_the_risk_of_a_basis_trade_is_that_of_its_positions(sample: Path) -> None:
    found = run(config(strategy={"spot_venue": "bybit", "perp_venue": "bybit", "leverage": 2}), data=sample)
    first = found.risk.to_pylist()[0]
    held = {row["token"]: row["amount"] for row in found.positions.to_pylist()[:3]}
    price = DataProvider(sample).snapshot(first["timestamp"]).spot("bybit", "ETHUSDT", as_float=True)
    mark = DataProvider(sample).snapshot(first["timestamp"]).perp("bybit", "ETHUSDT", as_float=True)
    long, short = held["ETH"] * price, -held["ETHUSDT-PERP"] * mark
    assert first["gross_exposure"] == pytest.approx(long + short, abs=0.01)
    assert first["net_exposure"] == pytest.approx(long - short, abs=0.01)
    assert first["bybit_leverage"] == pytest.approx(1 / first["bybit_margin_ratio"], rel=1e-4)
    assert found.risk.column_names == [
        "timestamp",
        "gross_exposure",
        "net_exposure",
        "in_transit",
        "queued",
        "bybit_leverage",
        "bybit_margin_ratio",
        "bybit_liquidation_distance",
        "ETH_delta",
        "bybit_ETHUSDT_funding_apr",
        "own_funding_apr",
    ]
    assert first["ETH_delta"] == pytest.approx(held["ETH"] + held["ETHUSDT-PERP"], abs=1e-8)
    # At the distance the margin is what the first tier asks for: 0.5 % of the notional.
    distance, equity = first["bybit_liquidation_distance"], first["bybit_margin_ratio"] * -held["ETHUSDT-PERP"] * mark
    assert equity - short * distance == pytest.approx(0.005 * short * (1 + distance), rel=1e-4)


def test_the_funding_of_the_market_stands_next_to_our_own(sample: Path) -> None:
    found = run(config(), data=sample)
    first, last = found.risk.to_pylist()[0], found.risk.to_pylist()[-1]
    assert [first["bybit_ETHUSDT_funding_apr"], first["own_funding_apr"]] == [pytest.approx(0.1971), None]
    received = found.equity["funding"][-1].as_py() / found.equity["equity"][0].as_py() * 365  # in a day
    assert [last["bybit_ETHUSDT_funding_apr"], last["own_funding_apr"]] == [pytest.approx(0.22192), pytest.approx(received, abs=1e-6)]


def test_the_coins_of_a_unified_account_count_in_its_leverage_at_every_step(sample: Path) -> None:
    own = {"cex": {"bybit": {"margin": "unified", "haircuts": {"ETH": 0.1}}}}
    found = run(config(strategy={"spot_venue": "bybit", "perp_venue": "bybit", "leverage": 2}, venues=own), data=sample)
    rows, provider = found.risk.to_pylist(), DataProvider(sample)
    held = {row["token"]: row["amount"] for row in found.positions.to_pylist()[:3]}

    def prices(row: Any) -> tuple[float, float]:
        market = provider.snapshot(row["timestamp"])
        return market.spot("bybit", "ETHUSDT", as_float=True), market.perp("bybit", "ETHUSDT", as_float=True)

    first, entry = prices(rows[0])
    cash = rows[0]["bybit_margin_ratio"] * -held["ETHUSDT-PERP"] * entry - held["ETH"] * 0.9 * first
    for row in rows[:5]:
        price, mark = prices(row)
        equity = cash + held["ETH"] * 0.9 * price + held["ETHUSDT-PERP"] * (mark - entry)
        assert row["bybit_leverage"] == pytest.approx(-held["ETHUSDT-PERP"] * mark / equity, rel=1e-5)
        left = equity - 0.005 * -held["ETHUSDT-PERP"] * mark  # a rise of everything takes 10 % of the coins, and the maintenance grows
        assert row["bybit_liquidation_distance"] == pytest.approx(
            left / (-held["ETHUSDT-PERP"] * mark * 1.005 - held["ETH"] * 0.9 * price), rel=1e-5
        )
    assert 0 < rows[0]["bybit_leverage"] < 1


def test_the_risk_of_a_loop_has_its_loan_to_value_and_health(sample: Path) -> None:
    rows = run(LOOP, data=sample).risk.to_pylist()
    assert rows[0]["aave_ltv"] == pytest.approx(0.9, abs=0.001)
    assert rows[0]["aave_health_factor"] == pytest.approx(0.95 / rows[0]["aave_ltv"], rel=0.001)
    assert {row["queued"] for row in rows} == {0.0}


def test_a_run_without_a_perp_or_a_loan_has_only_exposures(sample: Path) -> None:
    found = run(LENDING, data=sample)
    assert found.risk.column_names == ["timestamp", "gross_exposure", "net_exposure", "in_transit", "queued"]
    assert {row["gross_exposure"] for row in found.risk.to_pylist()} == {0.0}
