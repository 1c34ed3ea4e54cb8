"""The journal of live trading: an SQLite file in the state folder, written before anything leaves and after everything that comes back."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instruction_codec import encode_instruction
from basis_strategy_v1.core.journal import OPEN, ZERO, Decision, Status
from basis_strategy_v1.core.state_codec import encode_state
from basis_strategy_v1.live.journal_file import SYNCED, UNSYNCED, open_to_write, reported, roll_back
from basis_strategy_v1.live.journal_reader import JournalReader
from basis_strategy_v1.live.journal_text import hash_of, order_text, text_of
from basis_strategy_v1.monitoring.folder_lock import FolderLock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Due, Message
    from basis_strategy_v1.core.journal import Entry, GivenFee, LiveJournal
    from basis_strategy_v1.core.order import Order, Plan
    from basis_strategy_v1.core.state import State

LOCK = "journal.lock"
WAY_OUT = "choose another folder with --state"
_LOGGED = "UPDATE entry SET is_logged = 1 WHERE (key = ? OR parent = ?) AND is_logged = 0 AND status NOT IN ('intended', 'sent')"
BEGINS_AGAIN = (Status.REJECTED, Status.NEVER_HAPPENED, Status.FAILED)


def _pass(point: str) -> None:
    """Nothing is done at a point."""


class SqliteJournal(JournalReader):
    """The journal in a folder, which is made where there is none. Until `close_file` no other process can open it so.

    Every method returns once its row is on the disk; what "rides on the next write" survives the end of the process, and with the next
    write the end of the machine. `new_run` is the identity of a new journal, made up where it is left out; an old one keeps its own.
    `at` is called at each point at which the process could end: before, within and after each write, by its name.
    Safe to use from several threads.

    Raises:
        ComponentError: JRN-001, it cannot be written; JRN-002, another process has it; JRN-003, it is damaged; JRN-004, it is of a newer
            version. Every method raises the first three; nothing of its row is stored then.
    """

    def __init__(self, folder: str | Path = "state", *, new_run: str | None = None, at: Callable[[str], None] = _pass) -> None:
        self._new_run = new_run or secrets.token_hex(8)
        self._at = at
        super().__init__(folder)

    def _opened(self) -> sqlite3.Connection:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        self._folder_lock = FolderLock(folder, self.path.with_name(LOCK), "JRN-002", WAY_OUT)
        try:
            if not self._folder_lock.is_first:
                why = "is open in this process already, or is on a file system without locks"
                raise ComponentError("JRN-002", f"{folder} {why}; close it there, or {WAY_OUT}")
            database = open_to_write(self.path, self._new_run, self._at)
            self._identity = _identity(self.path)
        except BaseException:
            self._folder_lock.release()
            raise
        return database

    def close_file(self) -> None:
        super().close_file()
        self._folder_lock.release()

    # Plans.

    def begin_plan(self, plan: Plan) -> int:
        """Store a plan whole, before its first step, and give its number. One without blocks has ended at once.

        Raises:
            ValueError: another plan has not ended.
        """
        with self._lock:
            if (held := self.plan_in_hand()) is not None:
                raise ValueError(f"plan {held[0]} has not ended; end it before another begins")
            with self._write("begin_plan") as write:
                values = text_of(plan), plan.memory, not plan.blocks
                number: int | None = write("INSERT INTO plan (plan, memory, has_ended) VALUES (?, ?, ?)", values).lastrowid
            assert number is not None
            return number

    def end_plan(self, number: int) -> None:
        """All steps of the plan are closed, or will not be sent.

        Raises:
            ValueError: there is no such plan.
        """
        with self._write("end_plan") as write:
            if not write("UPDATE plan SET has_ended = 1 WHERE number = ?", (number,)).rowcount:
                raise ValueError(f"there is no plan {number}")

    # One instruction.

    def intended(
        self, order: Order, *, notional_usd: Decimal = ZERO, plan: int | None = None, step: int | None = None, parent: str | None = None
    ) -> None:
        """Write down what is about to be sent, and what it spends of its day's notional. An entry of this key that is closed without effect
        begins again; its messages stay in it.

        Raises:
            ValueError: the key is open, or was executed.
        """
        with self._lock:
            before = self._row(order.key)
            if before is not None and Status(before["status"]) not in BEGINS_AGAIN:
                raise ValueError(f"{order.key} is {before['status']} and cannot begin again")
            text = encode_instruction(order.instruction)
            row: dict[str, Any] = {
                "key": order.key,
                "venue": order.venue,
                "status": Status.INTENDED.value,
                "instruction": text,
                "instruction_hash": hash_of(text),
                "order_text": order_text(order),
                "plan": plan,
                "step": step,
                "parent": parent,
                "day": from_instant(to_instant(order.at)).date().isoformat(),
                "notional_usd": str(notional_usd),
            }
            names, places = ", ".join(row), ", ".join("?" * len(row))
            with self._write("intended") as write:
                write(f"INSERT INTO entry ({names}) VALUES ({places})", tuple(row.values()))

    def sent(self, key: str, build: Callable[[int | None], Message], *, takes_nonce: bool = False, first_nonce: int = 0) -> Message:
        """Write down a message before it leaves. `build` gets the account's next nonce where `takes_nonce`, else None.

        The nonce and the message are stored in one write; where `build` raises, neither is. The next nonce is the lowest one, from
        `first_nonce` on, that no message has which happened or still can; all attempts of one entry have the same.

        Raises:
            ValueError: the entry is not open.
        """
        with self._lock:
            row = self._open_row(key)
            message = build(self._next_nonce(row, first_nonce) if takes_nonce else None)
            sent = row["venue"], message.client_id, message.nonce, message.expires, message.body
            with self._write("sent") as write:
                write(
                    "INSERT INTO message (entry, number, venue, client_id, nonce, expires, body)"
                    " SELECT ?1, 1 + count(*), ?2, ?3, ?4, ?5, ?6 FROM message WHERE entry = ?1",
                    (row["number"], *sent),
                )
                values = Status.SENT.value, str(message.most_gas_eth), row["number"]
                write("UPDATE entry SET status = ?, gas_eth = ? WHERE number = ?", values)
            return message

    def add_report(self, key: str, report: ExecutionReport) -> None:
        """A report of a part; more may follow.

        Raises:
            ValueError: the entry is not open.
        """
        with self._lock:
            row = self._open_row(key)
            with self._write("add_report") as write:
                write(*_report(row, report))

    def note(self, key: str, reason: str) -> None:
        """Keep with an open entry why it is open. It replaces the note before.

        Raises:
            ValueError: the entry is not open.
        """
        with self._lock:
            row = self._open_row(key)
            with self._write("note") as write:
                write("UPDATE entry SET reason = ? WHERE number = ?", (_storable(reason), row["number"]))

    def close(self, key: str, status: Status, report: ExecutionReport | None, state: State | None, reason: str = "") -> None:
        """The outcome, with its last report and the account's state after it, in one write.

        Raises:
            ValueError: the entry is not open, or `status` is no outcome.
        """
        if status in OPEN:
            raise ValueError(f"{key} cannot be closed as {status.value}")
        with self._lock:
            row = self._open_row(key)
            gas = ZERO if report is None else sum((cost.amount for cost in report.costs if cost.source == "gas"), ZERO)
            with self._write("close") as write:
                values = status.value, _storable(reason), str(gas), row["number"]
                write("UPDATE entry SET status = ?, reason = ?, gas_eth = ? WHERE number = ?", values)
                if report is not None:
                    write(*_report(row, report))
                if state is not None:
                    write(*_account(state))

    def logged(self, key: str) -> None:
        """The events of this key and of its steps, as far as they are closed, are in the event log. Rides on the next write."""
        with self._write("logged", synced=False) as write:
            write(_LOGGED, (key, key))

    def resolve(self, key: str, reference: str | None, *, at: datetime, by: str, fee: GivenFee | None = None) -> Entry:
        """Record a person's decision about an open entry: it happened, under the venue's reference, or never (None). `fee` is taken
        where the venue shows none.

        Raises:
            ComponentError: JRN-005, no entry of this key is open.
        """
        with self._lock:
            row = self._row(key)
            if row is None or Status(row["status"]) not in OPEN:
                there = ", ".join(entry.key for entry in self.open_entries()) or "none"
                is_what = "there is no instruction" if row is None else f"{row['status']} already is the instruction"
                raise ComponentError("JRN-005", f"{is_what} {key}; open are: {there}")
            with self._write("resolve") as write:
                decision = text_of(Decision(reference=reference, at=at, by=by, fee=fee))
                write("UPDATE entry SET decision = ? WHERE number = ?", (decision, row["number"]))
            (entry,) = (entry for entry in self.open_entries() if entry.key == key)
            return entry

    # The account.

    def begin_account(
        self, state: State, cursors: Mapping[str, str], not_ours: Mapping[str, Mapping[str, Decimal]] = MappingProxyType({})
    ) -> None:
        """Store the state that was read from the venues at the first start, from where on `due` of each is read, and what they hold beyond
        what belongs to the run (venue -> token -> amount), in one write.

        Raises:
            ValueError: the journal has a state already.
        """
        with self._lock:
            if self._one("SELECT 1 FROM account", ()) is not None:
                raise ValueError("the account has begun already; its state is in the journal")
            with self._write("begin_account") as write:
                write(*_account(state))
                for venue, position in cursors.items():
                    write(*_cursor(venue, position))
                for venue, tokens in not_ours.items():
                    for token, amount in tokens.items():
                        write("INSERT INTO not_ours (venue, token, amount) VALUES (?, ?, ?)", (venue, token, str(amount)))

    def add_due(self, venue: str, items: Sequence[Due], cursor: str, state: Callable[[Sequence[Due]], State]) -> list[Due]:
        """Record what happened at a venue, each item once under the venue's id; gives those that are new (`new_due`).

        `state` gives the account's state after the new ones; items, cursor and state are stored in one write. It is called under the
        journal's lock, and only where there are new ones. Without new ones the cursor rides on the next write.
        """
        with self._lock:
            new = self.new_due(venue, items)
            if not new:
                if cursor != self.cursor(venue):
                    with self._write("cursor", synced=False) as write:
                        write(*_cursor(venue, cursor))
                return []
            after = state(new)
            with self._write("add_due") as write:
                for item in new:
                    write("INSERT INTO due (venue, id, item) VALUES (?, ?, ?)", (venue, item.id, text_of(item)))
                write(*_cursor(venue, cursor))
                write(*_account(after))
            return new

    def due_logged(self, venue: str, ids: Iterable[str]) -> None:
        """The events of these items are in the event log. Rides on the next write."""
        with self._write("due_logged", synced=False) as write:
            for id_ in ids:
                write("UPDATE due SET is_logged = 1 WHERE venue = ? AND id = ?", (venue, id_))

    # Rows.

    def _row(self, key: str) -> Any:
        return self._one("SELECT number, venue, status FROM entry WHERE key = ? ORDER BY number DESC LIMIT 1", (key,))

    def _open_row(self, key: str) -> Any:
        row = self._row(key)
        if row is None or Status(row["status"]) not in OPEN:
            raise ValueError(f"{key} is {'not in the journal' if row is None else row['status']}, and no open instruction")
        return row

    def _next_nonce(self, row: Any, first_nonce: int) -> int:
        own = self._one("SELECT nonce FROM message WHERE entry = ? AND nonce IS NOT NULL", (row["number"],))
        if own is not None:
            nonce: int = own["nonce"]
            return nonce
        taken = self._all(
            "SELECT nonce FROM message JOIN entry ON entry.number = message.entry"
            " WHERE message.venue = ? AND nonce >= ? AND status NOT IN ('rejected', 'never happened')",
            (row["venue"], first_nonce),
        )
        held = {found["nonce"] for found in taken}
        return next(nonce for nonce in count(first_nonce) if nonce not in held)

    @contextmanager
    def _write(self, name: str, *, synced: bool = True) -> Iterator[Callable[[str, Sequence[Any]], sqlite3.Cursor]]:
        """One transaction: all of its statements are stored, or none of them."""
        with self._lock, reported(self.path):
            database = self._open_database()
            if _identity(self.path) != self._identity:
                raise ComponentError("JRN-001", f"{self.path} was removed or replaced while it was in use; stop, and bring it back")
            self._at(f"before {name}")
            if not synced:
                database.execute(UNSYNCED)
            try:
                database.execute("BEGIN IMMEDIATE")
                yield database.execute
                self._at(f"within {name}")
                database.execute("COMMIT")
            except BaseException:
                roll_back(database)
                raise
            finally:
                if not synced:
                    database.execute(SYNCED)
            self._at(f"after {name}")


def _storable(text: str) -> str:
    """The text of a venue with what UTF-8 has no form for escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _report(row: Any, report: ExecutionReport) -> tuple[str, tuple[Any, ...]]:
    statement = "INSERT INTO report (entry, number, report) SELECT ?1, 1 + count(*), ?2 FROM report WHERE entry = ?1"
    return statement, (row["number"], text_of(report))


def _account(state: State) -> tuple[str, tuple[Any, ...]]:
    return "INSERT OR REPLACE INTO account (one, state) VALUES (1, ?)", (encode_state(state),)


def _cursor(venue: str, position: str) -> tuple[str, tuple[Any, ...]]:
    return "INSERT OR REPLACE INTO cursor (venue, position) VALUES (?, ?)", (venue, position)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


if TYPE_CHECKING:
    _is_one: type[LiveJournal] = SqliteJournal
