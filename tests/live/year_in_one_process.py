"""A live run on paper of a year, in one process: `python -m tests.live.year_in_one_process DATA FOLDER`.

It trades recorded data without waiting. After each month of 730 hours it prints a line of JSON: how many files and threads are open, and
the memory that is resident, in bytes; at the end how many instructions were executed.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from pathlib import Path

from basis_strategy_v1.app.live import build_paper_replay

MONTH_STEPS = 730
CONFIG = {
    "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 100_000,
    "start": "2024-06-01", "end": "2025-06-01",
    "strategy": {"spot_venue": "bybit", "perp_venue": "bybit", "leverage": 1, "rebalance_threshold_bps": 200},
    "venues": {"cex": {"bybit": {}}},
    "data": {"missing_funding": "zero"},
    "limits": {
        "max_notional_per_instruction": 10**9, "max_notional_per_day": 10**10, "max_slippage_bps": 100, "max_unhedged_notional": 50_000,
        "withdrawal_addresses": ["0x" + "11" * 20],
    },
}  # fmt: skip


def in_use() -> dict[str, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return {"files": files, "threads": threading.active_count(), "bytes": pages * os.sysconf("SC_PAGE_SIZE")}


def main() -> None:
    data, folder = map(Path, sys.argv[1:])
    steps = 0

    def watch(done: int, total: int) -> None:
        nonlocal steps
        steps += 1
        if steps % MONTH_STEPS == 0:
            print(json.dumps(in_use()), flush=True)

    engine = build_paper_replay(CONFIG, data, folder / "state", folder / "results", folder / "logs", report=False, progress=watch)
    engine.run()
    print(json.dumps({"executed": engine.manager.instructions_routed}))


if __name__ == "__main__":
    main()
