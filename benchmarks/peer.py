"""The four cases in which fractal-defi does the same: CPU time of a run over 15,216 hourly bars, the two in turn. Only ratios mean
anything.

    peer.py [FOLDER]    the environment of the peer, `build/peer` where it is left out: made when it is not there, with the newest release

Fractal keeps no log, no exact amounts, and does not look whether what it spends is there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from _peer import BARS, START, bars, lending_rates
from figures import show

from basis_strategy_v1 import DataProvider, EventDrivenStrategyEngine, EventLogger, ExecutionInterfaceManager, PositionUpdateHandler

ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("_peer.py")
ROUNDS = 3
INSTALL_S = 900
HOUR = timedelta(hours=1)
VENUES = {"cex": ["bybit"], "onchain": {"aave": None, "wallet": {"gas_price_gwei": 0}}}
CONFIG = {"strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 100_000, "venues": VENUES}
TRADE = {"instruction_type": "cex_trade", "venue": "bybit", "symbol": "ETHUSDT", "amount": 0.1}
PLANS = [
    [{**TRADE, "trade_type": kind, "side": side} for kind, side in legs]
    for legs in ((("spot", "buy"), ("perp", "sell")), (("spot", "sell"), ("perp", "buy")))
]
SUPPLY = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 100.0}
LENDING = [{**SUPPLY, "action": "withdraw"}, SUPPLY]
STRATEGY = """
class Both:
    def __init__(self):
        self.steps = 0
        self.plans = {plans!r}

    def needs(self, parameters):
        return [("spot", "bybit", "ETHUSDT"), ("perp", "bybit", "ETHUSDT"), ("funding", "bybit", "ETHUSDT")]

    def decide(self, snapshot, positions, parameters):
        self.steps += 1
        return [] if self.steps % {every} else self.plans[self.steps // {every} % 2]
"""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "peer"
    python, why = peer_in(folder)
    if python is None:
        print(f"the peer, fractal-defi, could not be installed into {folder}, so nothing is compared: {why}")
        return
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        write_data(data)
        best: dict[str, float] = {}
        peers: dict[str, float] = {}
        for number in range(ROUNDS):
            keep_least(best, our_seconds(data, Path(name) / str(number)))
            keep_least(peers, json.loads(subprocess.run([python, PEER], check=True, capture_output=True, text=True).stdout))
    print(f"fractal-defi {json.loads(version_of(python))}, {BARS:,} bars, CPU time of ours over the peer's")
    ratio("engine with event log, 2 orders each bar", best["run 1"] / peers["run 1"], 1 / 1.4)
    ratio("engine with event log, 2 orders each 24 bars", best["run 24"] / peers["run 24"], 1 / 2.5)
    ratio("update_state with time passing, an order", of_orders(best, "step") / of_orders(peers, "step"), 0.7)
    ratio("lending step with a new row", best["lending"] / peers["lending"], 0.95)


def ratio(title: str, found: float, limit: float) -> None:
    show(title, found, round(limit, 3), "of the peer's")


def of_orders(found: dict[str, float], kind: str) -> float:
    """What the orders cost: a run with orders each bar, less one with orders each 24."""
    return found[f"{kind} 1"] - found[f"{kind} 24"]


def keep_least(best: dict[str, float], found: dict[str, float]) -> None:
    for name, seconds in found.items():
        best[name] = min(seconds, best.get(name, seconds))


# The peer's environment.


def peer_in(folder: Path) -> tuple[str | None, str]:
    """The interpreter that has the peer, or None and why not."""
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            run([sys.executable, "-m", "venv", str(folder)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "fractal-defi"])
    except (OSError, subprocess.SubprocessError) as failed:
        if not python.exists() or version_of(str(python)) == "":
            return None, reason(failed)
    return str(python), ""


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)


def reason(failed: Exception) -> str:
    said = str(getattr(failed, "stderr", None) or failed).strip().splitlines()
    return said[-1] if said else type(failed).__name__


def version_of(python: str) -> str:
    """The peer's version as JSON; nothing where it is not there."""
    code = "import importlib.metadata as m, json; print(json.dumps(m.version('fractal-defi')))"
    return subprocess.run([python, "-c", code], check=False, capture_output=True, text=True).stdout.strip()


# Our side.


def write_data(folder: Path) -> None:
    """The bars as series of both markets, a payment each 8 hours, and a lending row an hour."""
    prices = list(bars())
    rows = [f"{at - HOUR:%Y-%m-%dT%H:%M:%SZ},{price},{price},{price},{price},1" for at, price in prices]
    for kind in ("spot", "perp"):
        write(folder / f"ohlcv/bybit/{kind}/ETHUSDT_1h.csv", "timestamp,open,high,low,close,volume", rows)
    payments = [f"{at:%Y-%m-%dT%H:%M:%SZ},0.0001" for at, _ in prices if at.hour % 8 == 0]
    write(folder / "funding/bybit/ETHUSDT.csv", "timestamp,funding_rate", payments)
    lent, supplied, owed = [], 1.01, 1.02
    for at, _ in prices:
        supplied, owed = supplied * (1 + lending_rates[0]), owed * (1 + lending_rates[1])
        lent.append(f"{at:%Y-%m-%dT%H:%M:%SZ},1,{supplied:.18f},0.0876,{owed:.18f},0.1752,450000000.000000,300000000.000000,1.00000000")
    header = "timestamp,block,liquidity_index,liquidity_rate,variable_borrow_index,variable_borrow_rate,total_supplied,total_borrowed"
    write(folder / "lending/aave_v3/USDT.csv", f"{header},oracle_price_usd", lent)


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("\n".join((header, *rows)) + "\n")


def our_seconds(data: Path, folder: Path) -> dict[str, float]:
    folder.mkdir()
    found = {f"run {every}": engine_s(data, folder / f"run{every}", every) for every in (1, 24)}
    found |= {f"step {every}": steps_s(data, folder / f"step{every}", every) for every in (1, 24)}
    return {**found, "lending": lending_s(data, folder / "lending")}


def engine_s(data: Path, folder: Path, every: int) -> float:
    """The loop of a run; reading data and writing results are not in it, as there are none in the peer's."""
    folder.mkdir()
    strategy = folder / "both.py"
    strategy.write_text(STRATEGY.format(plans=PLANS, every=every))
    config = {
        **CONFIG, "strategy_mode": "custom", "initial_capital": 1_000_000, "strategy": {"file": str(strategy)}, "interval": "1h",
        "start": START, "end": START + (BARS - 1) * HOUR,
        "venues": {"cex": ["bybit"]}, "initial_positions": {"bybit": {"USDT": 900_000, "ETH": 30}},
    }  # fmt: skip
    shown: list[float] = []
    watch = {"report": False, "progress": lambda done, total: shown.append(time.process_time())}
    EventDrivenStrategyEngine.from_config(config, data, folder / "results", folder / "logs", **watch).run()
    return shown[-1] - shown[0]  # from the first bar to the last


def steps_s(data: Path, folder: Path, every: int) -> float:
    """A manager that is driven bar by bar: time passes to the bar, then there are orders."""
    with EventLogger(folder / "logs") as log:
        manager = manager_of(data, {"bybit": {"USDT": 10**9, "ETH": 300_000}}, log)
        update, settle = manager.update_state, manager.settle
        began = time.process_time()
        for number in range(1, BARS):
            at = START + number * HOUR
            if number % every:
                settle(at)
                continue
            for block in PLANS[number // every % 2]:
                update(at, "execution_manager", block)
        return time.process_time() - began


def lending_s(data: Path, folder: Path) -> float:
    with EventLogger(folder / "logs") as log:
        update = manager_of(data, {"wallet": {"USDT": 10**9, "ETH": 1}}, log).update_state
        update(START, "execution_manager", {**SUPPLY, "amount": 1_000_000})
        began = time.process_time()
        for number in range(1, BARS):
            update(START + number * HOUR, "execution_manager", LENDING[number % 2])
        return time.process_time() - began


def manager_of(data: Path, held: dict[str, dict[str, Any]], log: EventLogger) -> ExecutionInterfaceManager:
    return ExecutionInterfaceManager(CONFIG, DataProvider(data), "backtest", positions=PositionUpdateHandler(held), event_logger=log)


if __name__ == "__main__":
    main()
