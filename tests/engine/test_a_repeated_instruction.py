"""A block that comes again under its id: it is executed once, and paid for once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from basis_strategy_v1.app import build

BUY = {
    "instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": "1",
    "instruction_id": "once",
}  # fmt: skip


def summary_of(folder: Path, data: Path, *times: str) -> dict[str, Any]:
    """What a run comes to that sends the block at these times."""
    folder.mkdir()
    (folder / "blocks.jsonl").write_text("".join(json.dumps({"timestamp": time, "block": BUY}) + "\n" for time in times))
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 10_000, "start": "2024-06-02", "end": "2024-06-03",
        "strategy": {"file": str(folder / "blocks.jsonl")}, "venues": {"cex": ["bybit"]},
    }  # fmt: skip
    return build(config, data, folder / "results", folder / "logs", report=False).run().summary


def test_the_costs_of_a_replayed_report_are_charged_once(tmp_path: Path, sample: Path) -> None:
    once = summary_of(tmp_path / "once", sample, "2024-06-02T06:00:00Z")
    twice = summary_of(tmp_path / "twice", sample, "2024-06-02T06:00:00Z", "2024-06-02T06:00:00Z", "2024-06-02T09:00:00Z")
    assert float(once["attribution"]["fees"]) < 0
    assert (twice["attribution"], twice["final_equity"]) == (once["attribution"], once["final_equity"])
