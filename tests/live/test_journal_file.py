"""The journal's file where something is wrong with it: one clear line that says what to do, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live import journal_file
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.journal_reader import JournalReader
from basis_strategy_v1.live.journal_schema import MIGRATIONS

from ..other_process import other_process
from .journal_model import Call, Model, arguments, make, random_calls, seen

HOLD = """
import sys
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.core.state import State
journal = SqliteJournal(sys.argv[1], new_run="first")
journal.begin_account(State(), {})
print("open", flush=True)
sys.stdin.readline()
"""
WITHOUT_RIGHTS = """
import os, sys
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.journal import SqliteJournal
if os.getuid() == 0:
    SqliteJournal(sys.argv[1] + "/own").close_file()  # so that everything is imported
    os.setgid(65534)
    os.setuid(65534)
try:
    SqliteJournal(sys.argv[1])
except ComponentError as error:
    print(error)
"""
# What a call needs to have been called before, so that it writes something.
OPEN_ENTRY: list[Call] = [("intended", 0, 1), ("sent", 0, 1)]
WRITES: dict[str, tuple[list[Call], Call]] = {
    "begin_plan": ([], ("begin_plan", 1, 0)),
    "end_plan": ([("begin_plan", 1, 0)], ("end_plan", 0, 0)),
    "intended": ([], ("intended", 0, 1)),
    "intended again": ([*OPEN_ENTRY, ("close", 0, 2)], ("intended", 0, 2)),
    "sent": ([("intended", 0, 1)], ("sent", 0, 1)),
    "sent again": (OPEN_ENTRY, ("sent", 0, 2)),
    "add_report": (OPEN_ENTRY, ("add_report", 0, 1)),
    "note": (OPEN_ENTRY, ("note", 0, 1)),
    "close": (OPEN_ENTRY, ("close", 0, 7)),
    "logged": ([*OPEN_ENTRY, ("close", 0, 7)], ("logged", 0, 0)),
    "resolve": (OPEN_ENTRY, ("resolve", 0, 2)),
    "begin_account": ([], ("begin_account", 1, 1)),
    "add_due": ([("begin_account", 1, 1)], ("add_due", 3, 1)),
    "cursor": ([("add_due", 3, 1)], ("add_due", 3, 5)),
    "due_logged": ([("add_due", 3, 1)], ("due_logged", 1, 5)),
}
NEWER = (*MIGRATIONS, ("ALTER TABLE entry ADD COLUMN place TEXT NOT NULL DEFAULT 'here'", "CREATE TABLE more (one INTEGER)"))


def refusal(folder: Path, kind: type[JournalReader] = SqliteJournal) -> str:
    """The one line with which a journal is refused."""
    with pytest.raises(ComponentError) as refused:
        kind(folder)
    assert refused.value.message.isprintable()
    return str(refused.value)


def written(folder: Path, calls: int = 40) -> dict[str, object]:
    """A journal of some calls, closed; what is in it."""
    with SqliteJournal(folder, new_run="run-1") as journal:
        for call in random_calls(1, calls):
            make(call, journal)
        return seen(journal)


def holding(folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that has the journal of a folder."""
    return other_process(HOLD, str(folder), says="open")


@pytest.mark.parametrize("write", WRITES)
def test_each_write_is_one_transaction_with_its_points_and_only_marks_and_cursors_are_not_synced(write: str, tmp_path: Path) -> None:
    before, call = WRITES[write]
    name = write.removesuffix(" again")
    points: list[tuple[str, int]] = []

    def at(point: str) -> None:
        if opened:
            points.append((point, opened[0]._open_database().execute("PRAGMA synchronous").fetchone()[0]))

    opened: list[SqliteJournal] = []
    with SqliteJournal(tmp_path, at=at) as journal:
        for earlier in before:
            make(earlier, journal)
        opened.append(journal)
        assert make(call, journal) != "refused"
        full, normal = 2, 1
        within = normal if name in ("logged", "cursor", "due_logged") else full
        assert points == [(f"before {name}", full), (f"within {name}", within), (f"after {name}", full)]
        if name == "cursor":
            make(call, journal)
            assert len(points) == 3, "a cursor that stays writes nothing"


# A disk that is full.


@contextmanager
def no_file_may_grow(folder: Path) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def filled_up(folder: Path) -> Iterator[None]:
    filler = folder / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture(scope="module")
def small_disk() -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tempfile.mkdtemp()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True).returncode
    ):
        os.rmdir(folder)
        pytest.skip("a small file system can be mounted by root only")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        os.rmdir(folder)


Full = tuple[Path, Callable[[Path], AbstractContextManager[None]], str]


@pytest.fixture(params=["no file may grow", "a small disk"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Full]:
    """A folder, what fills its disk, and what SQLite says then."""
    if request.param == "no file may grow":
        yield tmp_path, no_file_may_grow, "disk I/O error"
        return
    disk: Path = request.getfixturevalue("small_disk")
    yield disk, filled_up, "database or disk is full"
    shutil.rmtree(disk / "state")


@pytest.mark.parametrize("write", WRITES)
def test_a_write_for_which_there_is_no_space_leaves_everything_as_it_was_and_can_be_made_later(write: str, full: Full) -> None:
    folder, fill, reason = full
    before, (name, first, second) = WRITES[write]
    model = Model()
    with SqliteJournal(folder / "state") as journal:
        for call in before:
            assert make(call, journal) == make(call, model) != "refused"
        args, named = arguments(name, first, second)
        with fill(folder), pytest.raises(ComponentError) as refused:
            getattr(journal, name)(*args, **named)
        path = folder / "state" / "journal.sqlite"
        assert str(refused.value) == (
            f"JRN-001: cannot use the journal {path}: {reason}; free space or rights there, then start again: "
            "nothing is sent before it is written down"
        )
        assert isinstance(refused.value.original_exception, sqlite3.OperationalError)
        assert seen(journal) == model.seen()
        assert make((name, first, second), journal) == make((name, first, second), model)
        assert seen(journal) == model.seen()
    with JournalReader(folder / "state") as reader:
        assert seen(reader) == model.seen()


def test_a_journal_that_there_is_no_space_to_make_is_not_there_and_can_be_made_later(full: Full) -> None:
    folder, fill, reason = full
    (folder / "state").mkdir()
    with fill(folder):
        assert refusal(folder / "state").startswith(f"JRN-001: cannot use the journal {folder}/state/journal.sqlite: {reason}; free space")
    assert not (folder / "state" / "journal.sqlite").exists()
    with SqliteJournal(folder / "state", new_run="later") as journal:
        assert journal.run == "later"


def test_a_migration_for_which_there_is_no_space_leaves_the_journal_as_it_was(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, fill, _ = full
    before = written(folder / "state")
    with monkeypatch.context() as newer, fill(folder):
        newer.setattr(journal_file, "MIGRATIONS", NEWER)
        assert refusal(folder / "state").startswith(f"JRN-001: cannot use the journal {folder}/state/journal.sqlite: d")
    with SqliteJournal(folder / "state") as journal:
        assert seen(journal) == before


# Two who want it.


def test_a_second_process_is_refused_at_once_with_the_number_of_the_first(tmp_path: Path) -> None:
    with holding(tmp_path / "state") as first:
        assert refusal(tmp_path / "state") == (
            f"JRN-002: {tmp_path}/state is being written by another run (process {first.pid}); "
            "wait for it or choose another folder with --state"
        )
        with JournalReader(tmp_path / "state") as reader:
            assert (reader.run, reader.open_entries()) == ("first", [])


def test_a_process_that_was_killed_holds_no_journal(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with SqliteJournal(tmp_path, new_run="second") as journal:
        assert journal.run == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.sqlite"]


def test_one_process_opens_a_journal_once_and_again_when_it_has_closed_it(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    assert refusal(tmp_path) == (
        f"JRN-002: {tmp_path} is open in this process already, or is on a file system without locks; close it there, "
        "or choose another folder with --state"
    )
    journal.close_file()
    journal.close_file()
    SqliteJournal(tmp_path).close_file()
    with pytest.raises(ValueError, match=r"the journal .*/journal.sqlite is closed"):
        journal.note("alpha", "")


def test_a_write_while_another_program_has_the_file_locked_says_so_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "BUSY_S", 0.0)
    with SqliteJournal(tmp_path) as journal:
        shell = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(ComponentError) as refused:
            journal.begin_account(*arguments("begin_account", 1, 1)[0])
        assert str(refused.value) == (
            f"JRN-002: {tmp_path}/journal.sqlite is locked by another program, perhaps an sqlite3 shell; close it and start again"
        )
        shell.close()
        assert journal.state() is None
        journal.begin_account(*arguments("begin_account", 1, 1)[0])
        assert journal.state() is not None


# A file that is not what it was.


@pytest.mark.parametrize("share", [0, 1e-9, 0.001, 0.05, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", [SqliteJournal, JournalReader])
def test_a_truncated_journal_is_refused_and_left_as_it_is(share: float, kind: type[JournalReader], tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "journal.sqlite"
    size = path.stat().st_size
    os.truncate(path, int(size * share) + (share > 0))
    left = path.read_bytes()
    line = refusal(tmp_path, kind)
    found = "it is empty" if not left else "it is no SQLite file" if len(left) < 16 else f"it has {len(left)} bytes, and should have {size}"
    assert line == (
        f"JRN-003: {path} is damaged: {found}"
        "; stop, keep all its files, and restore a copy, or compare every venue by hand before starting with a new --state folder"
    )
    assert path.read_bytes() == left


@pytest.mark.parametrize(
    "garbage", [b"", b"not a database", b"SQLite format 3\0", b"\xff" * 100_000, b"SQLite format 3\0" + b"\xff" * 100_000]
)
def test_garbage_is_refused_and_left_as_it_is(garbage: bytes, tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(garbage)
    for kind in (SqliteJournal, JournalReader):
        assert refusal(tmp_path, kind).startswith(f"JRN-003: {tmp_path}/journal.sqlite is damaged: ")
    assert (tmp_path / "journal.sqlite").read_bytes() == garbage


def test_a_crash_while_the_write_ahead_log_was_moved_into_the_file_loses_nothing(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        first.kill()
        first.wait()
        with (tmp_path / "journal.sqlite").open("ab") as file:
            file.write(b"\0" * 4096)  # a page that was moved before the first one, which says how many there are
    with SqliteJournal(tmp_path) as journal:
        assert (journal.run, journal.state() is not None) == ("first", True)


@pytest.mark.parametrize("start", [32, 4096])
def test_garbage_in_the_middle_is_refused(start: int, tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "journal.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + b"\xaa" * 8192 + whole[start + 8192 :])
    found = r"\*\*\* in database main \*\*\* .+|database disk image is malformed|file is not a database|unsupported file format"
    assert re.match(rf"JRN-003: {path} is damaged: ({found}); stop, keep all its files", refusal(tmp_path))


def test_a_journal_that_is_damaged_while_it_is_in_use_says_so(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "journal.sqlite"
    with SqliteJournal(tmp_path) as journal:
        journal._open_database().execute("PRAGMA shrink_memory")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xaa" * (path.stat().st_size - 4096))
        with pytest.raises(ComponentError) as refused:
            journal.open_entries()
    assert str(refused.value).startswith(f"JRN-003: {path} is damaged: database disk image is malformed; stop, keep all its files")


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as shell:
        shell.execute("UPDATE entry SET instruction = '[]'")
        shell.execute("UPDATE account SET state = '{}'")
    with SqliteJournal(tmp_path) as journal:
        for read in (journal.state, journal.open_entries):
            with pytest.raises(ComponentError) as refused:
                read()
            assert refused.value.error_code == "JRN-003"
            assert f"{tmp_path}/journal.sqlite is damaged: a row cannot be read (the text is not a" in refused.value.message


def test_an_amount_that_is_none_is_named_as_it_stands_there(tmp_path: Path) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as shell:
        shell.execute("INSERT INTO not_ours (venue, token, amount) VALUES ('bybit', 'ZZZ', 'many')")
    with SqliteJournal(tmp_path) as journal, pytest.raises(ComponentError) as refused:
        journal.not_ours()
    assert f"{tmp_path}/journal.sqlite is damaged: a row cannot be read ('many' is no amount); stop" in refused.value.message


def test_a_fault_of_the_program_is_not_reported_as_one_of_the_file(tmp_path: Path) -> None:
    database = sqlite3.connect(":memory:")
    database.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database") as raised, journal_file.reported(tmp_path / "journal.sqlite"):
        database.execute("SELECT 1")
    assert journal_file._code(raised.value) == 0


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("PRAGMA application_id = 5", "it is no journal of basis"),
        ("DELETE FROM journal", "the run's identity is missing"),
        ("DROP TABLE journal", "no such table: journal"),
    ],
)
def test_a_database_of_somebody_else_is_refused(statement: str, fault: str, tmp_path: Path) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as shell:
        shell.execute(statement)
    assert refusal(tmp_path).startswith(f"JRN-003: {tmp_path}/journal.sqlite is damaged: {fault}; stop")


@pytest.mark.parametrize("rest", ["journal.sqlite-wal", "journal.sqlite-shm", "journal.sqlite-journal"])
def test_a_journal_of_which_only_a_part_is_left_is_not_begun_again(rest: str, tmp_path: Path) -> None:
    (tmp_path / rest).write_bytes(b"what was committed last")
    assert refusal(tmp_path).startswith(f"JRN-003: {tmp_path}/journal.sqlite is damaged: it is missing, while {rest} is there; stop")
    assert sorted(path.name for path in tmp_path.iterdir()) == [rest]


def test_a_journal_that_is_removed_while_it_is_in_use_takes_nothing_more(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "state") as journal:
        (tmp_path / "state").rename(tmp_path / "elsewhere")
        with pytest.raises(ComponentError) as refused:
            journal.begin_account(*arguments("begin_account", 1, 1)[0])
        assert str(refused.value) == (
            f"JRN-001: {tmp_path}/state/journal.sqlite was removed or replaced while it was in use; stop, and bring it back"
        )
        (tmp_path / "elsewhere").rename(tmp_path / "state")
        journal.begin_account(*arguments("begin_account", 1, 1)[0])


# Versions.


def test_a_journal_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as shell:
        shell.execute("PRAGMA user_version = 99")
    for kind in (SqliteJournal, JournalReader):
        assert refusal(tmp_path, kind) == (
            f"JRN-004: {tmp_path}/journal.sqlite is of version 99, this program knows up to {len(MIGRATIONS)}; "
            "install the newer basis-strategy that wrote it"
        )


def test_a_journal_of_an_older_version_is_migrated_and_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(tmp_path)
    monkeypatch.setattr(journal_file, "MIGRATIONS", NEWER)
    assert refusal(tmp_path, JournalReader) == (
        f"JRN-004: {tmp_path}/journal.sqlite is of version {len(MIGRATIONS)}, this program reads {len(NEWER)}; `basis live` migrates it"
    )
    points: list[str] = []
    for _ in range(2):
        with SqliteJournal(tmp_path, new_run="another", at=points.append) as journal:
            assert (seen(journal), journal.run) == (before, "run-1")
    assert points == ["before migrate", "after migrate"]
    with sqlite3.connect(tmp_path / "journal.sqlite") as shell:
        assert set(shell.execute("SELECT place FROM entry")) == {("here",)}
    monkeypatch.setattr(journal_file, "MIGRATIONS", MIGRATIONS)
    assert refusal(tmp_path).startswith("JRN-004: ")


def test_a_migration_that_fails_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(tmp_path)
    with monkeypatch.context() as newer:
        newer.setattr(journal_file, "MIGRATIONS", (*NEWER, ("CREATE TABLE more (one INTEGER)",)))
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            SqliteJournal(tmp_path)
    with SqliteJournal(tmp_path) as journal:
        assert seen(journal) == before


# Folders.


def test_a_missing_folder_is_made_and_one_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "a" / "b") as journal:
        assert journal.path == tmp_path / "a" / "b" / "journal.sqlite"
    (tmp_path / "file").write_text("")
    for folder, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "state", "Not a directory")):
        assert refusal(folder) == (
            f"JRN-001: cannot use the journal {folder}/journal.sqlite: {reason}; free space or rights there, then start again: "
            "nothing is sent before it is written down"
        )
    assert refusal(tmp_path / "nothing", JournalReader) == (
        f"JRN-001: there is no journal {tmp_path}/nothing/journal.sqlite; name the folder of a live run with --state"
    )


@pytest.mark.parametrize("has_journal", [False, True])
def test_a_folder_that_may_not_be_written_is_refused(has_journal: bool) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        if has_journal:
            written(folder)
            (folder / "journal.sqlite").chmod(0o444)
        folder.chmod(0o555)
        code = [sys.executable, "-c", WITHOUT_RIGHTS, str(folder)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        answer = subprocess.run(code, env=environment, capture_output=True, text=True, check=True)
        assert answer.stdout == (
            f"JRN-001: cannot use the journal {folder}/journal.sqlite: {os.strerror(errno.EACCES)}; free space or rights there, "
            "then start again: nothing is sent before it is written down\n"
        )
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_journal_that_has_become_read_only_takes_nothing_more(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path) as journal:
        journal._open_database().execute("PRAGMA query_only = 1")
        with pytest.raises(ComponentError, match="attempt to write a readonly database; free space or rights there"):
            journal.begin_account(*arguments("begin_account", 1, 1)[0])
