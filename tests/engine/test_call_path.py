"""The way of one order, as ARCHITECTURE.md describes it: which module calls which, for a trade, a chain and a funding payment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import basis_strategy_v1
from basis_strategy_v1 import EventDrivenStrategyEngine

PACKAGE = Path(basis_strategy_v1.__file__).parent
TRADE = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
SHORT = {**TRADE, "trade_type": "perp", "side": "sell"}
ACTION = {"instruction_type": "smart_contract_action"}
CHAIN = {
    **ACTION,
    "sub_instructions": [
        {"protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000},
        {"protocol": "aave", "action": "borrow", "token": "WETH", "amount": "0.1"},
    ],
}


def chain_to(module: str, function: str, sample: Path, folder: Path, block: dict[str, Any]) -> set[tuple[str, ...]]:
    """The modules of the package on the way from the engine to each call of a function, one name for calls within a module."""
    (folder / "blocks.jsonl").write_text(json.dumps({"timestamp": "2024-06-02T06:00:00Z", "block": block}) + "\n")
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 10_000, "start": "2024-06-02", "end": "2024-06-03",
        "strategy": {"file": str(folder / "blocks.jsonl")}, "initial_positions": {"bybit": {"USDT": 9_000}, "wallet": {"USDT": 5_000}},
        "venues": {"cex": ["bybit"], "onchain": {"aave": {}, "wallet": {"gas_price_gwei": 0}}},
    }  # fmt: skip
    engine = EventDrivenStrategyEngine.from_config(config, sample, folder / "results", folder / "logs", report=False)
    found: set[tuple[str, ...]] = set()

    def watch(frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_name == function and name_of(frame) == module:
            found.add(way_to(frame))

    sys.setprofile(watch)
    try:
        engine.run()
    finally:
        sys.setprofile(None)
    return found


def name_of(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return path.relative_to(PACKAGE).with_suffix("").as_posix() if path.is_relative_to(PACKAGE) else ""


def way_to(frame: FrameType) -> tuple[str, ...]:
    names: list[str] = []
    at: FrameType | None = frame
    while at is not None:
        name = name_of(at)
        if name and (not names or names[-1] != name):
            names.append(name)
        at = at.f_back
    return tuple(reversed(names))


def test_a_spot_trade_goes_from_the_engine_through_pipeline_and_step_to_its_venue(sample: Path, tmp_path: Path) -> None:
    assert chain_to("venues/cex", "simulate", sample, tmp_path, TRADE) == {("engine", "execution/pipeline", "execution/step", "venues/cex")}


def test_what_came_back_is_committed_by_the_pipeline(sample: Path, tmp_path: Path) -> None:
    found = chain_to("positions/position_update_handler", "commit", sample, tmp_path, TRADE)
    assert found == {("engine", "execution/pipeline", "positions/position_update_handler")}


def test_a_chain_goes_the_same_way_and_is_a_fold_over_its_protocols(sample: Path, tmp_path: Path) -> None:
    found = chain_to("venues/aave", "simulate", sample, tmp_path, CHAIN)
    assert found == {("engine", "execution/pipeline", "execution/step", "venues/chain", "venues/aave")}


def test_a_funding_payment_is_settled_where_the_account_passes_time(sample: Path, tmp_path: Path) -> None:
    assert chain_to("venues/cex", "_funding", sample, tmp_path, SHORT) == {("engine", "execution/account", "venues/cex")}
