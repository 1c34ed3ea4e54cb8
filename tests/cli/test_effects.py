"""`basis backtest --effects`."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Basis

CONFIG = {
    "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 50_000, "start": "2024-06-02", "end": "2024-06-03",
    "strategy": {"spot_venue": "bybit", "perp_venue": "binance", "leverage": 2}, "venues": {"cex": ["bybit", "binance"]},
}  # fmt: skip
NAMES = ["size of orders", "withdrawals", "costs"]


def test_effects_are_printed_and_written_into_the_folder_of_the_run(basis: Basis, sample: Path) -> None:
    Path("c.yaml").write_text(json.dumps(CONFIG))
    done = basis("backtest", "c.yaml", "--data", sample, "--no-report", "--effects")
    assert "Effect of each approximation on the profit, from a run without it (USDT)" in done.out
    (found,) = Path("results").glob("*/effects.json")
    assert [row["name"] for row in json.loads(found.read_text())] == NAMES
    as_json = basis("backtest", "c.yaml", "--data", sample, "--no-report", "--effects", "--json")
    assert [row["name"] for row in json.loads(as_json.out)["effects"]] == NAMES
