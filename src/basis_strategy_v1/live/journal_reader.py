"""Reads the journal of live trading."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from msgspec import DecodeError

from basis_strategy_v1.core.gateway import Message
from basis_strategy_v1.core.instruction_codec import decode_instruction
from basis_strategy_v1.core.journal import OPEN, Entry, JournalMark, Status, StoredPlan
from basis_strategy_v1.core.state_codec import decode_state
from basis_strategy_v1.live.journal_file import NAME, damaged, open_to_read, reported
from basis_strategy_v1.live.journal_text import amount_of, decode_decision, decode_due, decode_order, decode_plan, decode_report

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from types import TracebackType

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.order import Plan
    from basis_strategy_v1.core.state import State

_NEWEST = (
    "number = (SELECT max(number) FROM entry AS other WHERE other.key = entry.key)"
    " ORDER BY (SELECT min(number) FROM entry AS other WHERE other.key = entry.key)"
)
_OPEN = "is_logged = 0 AND status IN ('intended', 'sent')"
_CLOSED = "is_logged = 0 AND status NOT IN ('intended', 'sent')"
# A move between the wallets of one account: no step of anything.
_MOVE = "coalesce(json_extract({0}.instruction, '$[1].from_venue') = json_extract({0}.instruction, '$[1].to_venue'), 0)"
_CLOSED_AFTER = """SELECT report FROM report JOIN entry ON entry.number = report.entry
    WHERE (entry.number > ? OR entry.number IN (SELECT value FROM json_each(?))) AND status IN ('settled', 'failed')
    AND report.number = (SELECT max(number) FROM report AS other WHERE other.entry = entry.number)
    AND NOT {move_of_entry} AND NOT EXISTS (SELECT 1 FROM entry AS step WHERE step.parent = entry.key AND NOT {move_of_step})
    ORDER BY entry.number""".format(move_of_entry=_MOVE.format("entry"), move_of_step=_MOVE.format("step"))
_PLANS_AFTER = """SELECT number, plan, has_ended,
    (SELECT count(*) FROM entry WHERE entry.plan = plan.number AND parent IS NULL AND status = 'settled') AS settled
    FROM plan WHERE number > ? ORDER BY number"""
_OF_CLIENT_ID = """SELECT DISTINCT status, report.report FROM message JOIN entry ON entry.number = message.entry
    LEFT JOIN report ON report.entry = entry.number WHERE message.venue = ? AND client_id = ?"""
assert OPEN == (Status.INTENDED, Status.SENT)


class JournalReader:
    """The journal in a folder, as far as it is written; another process may go on writing it. Safe to use from several threads.

    Raises:
        ComponentError: JRN-001, there is none, or it cannot be read; JRN-002, another program has locked it; JRN-003, it is damaged;
            JRN-004, it is of another version. Every method raises the same.
    """

    def __init__(self, folder: str | Path = "state") -> None:
        self.path = Path(folder).absolute() / NAME
        self._lock = RLock()
        with reported(self.path):
            self._database: sqlite3.Connection | None = self._opened()
        (self.run,) = self._one("SELECT run FROM journal", ())

    def _opened(self) -> sqlite3.Connection:
        return open_to_read(self.path)

    def entry(self, key: str) -> Entry | None:
        """The entry of a key, if there is one."""
        found = self._entries("key = ? ORDER BY number DESC LIMIT 1", key)
        return found[0] if found else None

    def children(self, key: str) -> list[Entry]:
        """The entries whose parent this is, in their order."""
        return self._entries(f"parent = ? AND {_NEWEST}", key)

    def open_entries(self) -> list[Entry]:
        """Every entry whose outcome is not known, oldest first."""
        return self._entries(f"{_OPEN} ORDER BY number")

    def unlogged_entries(self) -> list[Entry]:
        """Every closed entry whose events are perhaps not in the event log, oldest first."""
        return self._entries(f"{_CLOSED} ORDER BY number")

    def plan_entries(self, number: int) -> list[Entry]:
        """The entries of a plan, oldest first."""
        return self._entries(f"plan = ? AND {_NEWEST}", number)

    def plan_in_hand(self) -> tuple[int, Plan] | None:
        """The plan that was begun and has not ended, if there is one."""
        row = self._one("SELECT number, plan FROM plan WHERE has_ended = 0", ())
        return row and (row[0], self._decoded(decode_plan, row[1]))

    def newest_plan(self) -> Plan | None:
        """The plan that was stored last, if there is one."""
        row = self._one("SELECT plan FROM plan ORDER BY number DESC LIMIT 1", ())
        plan: Plan | None = row and self._decoded(decode_plan, row[0])
        return plan

    def memory(self) -> str | None:
        """The strategy's memory of the newest plan, as text."""
        row = self._one("SELECT memory FROM plan ORDER BY number DESC LIMIT 1", ())
        memory: str | None = row and row[0]
        return memory

    def state(self) -> State | None:
        """The account's state at the newest commit; None where there is none yet."""
        import basis_strategy_v1.venues.registry  # noqa: F401 the kinds of venue states

        row = self._one("SELECT state FROM account", ())
        state: State | None = row and self._decoded(decode_state, row[0])
        return state

    def not_ours(self) -> dict[str, dict[str, Decimal]]:
        """What the venues held at the first start beyond what belongs to the run: venue -> token -> amount."""
        found: dict[str, dict[str, Decimal]] = {}
        for venue, token, amount in self._all("SELECT venue, token, amount FROM not_ours ORDER BY venue, token", ()):
            found.setdefault(venue, {})[token] = self._decoded(amount_of, amount)
        return found

    def spent_usd(self, day: str) -> Decimal:
        """The notional of what was intended on a day (`2024-06-01`, UTC) and was not refused, in USD."""
        return self._sum("SELECT notional_usd FROM entry WHERE day = ? AND status NOT IN ('rejected', 'never happened')", day)

    def spent_within_usd(self, key: str) -> Decimal:
        """The notional of the steps of an instruction that were intended and not refused, in USD."""
        return self._sum("SELECT notional_usd FROM entry WHERE parent = ? AND status NOT IN ('rejected', 'never happened')", key)

    def spent_gas_eth(self, day: str) -> Decimal:
        """What the gas of a day's instructions has cost, in ETH; of those that are under way, what it costs at most."""
        return self._sum("SELECT gas_eth FROM entry WHERE day = ?", day)

    def cursor(self, venue: str) -> str | None:
        """How far `due` of a venue account has been read."""
        row = self._one("SELECT position FROM cursor WHERE venue = ?", (venue,))
        position: str | None = row and row[0]
        return position

    def new_due(self, venue: str, items: Sequence[Due]) -> list[Due]:
        """What of it is not there already, each id once; without fills of orders of the run whose row is open or has them."""
        by_id: dict[str, Due] = {}
        for item in items:
            by_id.setdefault(item.id, item)
        return [item for item in by_id.values() if not self._has_due(venue, item.id) and not self._has_fill(venue, item)]

    def status_of_message(self, client_id: str) -> Status | None:
        """How far the instruction has come that has a message under this id; None: the message is not of this run."""
        row = self._one("SELECT status FROM message JOIN entry ON entry.number = message.entry WHERE client_id = ? LIMIT 1", (client_id,))
        return None if row is None else Status(row[0])

    def recorded_late(self, key: str, reference: str) -> list[Due]:
        """What was recorded of an instruction as something that happened late, under the venue's name of it, after a row of it had been
        closed as not executed."""
        if self._one("SELECT count(*) FROM entry WHERE key = ?", (key,))[0] < 2:
            return []
        rows = self._all(
            "SELECT item FROM due WHERE json_extract(item, '$.reference') = ?1 AND json_extract(item, '$.client_id') IN"
            " (SELECT client_id FROM message JOIN entry ON entry.number = message.entry WHERE entry.key = ?2) ORDER BY number",
            (reference, key),
        )
        return [self._decoded(decode_due, item) for (item,) in rows]

    def _has_due(self, venue: str, id_: str) -> bool:
        return self._one("SELECT 1 FROM due WHERE venue = ? AND id = ?", (venue, id_)) is not None

    def _has_fill(self, venue: str, item: Due) -> bool:
        rows = self._all(_OF_CLIENT_ID, (venue, item.client_id)) if item.client_id else ()
        return any(
            status in OPEN or (report is not None and self._decoded(decode_report, report).reference == item.reference)
            for status, report in rows
        )

    def unlogged_due(self) -> list[tuple[str, Due]]:
        """(venue, item) of everything whose event is perhaps not in the event log, oldest first."""
        rows = self._all("SELECT venue, item FROM due WHERE is_logged = 0 ORDER BY number", ())
        return [(venue, self._decoded(decode_due, item)) for venue, item in rows]

    def mark(self) -> JournalMark:
        """The place that the journal has reached."""
        with self._lock:
            entry, due, plan = (self._one(f"SELECT max(number) FROM {table}", ())[0] or 0 for table in ("entry", "due", "plan"))
            still = self._all(f"SELECT number FROM entry WHERE {_OPEN} ORDER BY number", ())
            return JournalMark(entry=entry, due=due, plan=plan, open=tuple(number for (number,) in still))

    def closed_after(self, mark: JournalMark) -> tuple[list[ExecutionReport], JournalMark]:
        """The last report of each entry that was closed after a mark with a report, and the mark of now. Of a sequence its steps are given,
        not the whole; moves within an account are left out."""
        with self._lock:
            rows = self._all(_CLOSED_AFTER, (mark.entry, str(list(mark.open))))
            return [self._decoded(decode_report, report) for (report,) in rows], self.mark()

    def dues_after(self, mark: JournalMark) -> list[Due]:
        """What was recorded as fallen due after a mark, oldest first."""
        return [
            self._decoded(decode_due, item) for (item,) in self._all("SELECT item FROM due WHERE number > ? ORDER BY number", (mark.due,))
        ]

    def plans_after(self, mark: JournalMark) -> list[StoredPlan]:
        """The plans that were stored after a mark, oldest first."""
        return [
            StoredPlan(number=number, plan=self._decoded(decode_plan, plan), has_ended=bool(has_ended), settled=settled)
            for number, plan, has_ended, settled in self._all(_PLANS_AFTER, (mark.plan,))
        ]

    def close_file(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close_file()

    # Rows.

    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise ValueError(f"the journal {self.path} is closed")
        return self._database

    def _all(self, statement: str, values: Sequence[Any]) -> list[Any]:
        with self._lock, reported(self.path):
            return self._open_database().execute(statement, values).fetchall()

    def _one(self, statement: str, values: Sequence[Any]) -> Any:
        rows = self._all(statement, values)
        return rows[0] if rows else None

    def _sum(self, statement: str, day: str) -> Decimal:
        return sum((Decimal(text) for (text,) in self._all(statement, (day,))), Decimal(0))

    def _entries(self, condition: str, *values: Any) -> list[Entry]:
        with self._lock:
            return [self._entry(row) for row in self._all(f"SELECT * FROM entry WHERE {condition}", values)]

    def _entry(self, row: sqlite3.Row) -> Entry:
        messages = self._all(
            "SELECT client_id, body, expires, nonce FROM message WHERE entry IN (SELECT number FROM entry WHERE key = ?)"
            " ORDER BY entry, number",
            (row["key"],),
        )
        reports = self._all("SELECT report FROM report WHERE entry = ? ORDER BY number", (row["number"],))
        instruction = self._decoded(decode_instruction, row["instruction"])
        return Entry(
            key=row["key"],
            venue=row["venue"],
            instruction=instruction,
            status=Status(row["status"]),
            order=self._decoded(lambda text: decode_order(text, instruction), row["order_text"]),
            plan=row["plan"],
            step=row["step"],
            parent=row["parent"],
            messages=tuple(Message(**dict(message)) for message in messages),
            reports=tuple(self._decoded(decode_report, report) for (report,) in reports),
            reason=row["reason"],
            is_logged=bool(row["is_logged"]),
            decision=row["decision"] and self._decoded(decode_decision, row["decision"]),
        )

    def _decoded(self, decode: Any, text: str) -> Any:
        try:
            return decode(text)
        except (DecodeError, ValueError) as fault:
            raise damaged(self.path, f"a row cannot be read ({fault})") from fault
