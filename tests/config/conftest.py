"""Configs that are right, for tests to spoil."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STRATEGIES: dict[str, dict[str, Any]] = {
    "pure_lending": {"token": "USDT"},
    "basis": {"spot_venue": "bybit", "perp_venue": "bybit", "symbol": "ETHUSDT"},
    "eth_basis": {"spot_venue": "bybit", "perp_venue": "bybit"},
    "btc_basis": {"spot_venue": "bybit", "perp_venue": "bybit"},
    "eth_staking_only": {"protocol": "lido"},
    "eth_leveraged": {"protocol": "lido", "lender": "aave", "target_ltv": 0.8},
    "usdt_market_neutral": {"protocol": "etherfi", "spot_venue": "bybit", "perp_venue": "binance_perp"},
    "blocks": {"file": "blocks.jsonl"},
    "custom": {"file": "mine.py"},
}


def right_config(mode: str = "eth_basis") -> dict[str, Any]:
    """A config of `mode` that can run, and live."""
    return {
        "strategy_mode": mode,
        "share_class": "eth_directional" if mode in {"eth_staking_only", "eth_leveraged"} else "usdt_stable",
        "initial_capital": 100000,
        "start": "2024-06-01",
        "end": "2024-07-01",
        "strategy": dict(STRATEGIES[mode]),
        "limits": {
            "max_notional_per_instruction": 50000,
            "max_notional_per_day": 200000,
            "max_slippage_bps": 50,
            "max_unhedged_notional": 5000,
        },
        "venues": {
            "cex": {"bybit": {}, "binance_perp": {}, "hyperliquid": {}},
            "dex": {"uniswap": {}, "curve": {}},
            "onchain": {"aave": {}, "morpho": {}, "lido": {}, "etherfi": {}, "wallet": {}},
        },
    }


@pytest.fixture
def config() -> Callable[..., dict[str, Any]]:
    return right_config


def write_strategy_files(folder: Path) -> Path:
    for name in ("mine.py", "blocks.jsonl"):
        (folder / name).write_text("")
    return folder


@pytest.fixture(scope="session")
def strategy_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_strategy_files(tmp_path_factory.mktemp("strategies"))


@pytest.fixture(autouse=True)
def _strategy_files(request: pytest.FixtureRequest, strategy_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory has the files that configs name; it is the test's own where the test has one."""
    own = "tmp_path" in request.fixturenames
    monkeypatch.chdir(write_strategy_files(request.getfixturevalue("tmp_path")) if own else strategy_files)
