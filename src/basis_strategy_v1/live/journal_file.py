"""The journal's file: made, checked, brought to the present version, and opened; and what is said where that fails."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.journal_schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Point = Callable[[str], None]

NAME = "journal.sqlite"
MARK = 0x62617369  # "basi": says in the file whose it is
BUSY_S = 5.0  # for another program's short look
# With a write-ahead log a commit is on the disk before it returns, or with the next one that is synced.
SYNCED, UNSYNCED = "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"
_HEAD, _HEAD_BYTES = b"SQLite format 3\0", 32
_UNWRITTEN = (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_to_write(path: Path, run: str, at: Point) -> sqlite3.Connection:
    """The journal at a path, made where there is none, checked, and of the present version. `run` is the identity of a new one.

    Raises:
        ComponentError: JRN-001, it cannot be written; JRN-003, it is damaged; JRN-004, it is of a newer version.
    """
    if not path.exists():
        _require_no_rest(path)
        _create(path, run, at)
    _require_whole_file(path)
    database = _sound(path, mode="rw")
    return _with(database, lambda: _migrate(path, database, at))


def open_to_read(path: Path) -> sqlite3.Connection:
    """The journal at a path, as it is, also while another process writes it.

    Raises:
        ComponentError: JRN-001, there is none, or it cannot be read; JRN-003, it is damaged; JRN-004, it is of another version.
    """
    if not path.exists():
        raise ComponentError("JRN-001", f"there is no journal {path}; name the folder of a live run with --state")
    _require_whole_file(path)
    database = _sound(path, mode="ro")
    return _with(database, lambda: _require_present(path, database))


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system refuse into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise _unwritten(path, error.strerror or str(error), error) from error
    except sqlite3.Error as error:
        code = _code(error)
        if code in _UNWRITTEN:
            raise _unwritten(path, str(error), error) from error
        if code in _IN_USE:
            line = f"{path} is locked by another program, perhaps an sqlite3 shell; close it and start again"
            raise ComponentError("JRN-002", line, original_exception=error) from error
        if code in _DAMAGED:
            raise damaged(path, str(error)) from error
        raise


def _code(error: sqlite3.Error) -> int:
    """What kind of error it is: the low byte of SQLite's code, 0 where the error is not SQLite's."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def damaged(path: Path, what: str) -> ComponentError:
    """The refusal of a journal that cannot be trusted."""
    way_out = "stop, keep all its files, and restore a copy, or compare every venue by hand before starting with a new --state folder"
    return ComponentError("JRN-003", f"{path} is damaged: {what}; {way_out}")


def _unwritten(path: Path, why: str, error: Exception) -> ComponentError:
    line = f"cannot use the journal {path}: {why}; free space or rights there, then start again: nothing is sent before it is written down"
    return ComponentError("JRN-001", line, original_exception=error)


def _sound(path: Path, mode: str) -> sqlite3.Connection:
    """The opened file, which is a journal in all its parts."""
    try:
        database = _connected(path, mode)
        return _with(database, lambda: _require_sound(path, database))
    except sqlite3.OperationalError as error:
        if _code(error) == sqlite3.SQLITE_ERROR:  # what SQLite takes for a strange format or a missing table
            raise damaged(path, str(error)) from error
        raise


def _with(database: sqlite3.Connection, check: Callable[[], object]) -> sqlite3.Connection:
    """The connection, closed where a check of it fails."""
    try:
        check()
    except BaseException:
        database.close()
        raise
    return database


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    database.row_factory = sqlite3.Row
    return _with(database, lambda: database.execute(SYNCED))


def _create(path: Path, run: str, at: Point) -> None:
    """Made under another name and then renamed: a journal that exists is whole."""
    fresh = path.with_name(f"{NAME}.new")
    for left in (fresh, *_companions(fresh)):
        left.unlink(missing_ok=True)
    at("before create")
    database = _connected(fresh, mode="rwc")
    try:
        database.execute(f"PRAGMA application_id = {MARK}")
        _upgrade(database)
        database.execute("INSERT INTO journal (run) VALUES (?)", (run,))
        database.execute("PRAGMA journal_mode = WAL")  # last, so that the file is whole without a write-ahead log
    finally:
        database.close()
    at("within create")
    os.replace(fresh, path)
    sync_folder(path.parent)
    at("after create")


def _require_no_rest(path: Path) -> None:
    for rest in _companions(path):
        if rest.exists():
            raise damaged(path, f"it is missing, while {rest.name} is there")


def _companions(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))


def _require_whole_file(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0  # the file may lack what is still there only
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith(_HEAD):
        raise damaged(path, "it is no SQLite file" if head else "it is empty")
    size, whole = path.stat().st_size, _size_in(head)
    if size != whole and not has_log:
        raise damaged(path, f"it has {size} bytes, and should have {whole}")


def _require_sound(path: Path, database: sqlite3.Connection) -> None:
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, found.replace("\n", " "))
    if database.execute("PRAGMA application_id").fetchone()[0] != MARK:
        raise damaged(path, "it is no journal of basis")
    if database.execute("SELECT count(*) FROM journal").fetchone()[0] != 1:
        raise damaged(path, "the run's identity is missing")


def _size_in(head: bytes) -> int:
    """How many bytes a file has, by what its first 32 bytes say: the size of a page, and how many there are."""
    return int.from_bytes(head[16:18], "big") * int.from_bytes(head[28:32], "big")


def version_of(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def _require_present(path: Path, database: sqlite3.Connection) -> None:
    version = version_of(database)
    _require_not_newer(path, version)
    if version < len(MIGRATIONS):
        raise ComponentError("JRN-004", f"{path} is of version {version}, this program reads {len(MIGRATIONS)}; `basis live` migrates it")


def _require_not_newer(path: Path, version: int) -> None:
    if version > len(MIGRATIONS):
        line = f"{path} is of version {version}, this program knows up to {len(MIGRATIONS)}; install the newer basis-strategy that wrote it"
        raise ComponentError("JRN-004", line)


def _migrate(path: Path, database: sqlite3.Connection, at: Point) -> None:
    version = version_of(database)
    _require_not_newer(path, version)
    if version < len(MIGRATIONS):
        at("before migrate")
        _upgrade(database)
        at("after migrate")


def _upgrade(database: sqlite3.Connection) -> None:
    """All steps that the file lacks, in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version_of(database) :]:
            for statement in step:
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        database.execute("COMMIT")
    except BaseException:
        roll_back(database)
        raise


def roll_back(database: sqlite3.Connection) -> None:
    """Undo the transaction in hand, where there still is one."""
    if database.in_transaction:
        database.execute("ROLLBACK")


def sync_folder(folder: Path) -> None:
    """A new name is safe only when its folder is on the disk too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
