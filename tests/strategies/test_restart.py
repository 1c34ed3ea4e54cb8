"""A restart changes no decision: the same step and the same memory give the same plan, in a new process too."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from decimal import localcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1 import EventDrivenStrategyEngine, ExecutionInterfaceManager, ExecutionManager, PositionUpdateHandler, load_config
from basis_strategy_v1.app import strategy_of
from basis_strategy_v1.config import Config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.execution.portfolio import Portfolio
from basis_strategy_v1.strategies.strategy import Plan, Step

from . import decide_once
from .staked_world import START, Market

CONFIG: dict[str, Any] = {
    "strategy_mode": "eth_basis",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "start": "2024-06-01",
    "end": "2024-06-30",
    "strategy": {"spot_venue": "bybit", "perp_venue": "binance", "leverage": 3},
    "venues": {"cex": {"bybit": {"withdrawal": {}}, "binance": {"withdrawal": {}}}},
}
POSITIONS = {"bybit": {"USDT": 75_000}, "binance": {"USDT": 25_000}}


class OldProcess:
    """A basis strategy that lives on from step to step, over the real manager and venues."""

    def __init__(self) -> None:
        self.market = Market()
        self.settings = load_config(CONFIG, run=True)
        self.handler = PositionUpdateHandler(POSITIONS)
        self.manager = ExecutionInterfaceManager(self.settings, self.market, "backtest", positions=self.handler)
        self.execution = ExecutionManager(self.settings, self.manager, self.handler)
        self.portfolio = Portfolio(self.manager.account, self.settings.gas_reserve_eth)
        self.strategy = strategy_of(self.settings)
        self.memory: Any = None
        self.at = START

    def wait(self, price: float) -> None:
        """Eight hours go by, to the next payment of funding; the price is another then."""
        self.market.price = price
        self.at += timedelta(hours=8)
        self.manager.settle(self.at)

    def decide(self) -> Plan:
        with localcontext(EXACT):
            return self.strategy.decide(
                Step(self.at, self.manager.account.market(self.at), self.portfolio, self.settings.strategy), self.memory
            )

    def execute(self, plan: Plan) -> None:
        blocks, self.memory = plan
        with localcontext(EXACT):
            self.execution.execute_blocks(self.at, list(blocks))

    def decide_in_a_new_process(self, memory: Any) -> dict[str, Any]:
        """What a process decides that knows the market, the positions, and the memory as it was stored."""
        held = {venue: {token: str(amount) for token, amount in tokens.items()} for venue, tokens in self.handler.positions.items()}
        data = {name: content for name, content in self.market.get_data(self.at).items() if name != "timestamp"}
        known = {"config": CONFIG, "positions": held, "data": data, "at": self.at.isoformat(), "memory": encode_memory(memory)}
        done = subprocess.run([sys.executable, decide_once.__file__], input=json.dumps(known), capture_output=True, text=True, check=True)
        decided: dict[str, Any] = json.loads(done.stdout)
        return decided


def test_after_the_short_was_liquidated_a_new_process_decides_as_the_old_one() -> None:
    process = OldProcess()
    process.execute(process.decide())
    process.wait(3000.0)
    process.execute(process.decide())
    assert process.portfolio.amount("binance", "ETHUSDT-PERP") < 0
    process.wait(6000.0)
    assert process.portfolio.amount("binance", "ETHUSDT-PERP") == 0, "liquidated"

    sells = process.decide()
    assert [block["side"] for block in sells[0]] == ["sell"]
    assert process.decide_in_a_new_process(process.memory) == decide_once.written(sells)
    process.execute(sells)
    process.wait(6000.0)
    stays_out = process.decide()
    assert stays_out[0] == []
    assert process.decide_in_a_new_process(process.memory) == decide_once.written(stays_out)
    assert len(process.decide_in_a_new_process(None)["blocks"]) == 3, "without its memory it would move cash, buy and go short again"


class RestartedAtEachStep:
    """The config's strategy, made again for every step, with the memory as it was stored after the one before."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.needs, self.placed = strategy_of(config).needs, strategy_of(config).placed
        self.memory_kinds = strategy_of(config).memory_kinds

    def decide(self, step: Step, memory: Any) -> Plan:
        return strategy_of(self._config).decide(step, decode_memory(encode_memory(memory), self.memory_kinds))

    def leave(self, step: Step, memory: Any) -> Plan:
        return strategy_of(self._config).leave(step, decode_memory(encode_memory(memory), self.memory_kinds))


TWO_ACCOUNTS = {"cex": {name: {"withdrawal": {"USDT": {"fee": 1, "minutes": 90}}} for name in ("bybit", "binance")}}
# Settings with which a run needs what it remembers.
BUSY: dict[str, dict[str, Any]] = {
    "eth_basis": {"perp_venue": "binance", "rebalance_threshold_bps": 50},
    "btc_basis": {"perp_venue": "binance", "leverage": 20},
    "eth_leveraged": {"spread_window_hours": 72, "min_spread_bps": 100},
    "eth_staking_only": {"leave_at": "2024-06-20"},
    "usdt_market_neutral": {"leave_at": "2024-06-25", "leverage": 3, "rebalance_threshold_bps": 50},
    "pure_lending": {},
}


@pytest.mark.parametrize("mode", BUSY)
def test_a_run_that_is_restarted_at_each_step_writes_the_same_bytes(mode: str, sample: Path, repository: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((repository / "config" / f"{mode}.yaml").read_text())
    config |= {"end": "2024-07-15", "close_at_end": True, "strategy": {**config["strategy"], **BUSY[mode]}}
    if mode.endswith("basis"):
        config["venues"] = TWO_ACCOUNTS
    written = []
    for name in ("one process", "many"):
        folder = tmp_path / name
        engine = EventDrivenStrategyEngine.from_config(config, data=sample, results=folder, logs=folder / "logs", report=False)
        if name == "many":
            engine.strategy = RestartedAtEachStep(engine.config)
        ran = engine.run()
        assert ran.summary["instructions_routed"] > 0
        files = {file: ran.paths[file].read_bytes() for file in ("equity.csv", "positions.csv", "events.csv")}
        written.append({**files, "summary": {**ran.summary, "waited": None}})  # why nothing was held is asked by one process
    assert written[0] == written[1]
