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
        order_ms, own_ms, writes = _orders(folder / "orders", venue)
        _, own_cpu_ms, _ = _orders(folder / "again", venue, time.process_time, time.thread_time)
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
    """Something whose calls are timed by a clock: that of the wall, or of the CPU time of their threads, which costs microseconds to read
    and would count as the order's in the other figure."""

    def __init__(self, target: Any, methods: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._target, self._methods, self._clock = target, methods, clock
        self.took_s, self.calls = 0.0, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._methods:
            return found

        def timed(*given: Any, **named: Any) -> Any:
            begun = self._clock()
            try:
                return found(*given, **named)
            finally:
                self.took_s += self._clock() - begun
                self.calls += 1

        return timed


def _senders(
    folder: Path, venue: VenueProcess, clock: Callable[[], float] = time.perf_counter
) -> tuple[Senders, _Timed, _Timed, SqliteJournal]:
    database = SqliteJournal(folder)
    journal = _Timed(database, ("entry", "intended", "sent", "close"), clock)
    # `prepare` is called within the journal's `sent`.
    gateway = _Timed(LedgerGateway(venue.url), ("quote", "send", "read", "find"), clock)
    held: Any = Held(State({"binance": ExchangeAccount(dict(OPENING))}))
    return Senders([gateway], journal, held), gateway, journal, database  # type: ignore[list-item, arg-type]


def _orders(
    folder: Path, venue: VenueProcess, whole_clock: Callable[[], float] = time.perf_counter,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float, int]:  # fmt: skip
    """Of one order by these clocks: all of it, what is neither the gateway's nor the journal's, and how many writes."""
    senders, gateway, journal, database = _senders(folder, venue, clock)
    whole, own = [], []
    for number in range(ORDERS):
        order = order_of(f"{folder.name}{number}", "buy", "0.01")
        gateway.took_s = journal.took_s = 0.0
        begun = whole_clock()
        senders.send(order)
        took_s = whole_clock() - begun
        whole.append(took_s)
        own.append(took_s - gateway.took_s - journal.took_s)
    database.close_file()
    return statistics.median(whole) * 1_000, statistics.median(own) * 1_000, journal.calls // ORDERS - 1


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
