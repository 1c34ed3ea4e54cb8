"""The local exchange: binance, bybit, okx and hyperliquid over one ledger, as a process of its own.

    python -m tests.exchange --port 0 --ledger FILE [--data DIR] [--clock requests] [--at 2024-06-01T00:00:00Z]

It prints its port. One port serves all venues: their paths differ. `control.py` lists the commands, `faults.py` what can go wrong.
"""

from __future__ import annotations

import argparse
import decimal
import os
from pathlib import Path
from threading import Event, Thread

from .clock import Clock
from .control import restore
from .engine import Engine
from .prices import milliseconds
from .server import Server

PARENT_CHECK_S = 0.5
DIGITS = 50


def _end_with_parent(parent: int) -> None:
    """An orphan ends: nobody is left who would stop it."""
    while os.getppid() == parent:
        Event().wait(PARENT_CHECK_S)
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.exchange", description="The local exchange. It prints its port.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, help="the file of what it did; without one it forgets")
    parser.add_argument("--data", type=Path, help="recorded prices and funding, in the project's layout")
    parser.add_argument("--clock", choices=("machine", "requests"), default="machine", help="requests: now is the newest signed timestamp")
    parser.add_argument("--at", default="1970-01-01T00:00:00Z", help="where the clock of requests begins")
    parser.add_argument("--certificate", type=Path, help="speak https, with this certificate and key in one file")
    given = parser.parse_args()
    decimal.DefaultContext.prec = DIGITS  # of the threads that answer
    decimal.setcontext(decimal.DefaultContext.copy())
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    engine = Engine(given.ledger, Clock(given.clock == "requests", milliseconds(given.at)), given.data)
    restore(engine)
    server = Server(given.port, engine, given.certificate)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
