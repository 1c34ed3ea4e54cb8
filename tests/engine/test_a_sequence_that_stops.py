"""A chain that is not atomic and stops in the middle: what it did is in the ledger when the run ends."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1 import ComponentError, EventDrivenStrategyEngine
from basis_strategy_v1.results.attribution import to_units


def test_what_it_cost_is_recorded_before_the_run_ends(tmp_path: Path, sample: Path) -> None:
    kind = {"instruction_type": "smart_contract_action"}
    steps = [
        {"protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000},
        {"protocol": "lido", "action": "stake", "token": "ETH", "amount": 50},
    ]
    line = {"timestamp": "2024-06-02T06:00:00Z", "block": {**kind, "sub_instructions": steps, "atomic": False}}
    (tmp_path / "blocks.jsonl").write_text(json.dumps(line) + "\n")
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 10_000, "start": "2024-06-02", "end": "2024-06-03",
        "strategy": {"file": str(tmp_path / "blocks.jsonl")}, "initial_positions": {"wallet": {"USDT": 5_000, "ETH": 1}},
        "venues": {"cex": ["bybit"], "onchain": {"aave": {}, "lido": {}, "wallet": {"gas_price_gwei": 20}}},
    }  # fmt: skip
    engine = EventDrivenStrategyEngine.from_config(config, sample, tmp_path / "results", tmp_path / "logs")
    with pytest.raises(ComponentError) as stopped:
        engine.run()
    error = stopped.value
    assert error.partial_deltas["aave"] == {"USDT": -1000.0, "aUSDT": 1000.0}
    (gas,) = (cost.amount for cost in error.reports[-1].costs if cost.source == "gas")
    at = engine.account.market(error.reports[-1].at)
    assert engine.attribution.recorded["gas"] == -to_units(gas * at.price("ETH")) < 0
    assert gas == Decimal(221_000 * 20) / 10**9
