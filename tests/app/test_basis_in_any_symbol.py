"""`basis` holds any symbol that the data have; `eth_basis` and `btc_basis` are presets of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import load_config, run
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .runs import config

LEGS = {"spot_venue": "bybit", "perp_venue": "bybit"}


def in_symbol(symbol: str, **changes: Any) -> dict[str, Any]:
    return config(strategy_mode="basis", strategy={**LEGS, "symbol": symbol}, **changes)


@pytest.fixture(scope="module")
def with_sol(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, with the prices and funding of ETH under SOL's name too."""
    folder = shutil.copytree(sample, tmp_path_factory.mktemp("sol") / "data")
    for path in [*folder.glob("ohlcv/bybit/*/ETHUSDT_1h.csv"), *folder.glob("funding/bybit/ETHUSDT.csv")]:
        shutil.copy(path, path.with_name(path.name.replace("ETH", "SOL")))
    return folder


def test_eth_basis_is_the_basis_in_ethusdt(sample: Path) -> None:
    preset, other = run(config(), sample), run(in_symbol("ETHUSDT"), sample)
    assert other.equity.equals(preset.equity)
    assert other.trades.drop_columns(["key"]).equals(preset.trades.drop_columns(["key"]))
    assert preset.trades.num_rows > 1


def test_a_symbol_of_no_preset_is_held_in_the_same_way(with_sol: Path) -> None:
    assumed = {"assume": {"SOLUSDT": {"like": "ETHUSDT"}}, "benchmark": "hold"}
    sol, eth = run(in_symbol("SOLUSDT", **assumed), with_sol), run(config(benchmark="hold"), with_sol)
    assert set(sol.trades.column("symbol").to_pylist()) == {"SOLUSDT"}
    assert sol.equity.equals(eth.equity)
    assert sol.metrics == eth.metrics


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("ETHUSDC", "strategy.symbol: 'ETHUSDC'; allowed: ETHUSDT: bybit settles in USDT"),
        ("ETH", "strategy.symbol: 'ETH'; allowed: ETHUSDT: bybit settles in USDT"),
        ("ETH/USDT", "strategy.symbol: 'ETH/USDT'; allowed: base and quote written together (SOLUSDT)"),
    ],
)
def test_a_symbol_that_the_spot_venue_does_not_trade_is_refused(symbol: str, message: str) -> None:
    with pytest.raises(ComponentError) as refused:
        load_config(in_symbol(symbol), run=True)
    assert str(refused.value) == f"CFG-001: {message}"
