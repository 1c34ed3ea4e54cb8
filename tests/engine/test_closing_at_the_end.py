"""What `close_at_end` could not close in its step, or `leave_at` in its time, is reported: in the summary, on the terminal, on the page."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import EventDrivenStrategyEngine

START, END = "2024-06-01T00:00:00Z", "2024-06-03T00:00:00Z"
STAKING: dict[str, Any] = {
    "strategy_mode": "eth_staking_only",
    "share_class": "eth_directional",
    "initial_capital": 32,
    "start": START,
    "end": END,
    "strategy": {"protocol": "lido"},
    "venues": {"onchain": {"lido": {}, "wallet": {"gas_price_gwei": 5}}},
    "close_at_end": True,
}
NEUTRAL: dict[str, Any] = {
    "strategy_mode": "usdt_market_neutral",
    "share_class": "usdt_stable",
    "initial_capital": 50_000,
    "start": START,
    "end": END,
    "strategy": {"protocol": "lido", "spot_venue": "bybit", "perp_venue": "bybit"},
    "venues": {"cex": ["bybit"], "onchain": {"lido": {}, "wallet": {"gas_price_gwei": 5}}},
    "close_at_end": True,
}
BASIS: dict[str, Any] = {
    **NEUTRAL,
    "strategy_mode": "eth_basis",
    "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"},
    "venues": {"cex": ["bybit"]},
}


def ran(config: dict[str, Any], sample: Path, folder: Path) -> Path:
    """The folder of a run."""
    engine = EventDrivenStrategyEngine.from_config(config, data=sample, results=folder / "results", logs=folder / "logs", report=False)
    return engine.run().paths["summary.json"].parent


def left_open(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((folder / "summary.json").read_text())["left_open"]
    return found


def held_at_the_end(folder: Path) -> dict[tuple[str, str], str]:
    """The last rows of positions.csv: (venue, token) -> amount."""
    with (folder / "positions.csv").open(newline="") as file:
        return {(row["venue"], row["token"]): row["amount"] for row in csv.DictReader(file) if row["timestamp"] == END}


@pytest.mark.parametrize(
    ("config", "open_still", "closed"),
    [
        (STAKING, [("lido", "ETH-QUEUED")], [("wallet", "ETH")]),
        (
            {**STAKING, "strategy": {"protocol": "lido", "leave_at": "2024-06-02"}},
            [("lido", "ETH-QUEUED")],
            [("wallet", "ETH")],
        ),
        (
            {**STAKING, "close_at_end": False, "strategy": {"protocol": "lido", "leave_at": "2024-06-02"}},
            [("lido", "ETH-QUEUED")],
            [("wallet", "ETH")],
        ),
        (NEUTRAL, [("bybit", "ETHUSDT-PERP"), ("lido", "ETH-QUEUED")], [("bybit", "USDT"), ("wallet", "ETH")]),
        (BASIS, [], [("bybit", "ETH"), ("bybit", "USDT")]),  # less ETH than a lot
    ],
    ids=["a queue", "left too late", "left too late, and not closed", "a queue and its hedge", "nothing"],
)
def test_open_positions_are_in_the_summary_as_positions_csv_has_them(
    config: dict[str, Any], open_still: list[tuple[str, str]], closed: list[tuple[str, str]], sample: Path, tmp_path: Path
) -> None:
    folder = ran(config, sample, tmp_path)
    held = held_at_the_end(folder)
    assert sorted(held) == sorted([*open_still, *closed])
    assert left_open(folder) == [{"venue": venue, "token": token, "amount": held[venue, token]} for venue, token in open_still]


def test_where_closing_was_not_asked_for_nothing_is_left_open(sample: Path, tmp_path: Path) -> None:
    folder = ran({**NEUTRAL, "close_at_end": False}, sample, tmp_path)
    assert ("bybit", "ETHUSDT-PERP") in held_at_the_end(folder)
    assert left_open(folder) == []
