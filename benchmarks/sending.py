"""An order on its way to a venue, next to bare requests to the same server and bare writes with the same settings."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from figures import show

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.execution.memory_live_journal import Held
from tests.ledger import OPENING
from tests.ledger_gateway import LedgerGateway
from tests.live.crash.sending_process import order_of
from tests.venue_process import VenueProcess

from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.execution.recovery import Recovery
from basis_strategy_v1.execution.senders import Senders
from basis_strategy_v1.live.journal import SqliteJournal

ORDERS, OPEN = 200, 1_000
CALLS = 3  # quote, send and read
WRITES = 3  # intended, sent and the outcome with the state


def main() -> None:
    with tempfile.TemporaryDirectory() as name, VenueProcess(Path(name) / "venue.jsonl") as venue:
        folder = Path(name)
        insert_ms = _bare_insert(folder / "bare.sqlite")
        request_ms = _bare_request(venue)
        order_ms, own_ms, own_cpu_ms, writes = _orders(folder / "orders", venue)
        show(f"an order, {writes} synced writes and {CALLS} requests", order_ms, None, "ms", CALLS * request_ms + WRITES * insert_ms,
             "as many bare requests and inserts")  # fmt: skip
        show("of it outside gateway and journal", own_ms, 0.3, "ms", request_ms, "a bare request")
        show("CPU time of the same, without the waits for threads", own_cpu_ms, None, "ms")
        recovered_s = _recovery(folder / "open", venue)
        show(f"recovery of {OPEN:,} open orders", recovered_s, 10, "s", OPEN * (2 * request_ms + insert_ms) / 1_000,
             "as many bare requests and inserts")  # fmt: skip


def _bare_insert(path: Path) -> float:
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE entry (text TEXT)")
        return _median_ms(lambda: database.execute("INSERT INTO entry VALUES (?)", ("x" * 500,)))


def _bare_request(venue: VenueProcess) -> float:
    with requests.Session() as session:
        return _median_ms(lambda: session.get(f"{venue.url}/balances", timeout=15).json())


def _median_ms(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(ORDERS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1_000


class _Timed:
    """Something whose calls are timed, by the clock and by the CPU time of their threads."""

    def __init__(self, target: Any, methods: tuple[str, ...]) -> None:
        self._target, self._methods = target, methods
        self.took_s, self.cpu_s, self.calls = 0.0, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._methods:
            return found

        def timed(*given: Any, **named: Any) -> Any:
            begun, begun_cpu = time.perf_counter(), time.thread_time()
            try:
                return found(*given, **named)
            finally:
                self.took_s += time.perf_counter() - begun
                self.cpu_s += time.thread_time() - begun_cpu
                self.calls += 1

        return timed


def _senders(folder: Path, venue: VenueProcess) -> tuple[Senders, _Timed, _Timed, SqliteJournal]:
    database = SqliteJournal(folder)
    journal = _Timed(database, ("entry", "intended", "sent", "close"))
    gateway = _Timed(LedgerGateway(venue.url), ("quote", "send", "read", "find"))  # `prepare` is called within the journal's `sent`
    held: Any = Held(State({"binance": ExchangeAccount(dict(OPENING))}))
    return Senders([gateway], journal, held), gateway, journal, database  # type: ignore[list-item, arg-type]


def _orders(folder: Path, venue: VenueProcess) -> tuple[float, float, float, int]:
    """Of one order: all of it, what is neither the gateway's nor the journal's (by the clock, and its CPU time), and how many writes."""
    senders, gateway, journal, database = _senders(folder, venue)
    whole, own, own_cpu = [], [], []
    for number in range(ORDERS):
        order = order_of(f"k{number}", "buy", "0.01")
        gateway.took_s = journal.took_s = gateway.cpu_s = journal.cpu_s = 0.0
        begun, begun_cpu = time.perf_counter(), time.process_time()
        senders.send(order)
        took_s, took_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
        whole.append(took_s)
        own.append(took_s - gateway.took_s - journal.took_s)
        own_cpu.append(took_cpu_s - gateway.cpu_s - journal.cpu_s)
    database.close_file()
    return *(statistics.median(each) * 1_000 for each in (whole, own, own_cpu)), journal.calls // ORDERS - 1  # type: ignore[return-value]


def _recovery(folder: Path, venue: VenueProcess) -> float:
    """Seconds until open orders that were executed are closed."""
    senders, gateway, _, database = _senders(folder, venue)
    for number in range(OPEN):
        approved = order_of(f"o{number}", "buy", "0.01")
        order = approved.order
        database.intended(order)
        quote = gateway.quote(order)
        gateway.send(database.sent(order.key, lambda nonce, one=approved, quote=quote: gateway.prepare(one, None, quote, nonce)))
    begun = time.perf_counter()
    assert not Recovery(senders).until_closed().open
    took_s = time.perf_counter() - begun
    database.close_file()
    return took_s


if __name__ == "__main__":
    main()
