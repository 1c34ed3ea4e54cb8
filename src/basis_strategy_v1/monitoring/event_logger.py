"""The event log: one JSON Lines file a component, numbered without gaps."""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from weakref import finalize

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY, error_data
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring import event_reader
from basis_strategy_v1.monitoring.event_files import KEPT_DAYS, BufferedFile, SyncedFile, writing
from basis_strategy_v1.monitoring.event_line import EVENT_TYPES, parse_line
from basis_strategy_v1.monitoring.folder_lock import FolderLock, remove_unless_file
from basis_strategy_v1.monitoring.logged_errors import ERRORS, LoggedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from msgspec import Struct

    from basis_strategy_v1.core.clock import Clock

    Append = Callable[[datetime, str, str, Mapping[str, Any] | Struct], None]
    AppendAll = Callable[[datetime, str, Sequence[tuple[str, Mapping[str, Any] | Struct]]], None]

MODES = ("backtest", "live")
LIVE_MARK = ".live"
OWN_FOLDER = "give each run its own folder with --logs"
_COMPONENT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class EventLogger:
    """Writes `directory`/events/<component>_events.jsonl.

    In a backtest what earlier backtests left there is removed and the files are written in blocks; call `flush` or `close` to see the
    last events. Live an event is on the disk before `log_event` returns, the files are renamed at UTC midnight and kept for `kept_days`
    (None: always), and the numbers go on after a restart. Safe to use from several threads. `clock` says live which day it is; without
    one the event's own timestamp does.
    Until `close` no other process can open a log there; in one process several can be open, and the last one that begins a file has it.

    Raises:
        ComponentError: LOG-001, the folder cannot be written, another process is writing it, or it holds a live run's log and this is a
            backtest.
        ValueError: an unknown `execution_mode`.
    """

    def __init__(
        self,
        directory: str | Path = "logs",
        execution_mode: str = "backtest",
        *,
        clock: Clock | None = None,
        kept_days: int | None = KEPT_DAYS,
    ) -> None:
        if execution_mode not in MODES:
            raise ValueError(f"execution_mode must be backtest or live, got {shown(execution_mode)}")
        self.directory = Path(directory).absolute()  # whatever becomes of the working directory
        self.execution_mode = execution_mode
        self._clock = clock
        self._kept_days = kept_days
        self._folder = self.directory / "events"
        self._files: dict[str, BufferedFile | SyncedFile] = {}  # by component
        self._appends: dict[str, Append] = {}  # their methods, one look-up nearer
        self._opening = Lock()
        self._closed = False
        self._stamp: tuple[datetime, datetime] | None = None
        self._known_errors: Counter[LoggedError] = Counter()
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self._folder, self.directory / ".events.lock", "LOG-001", OWN_FOLDER)
            self._begin()
        # What is pending reaches the disk also where nobody closed the log.
        self._finalizer = finalize(self, _close_all, self._files)

    def log_event(self, timestamp: datetime, event_type: str, component: str, data: Mapping[str, Any] | Struct) -> None:
        """Write one event.

        Raises:
            ValueError: a type that is not in EVENT_TYPES, a naive timestamp, a component that is no name, or a closed log.
            ComponentError: LOG-001, the event could not be written; its number is still free.
        """
        if event_type not in EVENT_TYPES:
            raise ValueError(f"event_type {shown(event_type)} is not one of {', '.join(sorted(EVENT_TYPES))}")
        at = timestamp if type(timestamp) is datetime and timestamp.tzinfo is UTC else self._in_utc(timestamp)
        if self._known_errors and event_type in ERRORS and self._is_known(at, event_type, component, data):
            return
        append = self._appends.get(component)
        if append is None:
            append = self._open(component, at).append
        append(at, event_type, component, data)

    def leave_out(self, errors: Counter[LoggedError]) -> None:
        """Log none of these errors again, each as often as it is there already."""
        self._known_errors = Counter(errors)

    def _is_known(self, at: datetime, event_type: str, component: str, data: Any) -> bool:
        error = LoggedError(to_instant(at), event_type, component, data.get("error_message", ""))
        if not self._known_errors[error]:
            return False
        self._known_errors[error] -= 1
        return True

    def appender(self, component: str, at: datetime) -> AppendAll:
        """What writes the events of one component, for one that writes many: (timestamp as a plain datetime in UTC, component, pairs of a
        type of EVENT_TYPES and data), none of which is checked. The file is opened as of `at`, in UTC."""
        return self._open(component, at).append_all

    def flush(self) -> None:
        """Write what is pending, so that the files hold every event so far."""
        for file in self._distinct():
            file.flush()

    def lines_of(self, component: str) -> Iterator[bytes]:
        """The lines of a component's events so far: in a backtest this run's, live all that are kept."""
        self.flush()
        stem = file_stem(component)
        live = self.execution_mode == "live"
        paths = event_reader.event_files(self.directory).get(stem, []) if live else [self._folder / f"{stem}.jsonl"]
        for path in paths:
            if path.is_file():  # the export of the events says it where one is gone
                with path.open("rb") as lines:
                    yield from lines

    def export_csv(self, path: str | Path) -> None:
        """Write all events so far to one CSV: in a backtest this run's, live all that are kept."""
        self.flush()
        if self.execution_mode == "live":
            event_reader.export_csv(event_reader.event_files(self.directory).values(), path)
            return
        files = [file for file in self._distinct() if isinstance(file, BufferedFile)]
        for file in files:
            file.require_own()
        event_reader.export_csv([[file.path] for file in files], path)

    def close(self) -> None:
        """Write what is pending and close the files. A second call does nothing."""
        with self._opening:
            self._closed = True
        self._finalizer.detach()
        try:
            _close_all(self._files)
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except ComponentError:
            if error is None:  # otherwise the first failure is the one to report
                raise

    def _begin(self) -> None:
        try:
            self._mark()
            if self._lock.is_first and self.execution_mode == "backtest":
                _remove_earlier(self._folder)
        except BaseException:
            self._lock.release()
            raise

    def _mark(self) -> None:
        mark = self._folder / LIVE_MARK
        if self.execution_mode == "live":
            remove_unless_file(mark)
            mark.touch()
        elif os.path.lexists(mark):
            raise ComponentError(
                "LOG-001",
                f"{shown(self._folder)} holds the log of a live run, which a backtest would overwrite; choose another folder with --logs",
            )

    def _in_utc(self, timestamp: datetime) -> datetime:
        # Several events in a row carry the same timestamp object; one conversion serves them.
        known = self._stamp
        if known is not None and known[0] is timestamp:
            return known[1]
        at = from_instant(to_instant(timestamp))
        self._stamp = (timestamp, at)
        return at

    def _open(self, component: str, at: datetime) -> BufferedFile | SyncedFile:
        with self._opening:
            file = self._files.get(component)
            if file is not None:
                return file
            if self._closed:
                raise ValueError(f"the event log in {shown(self._folder)} is closed; nothing more can be logged")
            path = self._folder / f"{file_stem(component)}.jsonl"
            file = self._at(path, at)
            self._files[component] = file
            self._appends[component] = file.append
        if isinstance(file, SyncedFile) and file.truncated_bytes:
            self._report_truncated(file, at)
        return file

    def _at(self, path: Path, at: datetime) -> BufferedFile | SyncedFile:
        for known in self._files.values():
            if known.path == path:  # two spellings of one name share the file and its numbers
                return known
        return SyncedFile(path, at, self._clock, self._kept_days) if self.execution_mode == "live" else BufferedFile(path)

    def _report_truncated(self, file: SyncedFile, at: datetime) -> None:
        entry = REGISTRY["LOG-002"]
        truncated, file.truncated_bytes = file.truncated_bytes, 0
        message = f"the last {truncated} bytes of {file.path.name} were cut off by a crash; they are in {file.truncated_path.name}"
        self.log_event(at, "error", entry.component, error_data(entry.code, message))

    def _distinct(self) -> list[BufferedFile | SyncedFile]:
        return list(dict.fromkeys(list(self._files.values())))


def file_stem(component: str) -> str:
    """`CEXExecutionInterface` -> `cex_execution_interface_events`.

    Raises:
        ValueError: what is not a name of ASCII letters, digits and underscores could lead out of the folder.
    """
    if not _COMPONENT.fullmatch(component):
        raise ValueError(f"component must be 1 to 100 of A-Z a-z 0-9 _ and begin with a letter, got {shown(component)}")
    return _WORD_STARTS.sub("_", component).lower() + "_events"


def _remove_earlier(folder: Path) -> None:
    """Remove what earlier backtests wrote there, so that the folder holds one run; a file that is not of this log's making stays."""
    for path in folder.glob("*_events.jsonl"):
        if path.is_file() and not path.is_symlink() and _is_of_a_log(path):
            path.unlink()


def _is_of_a_log(path: Path) -> bool:
    with path.open("rb") as file:
        first = parse_line(file.readline())
    return first is not None and _COMPONENT.fullmatch(first.component) is not None and file_stem(first.component) == path.stem


def _close_all(files: dict[str, BufferedFile | SyncedFile]) -> None:
    """Close every file, and raise what the first failing one said."""
    failures = []
    for file in list(files.values()):
        try:
            file.close()
        except ComponentError as error:
            failures.append(error)
    if failures:
        raise failures[0]
