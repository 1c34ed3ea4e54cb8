"""Sends many orders through one gateway, and reads what fell due: `python -m tests.live.exchange.many_orders URL ORDERS` prints, after each
tenth, a line of JSON with the orders that filled so far and the memory that the process has."""

from __future__ import annotations

import gc
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from resource import getpagesize

from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.venues.exchanges import Settings

from .trader import BOTH, LIMITS, approved, secrets_of

BEGIN = datetime(2024, 6, 1, 12, tzinfo=UTC)
READ_EACH = 500


def memory_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def main(url: str, orders: int) -> None:
    clock = SimulatedClock(BEGIN)
    gateway = open_exchange("binance", Settings(endpoint=url), secrets_of(), BOTH, clock=clock, run="run", sleep=lambda seconds: None)
    _, cursor = gateway.due(None)
    filled = 0
    for number in range(1, orders + 1):
        clock.move_to(BEGIN + timedelta(seconds=number))
        one = approved(f"k{number}", "spot", "buy" if number % 2 else "sell", "0.1", at=clock.now())
        filled += bool(gateway.send(gateway.prepare(one, LIMITS, gateway.quote(one.order), None)).filled)  # type: ignore[union-attr]
        if number % READ_EACH == 0:
            _, cursor = gateway.due(cursor)
        if number % (orders // 10) == 0:
            print(json.dumps({"filled": filled, "bytes": memory_bytes()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
