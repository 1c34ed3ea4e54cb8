"""What the journal costs: an instruction's writes, with and without their syncs, the start, and the recovery of what is open."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from figures import best_of, show

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.gateway import Message
from basis_strategy_v1.core.instructions import CexTrade
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.order import Order
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State, Wallet
from basis_strategy_v1.live import journal as journal_module
from basis_strategy_v1.live import journal_file
from basis_strategy_v1.live.journal import SqliteJournal

D = Decimal
AT = datetime(2024, 7, 1, tzinfo=UTC)
TRADE = CexTrade(venue="bybit", trade_type="perp", side="sell", symbol="ETHUSDT", amount=D("1.5"))
DELTAS = Deltas.at("bybit", {"ETHUSDT-PERP": D("-1.5"), "USDT": D("-2.722500")})
STATE = State(
    {
        "bybit": ExchangeAccount({"USDT": D("50000.123456"), "ETH": D("15.25")}, {"ETHUSDT": Perp(D(-15), D("-49500.75"))}),
        "wallet": Wallet({"ETH": 10**17}),
    }
)
BODY = '{"symbol":"ETHUSDT","side":"Sell","qty":"1.5","price":"3298.35","timeInForce":"IOC","reduceOnly":false,"category":"linear"}'
COLUMNS = "key TEXT, status TEXT, text TEXT"
INSERT = "INSERT INTO row (key, status, text) VALUES (?, ?, ?)"
MEMORY = Path("/dev/shm")  # a file system without a disk, where the system has it
OPEN = 1_000
KEPT = 10_000
INSTRUCTIONS = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        _of_one_instruction(here)
        _of_a_recovery(here)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        _without_syncs(Path(folder))


def _of_one_instruction(folder: Path) -> None:
    with SqliteJournal(folder / "one") as journal:
        seconds = best_of(5, lambda: _instructions(journal, "synced"), INSTRUCTIONS)
    bare = _bare(folder / "bare", "FULL")
    floor = best_of(5, lambda: _inserts(bare, 3 * INSTRUCTIONS), INSTRUCTIONS)
    show("an instruction: intended, sent, settled, logged", seconds * 1e3, None, "ms", floor * 1e3, "three synced inserts")


def _without_syncs(folder: Path) -> None:
    """The journal's own cost, and that of SQLite: the same with the syncs left out."""
    off = "PRAGMA synchronous = OFF"
    journal_file.SYNCED = journal_module.SYNCED = journal_module.UNSYNCED = off
    bare = _bare(folder / "bare", "OFF")
    with SqliteJournal(folder / "own") as journal:
        seconds = best_of(7, lambda: _instructions(journal, "own"), INSTRUCTIONS, time.process_time)
        floor = best_of(7, lambda: _inserts(bare, 3 * INSTRUCTIONS), INSTRUCTIONS, time.process_time)
        show("the same without the syncs, processor time", seconds * 1e3, 0.3, "ms", floor * 1e3, "three inserts that are not synced")
        for number in range(KEPT):
            _instruction(journal, f"kept-{number}")
    size = (folder / "own" / "journal.sqlite").stat().st_size / 1e6
    seconds = best_of(3, lambda: SqliteJournal(folder / "own").close_file())
    read = best_of(3, (folder / "own" / "journal.sqlite").read_bytes)
    show(f"opening a journal of {KEPT + 7 * INSTRUCTIONS:,} instructions, {size:.0f} MB", seconds, None, "s", read, "reading the file")


def _of_a_recovery(folder: Path) -> None:
    with SqliteJournal(folder / "open") as journal:
        for number in range(OPEN):
            _send(journal, f"open-{number}")
    started = time.perf_counter()
    with SqliteJournal(folder / "open") as journal:
        found = journal.open_entries()
        looked_up = time.perf_counter() - started
        for entry in found:
            journal.close(entry.key, Status.SETTLED, _report(entry.key), STATE)
    seconds = time.perf_counter() - started
    bare = _bare(folder / "bare_open", "FULL")
    _inserts(bare, OPEN)
    floor = best_of(1, lambda: (_look_ups(bare), _inserts(bare, OPEN)))
    show(
        f"recovery of {len(found):,} open instructions: all are read",
        looked_up,
        None,
        "s",
        best_of(3, lambda: _look_ups(bare)),
        "as many look-ups",
    )
    show("the same, and each is settled", seconds, 10, "s", floor, "as many look-ups and synced inserts")


def _instructions(journal: SqliteJournal, name: str) -> None:
    for number in range(INSTRUCTIONS):
        _instruction(journal, f"{name}-{number}-{time.perf_counter_ns()}")


def _instruction(journal: SqliteJournal, key: str) -> None:
    _send(journal, key)
    journal.close(key, Status.SETTLED, _report(key), STATE)
    journal.logged(key)


def _send(journal: SqliteJournal, key: str) -> None:
    order = Order(key=key, at=AT, venue="bybit", instruction=TRADE, expected=DELTAS, price=D(3300), worst_price=D("3298.35"))
    journal.intended(order, notional_usd=D(4950))
    journal.sent(key, lambda nonce: Message(client_id=key, body=BODY, expires=1_719_792_030_000_000, nonce=nonce))


def _report(key: str) -> ExecutionReport:
    costs = (Cost("fees", "USDT", D("2.7225")), Cost("slippage", "USDT", D("0.495")))
    details = {"price": "3299.67", "order_id": "1d5b9c", "fee": "2.7225"}
    return ExecutionReport(
        key=key, venue="bybit", at=AT, kind="execution", deltas=DELTAS, expected=DELTAS, costs=costs, reference="1d5b9c", details=details
    )


def _bare(path: Path, synchronous: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute(f"CREATE TABLE row (number INTEGER PRIMARY KEY, {COLUMNS})")
    return database


def _inserts(database: sqlite3.Connection, count: int) -> None:
    for number in range(count):
        database.execute(INSERT, (f"key-{number}", "sent", BODY))


def _look_ups(database: sqlite3.Connection) -> None:
    for number in range(1, OPEN + 1):
        database.execute("SELECT * FROM row WHERE number = ?", (number,)).fetchone()


if __name__ == "__main__":
    main()
