"""A year of one-minute bars (525,600 steps, two price series) with a rebalance of both legs each 24 bars."""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from figures import best_of, show

MINUTES = 525_600
START = datetime(2023, 1, 1, tzinfo=UTC)
STRATEGY = '''
from decimal import Decimal

AMOUNT = Decimal("0.1")


class EachDayOfBars:
    """Both legs grow and shrink in turn, each 24 bars."""

    def __init__(self):
        self.steps = 0
        legs = [("spot", "buy"), ("perp", "sell")], [("spot", "sell"), ("perp", "buy")]
        common = dict(instruction_type="cex_trade", venue="bybit", symbol="ETHUSDT", amount=AMOUNT)
        self.plans = [[dict(common, trade_type=kind, side=side) for kind, side in leg] for leg in legs]

    def needs(self, parameters):
        return [("spot", "bybit", "ETHUSDT"), ("perp", "bybit", "ETHUSDT"), ("funding", "bybit", "ETHUSDT")]

    def decide(self, snapshot, positions, parameters):
        self.steps += 1
        return [] if self.steps % 24 else self.plans[self.steps // 24 % 2]
'''


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(_one_run(Path(sys.argv[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_data(folder)
        found = json.loads(subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout)
        floor = best_of(3, _bare_loop)
        show("the loop, 525,600 steps", found["loop"], 3, "s", floor, "a bare loop over two arrays of prices")
        show("reading the CSV (two series of 525,610 bars)", found["read"], None, "s")
        show("writing the results", found["write"], None, "s")
        show("the report", found["report"], None, "s")
        show("peak memory of the whole process", found["memory_mb"], 300, "MB")
        _flat_memory()


def _one_run(folder: Path) -> dict[str, float]:
    from basis_strategy_v1 import EventDrivenStrategyEngine

    config = {
        "strategy_mode": "custom",
        "share_class": "usdt_stable",
        "initial_capital": 1_000_000,
        "start": (START + timedelta(minutes=1)).isoformat(),
        "end": (START + timedelta(minutes=MINUTES)).isoformat(),
        "interval": "1m",
        "strategy": {"file": str(folder / "strategy.py")},
        "venues": {"cex": ["bybit"]},
        "initial_positions": {"bybit": {"USDT": 900_000, "ETH": 30}},
    }
    started = time.perf_counter()
    engine = EventDrivenStrategyEngine.from_config(config, folder / "data", folder / "results", folder / "logs")
    read = time.perf_counter() - started
    engine.run()
    seconds = engine.seconds
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"loop": seconds["loop"], "read": read, "write": seconds["write"], "report": seconds["report"], "memory_mb": memory}


def _flat_memory() -> None:
    """Memory beyond the data over 100 runs in one process."""
    from basis_strategy_v1 import EventDrivenStrategyEngine
    from basis_strategy_v1.data.sample import write_sample

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "data")
        config = {
            "strategy_mode": "eth_basis",
            "share_class": "usdt_stable",
            "initial_capital": 100_000,
            "start": "2024-06-01",
            "end": "2024-06-15",
            "strategy": {"spot_venue": "bybit", "perp_venue": "binance"},
            "venues": {"cex": ["bybit", "binance"]},
        }
        sizes = []
        for _ in range(100):
            EventDrivenStrategyEngine.from_config(config, folder / "data", folder / "results", folder / "logs").run()
            gc.collect()
            sizes.append(_resident_mb())
        show("growth of memory from the 10th to the 100th run", sizes[99] - sizes[9], 1, "MB")


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


def _bare_loop() -> float:
    spot, perp = array("q", range(MINUTES)), array("q", range(MINUTES))
    total = 0
    for index in range(MINUTES):
        total += spot[index] - perp[index]
    return total


def _write_data(folder: Path) -> None:
    random, price = Random(1), 300_000
    spot, perp, funding = (["timestamp,open,high,low,close,volume"], ["timestamp,open,high,low,close,volume"], ["timestamp,funding_rate"])
    for minute in range(MINUTES + 10):
        before, price = price, max(100_000, price + random.randint(-120, 120))
        high, low = max(before, price) + random.randint(0, 30), min(before, price) - random.randint(0, 30)
        stamp = (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
        spot.append(f"{stamp},{before / 100},{high / 100},{low / 100},{price / 100},12.5")
        perp.append(f"{stamp},{before / 100 + 0.5},{high / 100 + 0.5},{low / 100 + 0.5},{price / 100 + 0.5},12.5")
        if minute % 480 == 0:
            funding.append(f"{stamp},0.0001")
    for path, lines in (("ohlcv/bybit/spot/ETHUSDT_1m", spot), ("ohlcv/bybit/perp/ETHUSDT_1m", perp), ("funding/bybit/ETHUSDT", funding)):
        file = folder / "data" / f"{path}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    (folder / "strategy.py").write_text(STRATEGY)


if __name__ == "__main__":
    main()
