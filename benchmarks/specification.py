"""The specification's own numbers: its target, what is measured here, and how many times better that is."""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

from figures import best_of

from basis_strategy_v1 import EventLogger, ExecutionInterfaceManager
from basis_strategy_v1.venues.registry import known_names
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN

AT = datetime(2024, 7, 1, tzinfo=UTC)
CONFIG = {
    "strategy_mode": "blocks",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "venues": {
        "cex": list(known_names(CEX)),
        "dex": list(known_names(DEX)),
        "onchain": {name: {"gas_price_gwei": 0} if name == "wallet" else None for name in known_names(ONCHAIN)},
    },
}
TRADE = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1.5}
REPEATS = 500
A_SECOND_S = 1.0  # normal operation: an instruction every second, with its two events on the disk before the next step


class Prices:
    """The least that a data provider can be."""

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        return {"timestamp": timestamp, "market_data": {"prices": {"ETH": 3300.0, "USDT": 1.0}}}


def main() -> None:
    tracemalloc.start()
    manager = ExecutionInterfaceManager(CONFIG, Prices(), "backtest")
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    _show("interface lookup", best_of(5, lambda: _repeat(manager.interfaces.__getitem__, "bybit"), REPEATS) * 1e3, 1, "ms")
    _show("instruction routing", best_of(5, lambda: _repeat(manager.route_instruction, AT, TRADE), REPEATS) * 1e3, 10, "ms")
    interface = manager.cex_execution_interfaces["bybit"]
    _show("venue abstraction", best_of(5, lambda: _repeat(interface.execute_trade, TRADE), REPEATS) * 1e3, 5, "ms")
    _show("memory of all interfaces", megabytes, 50, "MB")
    _show("CPU in normal operation", _cpu_share() * 100, 5, "%")


def _repeat(call: Any, *arguments: Any) -> None:
    for _ in range(REPEATS):
        call(*arguments)


def _cpu_share() -> float:
    """The part of a second that the processor works for one instruction, logged as in a live run."""
    with tempfile.TemporaryDirectory() as folder, EventLogger(folder, "live") as log:
        manager = ExecutionInterfaceManager(CONFIG, Prices(), "backtest", event_logger=log)
        started = time.process_time()
        _repeat(manager.update_state, AT, "execution_manager", TRADE)
        return (time.process_time() - started) / REPEATS / A_SECOND_S


def _show(title: str, measured: float, target: float, unit: str) -> None:
    print(
        f"{title:<28} target {f'< {target:g} {unit}':<10}  measured {f'{measured:.6f} {unit}':<14}  {target / measured:,.0f} times better"
    )


if __name__ == "__main__":
    main()
