"""One decision in a process of its own: what is known comes on stdin as JSON, what is decided goes to stdout."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from decimal import localcontext
from typing import Any

from basis_strategy_v1 import ExecutionInterfaceManager, PositionUpdateHandler, load_config
from basis_strategy_v1.app import strategy_of
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.execution.portfolio import Portfolio
from basis_strategy_v1.strategies.strategy import Plan, Step


class Data:
    """The same market at every time."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        return {**self._data, "timestamp": timestamp}


def written(plan: Plan) -> dict[str, Any]:
    """A plan as JSON has it, amounts as text."""
    blocks, memory = plan
    return {"blocks": json.loads(json.dumps(blocks, default=str)), "memory": encode_memory(memory)}


def main() -> None:
    known = json.load(sys.stdin)
    settings = load_config(known["config"], run=True)
    handler = PositionUpdateHandler(known["positions"])
    manager = ExecutionInterfaceManager(settings, Data(known["data"]), "backtest", positions=handler)
    at = datetime.fromisoformat(known["at"])
    with localcontext(EXACT):
        strategy = strategy_of(settings)
        step = Step(at, manager.account.market(at), Portfolio(manager.account, settings.gas_reserve_eth), settings.strategy)
        json.dump(written(strategy.decide(step, decode_memory(known["memory"], strategy.memory_kinds))), sys.stdout)


if __name__ == "__main__":
    main()
