"""`basis live --paper` over recorded data gives what a backtest of the same config gives, to the last digit."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1 import EventDrivenStrategyEngine
from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.live.journal_reader import JournalReader

LIMITS = {
    "max_notional_per_instruction": 10**9, "max_notional_per_day": 10**10, "max_slippage_bps": 100, "max_unhedged_notional": 50_000,
    "withdrawal_addresses": ["0x" + "11" * 20],
}  # fmt: skip
SHIPPED = ("eth_basis", "btc_basis", "usdt_market_neutral", "eth_leveraged", "eth_staking_only", "pure_lending")


def both(config: dict[str, Any], data: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a backtest and a paper run wrote: file name -> content, without keys and references."""
    config = {**config, "limits": LIMITS}
    backtest = EventDrivenStrategyEngine.from_config(config, data, folder / "b", folder / "bl", report=False).run()
    paper = build_paper_replay(config, data, folder / "state", folder / "p", folder / "pl", report=False).run()
    found = written(paper.paths)
    moved = found["summary"].pop("expected_and_executed")
    assert {row["difference"] for row in moved} == {"0"}
    assert "expected.csv" not in backtest.paths
    return written(backtest.paths), found


def written(paths: dict[str, Path]) -> dict[str, Any]:
    found: dict[str, Any] = {name: paths[name].read_text().splitlines() for name in ("equity.csv", "positions.csv", "risk.csv")}
    found["summary"] = json.loads(paths["summary.json"].read_text())
    with paths["events.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = ("execution", "settlement")
    found["events"] = [moved(row) for row in rows if row["event_type"] in kinds]
    return found


def moved(row: dict[str, str]) -> tuple[Any, ...]:
    """When, where and what an event moved and cost."""
    data = json.loads(row["data"])
    return row["timestamp"], row["event_type"], data["venue"], data["deltas"], data["costs"]


@pytest.mark.parametrize("name", SHIPPED)
def test_two_weeks_of_the_sample_are_the_same(name: str, sample: Path, repository: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())
    if "leave_at" in config["strategy"]:
        config["strategy"]["leave_at"] = "2024-06-10"  # so that leaving is compared too
    backtest, paper = both({**config, "start": "2024-06-01", "end": "2024-06-15"}, sample, tmp_path)
    assert paper == backtest
    assert backtest["events"]


def test_every_event_of_more_than_a_month_is_the_same(sample: Path, repository: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((repository / "config" / "eth_basis.yaml").read_text())
    backtest, paper = both({**config, "start": "2024-06-01", "end": "2024-07-11"}, sample, tmp_path)
    assert paper == backtest
    assert (backtest["events"][0][0], backtest["events"][-1][0]) == ("2024-06-01T00:00:00Z", "2024-07-11T00:00:00Z")


MONTHS = {
    "eth_basis": {
        "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 100_000,
        "strategy": {"spot_venue": "bybit", "perp_venue": "bybit", "leverage": 1, "rebalance_threshold_bps": 500},
        "venues": {"cex": {"bybit": {}}},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MONTHS)
def test_a_month_of_real_data_is_the_same(name: str, market_data: Path, tmp_path: Path) -> None:
    backtest, paper = both({**MONTHS[name], "start": "2024-11-01", "end": "2024-12-01"}, market_data, tmp_path)
    assert paper == backtest
    assert len(backtest["events"]) > 50


@pytest.mark.prove
@pytest.mark.parametrize("name", ["eth_basis", "usdt_market_neutral"])
def test_a_year_of_real_data_is_the_same(name: str, market_data: Path, repository: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())
    config["strategy"].pop("leave_at", None)
    backtest, paper = both({**config, "start": "2024-05-31", "end": "2025-05-31"}, market_data, tmp_path)
    assert paper == backtest
    assert len(backtest["events"]) > 1000


def test_a_key_names_run_instant_place_and_content(sample: Path, repository: Path, tmp_path: Path) -> None:
    config = {**yaml.safe_load((repository / "config" / "eth_basis.yaml").read_text()), "start": "2024-06-01", "end": "2024-06-03"}
    engine = build_paper_replay({**config, "limits": LIMITS}, sample, tmp_path / "s", tmp_path / "r", tmp_path / "l", report=False)
    engine.run()
    with JournalReader(tmp_path / "s") as journal:
        keys = [entry.key for entry in journal.plan_entries(1)]
    assert len(keys) == 2
    assert all(re.match(rf"auto:{journal.run}[0-9a-f]+\.p0\.\d\.[0-9a-f]{{16}}$", key) for key in keys)
