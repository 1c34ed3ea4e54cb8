"""The record of a live run in its state folder: the run at the end of each step, from which a restart continues."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.results.attribution import AttributionLedger
from basis_strategy_v1.results.risk_of_steps import RiskRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

NAME = "record.sqlite"
VERSION = 1
BUSY_S = 5.0  # for another program's short look
SCHEMA = (
    "CREATE TABLE record (run TEXT NOT NULL, share_class TEXT NOT NULL)",
    # Each step: microseconds since 1970; units of 1e-12 as text; `booked` where something other than prices has changed.
    "CREATE TABLE step (number INTEGER PRIMARY KEY, instant INTEGER NOT NULL, equity TEXT, spot_price TEXT, perp_price TEXT, booked TEXT)",
    "CREATE TABLE holding (number INTEGER PRIMARY KEY, instant INTEGER NOT NULL, positions TEXT NOT NULL)",
    "CREATE TABLE skipped (number INTEGER PRIMARY KEY, at TEXT NOT NULL, reason TEXT NOT NULL)",
    # One row: what the newest step ended with.
    "CREATE TABLE newest (one INTEGER PRIMARY KEY CHECK (one = 1), checkpoint TEXT NOT NULL)",
)
# What is known between two steps too, by its name: the newest table of holdings, and since when something is unhedged.
KEPT = "CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"
# risk.csv of each step, and the positions that it comes from where they have changed, as JSON text.
RISK = "CREATE TABLE IF NOT EXISTS risk (number INTEGER PRIMARY KEY, cells TEXT NOT NULL, point TEXT)"
HOLDINGS = "holdings"  # the name of the newest table
WAY_OUT = "free space or rights there, then start again"

Positions = dict[str, dict[str, Decimal]]
_encoded = msgspec.json.Encoder().encode


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run continues from after a restart.

    Instants are microseconds since 1970. `goes_on_at` is the first one at which a step may be; None: the start's. `settled` is the one up
    to which everything that fell due is recorded, `next_day` that of the next daily row of positions. `state` is the account's, as text
    (`core/state_codec.py`), `mark` how far the journal is recorded. `routed` and `failed` count instructions, `unwound` the plans in a row
    that were stopped and unwound.
    """

    goes_on_at: int | None
    settled: int
    next_day: int
    ledger: AttributionLedger = field(name="books")
    state: str
    mark: JournalMark
    routed: int
    failed: int
    unwound: int = 0


class StepRow(NamedTuple):
    """A row of the equity curve: when, equity, what token and perp prices did, and what was recorded where that has changed."""

    instant: int
    marked: tuple[int, int, int]
    recorded: Mapping[str, int] | None


class _Unusable(Exception):
    """Why a record cannot be gone on with."""


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """A checkpoint as JSON text, exact: decimals are text."""
    return _encoded(checkpoint).decode()


def decode_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a text.

    Raises:
        ValueError: it is none.
    """
    return msgspec.json.decode(text, type=Checkpoint)


def _pass(point: str) -> None:
    """Nothing is done at a point."""


class RunRecord:
    """The record in a folder. `at` is called at each point at which the process could end, by its name.

    A step is one write, whole or not there. It survives the end of the process. Where the machine ends too, the newest steps may be
    missing: the next start then records what the journal has of them in one step.

    Raises:
        ComponentError: RES-001, the file cannot be used. Every method raises it.
    """

    def __init__(self, folder: Path, at: Callable[[str], None] = _pass, *, wait_s: float = BUSY_S) -> None:
        self.path = folder.absolute() / NAME
        self._wait_s = wait_s
        self._at = at
        self._file: sqlite3.Connection | None = None

    def open(self, run: str, share_class: str) -> tuple[Checkpoint | None, str]:
        """The newest checkpoint of this journal's run, None where there is none, and why an earlier record is not gone on with ("": it is,
        or there is none). What is not gone on with is kept under another name."""
        why = ""
        with self._reported():
            if self.path.exists():
                try:
                    return self._opened(run, share_class), ""
                except sqlite3.OperationalError:  # it may be well, and cannot be used now
                    raise
                except (_Unusable, ValueError, sqlite3.DatabaseError) as unusable:
                    why = self._set_aside(str(unusable))
            self._create(run, share_class)
        return None, why

    def _opened(self, run: str, share_class: str) -> Checkpoint | None:
        file = self._connected(self.path)
        try:
            (version,) = file.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise _Unusable(f"is of version {version}, and this program reads {VERSION}")
            (of, in_class) = file.execute("SELECT run, share_class FROM record").fetchone()
            if of != run:
                raise _Unusable(f"is of the run {of}, and the journal is of {run}")
            if in_class != share_class:
                raise _Unusable(f"is in the currency of {in_class}, and the config says {share_class}")
            row = file.execute("SELECT checkpoint FROM newest").fetchone()
            found = None if row is None else decode_checkpoint(row[0])
        except BaseException:
            file.close()
            raise
        for statement in (KEPT, RISK):  # a record of an earlier version has none
            file.execute(statement)
        self._file = file
        return found

    def _create(self, run: str, share_class: str) -> None:
        """Made under another name and then renamed: a record that exists is whole."""
        fresh = self.path.with_name(f"{NAME}.new")
        fresh.unlink(missing_ok=True)
        with closing(sqlite3.connect(fresh, isolation_level=None)) as file:
            for statement in (*SCHEMA, KEPT, RISK):
                file.execute(statement)
            file.execute("INSERT INTO record VALUES (?, ?)", (run, share_class))
            file.execute(f"PRAGMA user_version = {VERSION}")
        os.replace(fresh, self.path)
        self._file = self._connected(self.path)

    def _connected(self, path: Path) -> sqlite3.Connection:
        file = sqlite3.connect(path, timeout=self._wait_s, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")  # no wait for the disk at each step
        return file

    def _set_aside(self, why: str) -> str:
        number = 1
        while (kept := self.path.with_name(f"{NAME}.earlier-{number}")).exists():
            number += 1
        for end in ("-wal", "-shm"):
            with_end = self.path.with_name(self.path.name + end)
            if with_end.exists():
                with_end.rename(kept.with_name(kept.name + end))
        self.path.rename(kept)
        return f"{shown(self.path)} {why}; it is kept as {kept.name}, and the record begins now"

    def add(
        self,
        checkpoint: Checkpoint,
        step: StepRow | None = None,
        holding: tuple[int, Mapping[str, Mapping[str, Decimal]]] | None = None,
        skipped: Sequence[tuple[str, str]] = (),
        risk: RiskRow | None = None,
    ) -> None:
        """Store a step: its row of the curve, that of positions where one was added, the plans that were skipped in it, its row of
        risk.csv, and what the run goes on with."""
        with self._reported():
            file = self._open_file()
            self._at("before record")
            with file:
                file.execute("BEGIN")
                if step is not None:
                    recorded = step.recorded and _encoded({source: str(units) for source, units in step.recorded.items()}).decode()
                    values = (step.instant, *map(str, step.marked), recorded)
                    file.execute("INSERT INTO step (instant, equity, spot_price, perp_price, booked) VALUES (?, ?, ?, ?, ?)", values)
                if holding is not None:
                    values = (holding[0], _encoded(holding[1]).decode())
                    file.execute("INSERT INTO holding (instant, positions) VALUES (?, ?)", values)
                file.executemany("INSERT INTO skipped (at, reason) VALUES (?, ?)", [tuple(row) for row in skipped])
                if risk is not None:
                    file.execute("INSERT INTO risk (cells, point) VALUES (?, ?)", tuple(risk))
                self._at("within record")
                file.execute("INSERT OR REPLACE INTO newest VALUES (1, ?)", (encode_checkpoint(checkpoint),))
            self._at("after record")

    def keep(self, name: str, content: str) -> None:
        """Store something at once, in the place of what has this name."""
        with self._reported():
            self._at("before keep")
            self._open_file().execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, content))
            self._at("after keep")

    def kept(self, name: str) -> str | None:
        """What is stored under a name."""
        return next((content for (content,) in self._rows("SELECT content FROM kept WHERE name = ?", (name,))), None)

    def steps(self) -> Iterator[StepRow]:
        """The rows of the equity curve, one after another."""
        for instant, *marked, recorded in self._rows("SELECT instant, equity, spot_price, perp_price, booked FROM step ORDER BY number"):
            equity, spot, perp = map(int, marked)
            of = None if recorded is None else {source: int(units) for source, units in msgspec.json.decode(recorded).items()}
            yield StepRow(instant, (equity, spot, perp), of)

    def holdings(self) -> Iterator[tuple[int, Positions]]:
        """The rows of positions, one after another."""
        for instant, positions in self._rows("SELECT instant, positions FROM holding ORDER BY number"):
            yield instant, msgspec.json.decode(positions, type=Positions)

    def risks(self) -> Iterator[RiskRow]:
        """What risk.csv has of each step, one after another."""
        yield from map(RiskRow._make, self._rows("SELECT cells, point FROM risk ORDER BY number"))

    def skipped(self) -> Iterator[tuple[str, str]]:
        """(time, reason) of each plan that was skipped."""
        yield from self._rows("SELECT at, reason FROM skipped ORDER BY number")

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rows(self, statement: str, values: tuple[str, ...] = ()) -> Iterator[tuple]:  # type: ignore[type-arg]
        with self._reported():
            yield from self._open_file().execute(statement, values)

    def _open_file(self) -> sqlite3.Connection:
        assert self._file is not None, "the record is open"
        return self._file

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as fault:
            raise ComponentError("RES-001", f"{shown(self.path)} cannot be used: {fault}; {WAY_OUT}", original_exception=fault) from fault


def kept_in(folder: Path, name: str) -> str | None:
    """What the record in a folder has stored under a name, while a run may be writing it; None where there is nothing.

    Raises:
        ComponentError: RES-001, the file cannot be used.
    """
    path = folder.absolute() / NAME
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_S)) as file:
            if file.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchone() is None:
                return None
            row = file.execute("SELECT content FROM kept WHERE name = ?", (name,)).fetchone()
    except sqlite3.Error as fault:
        raise ComponentError("RES-001", f"{shown(path)} cannot be used: {fault}; {WAY_OUT}", original_exception=fault) from fault
    return None if row is None else str(row[0])
